// The registry of mappings: the validator that debug builds ask, and the table when its clusters are long.
#include "support.h"

#include "base/hz3_os.h"
#include "large/hz3_mapping.h"
#include "large/hz3_mapping_registry.h"

#define MIB ((size_t)1 << 20)

static Hz3MappingRegistry *const r = &hz3_mappings;

static bool registry_is_valid(void)
{
    hz3_lock_acquire(&r->lock);
    bool is_valid = hz3_registry_is_valid();
    hz3_lock_release(&r->lock);
    return is_valid;
}

static Hz3Mapping *entry_of(const void *p)
{
    hz3_lock_acquire(&r->lock);
    Hz3Mapping *entry = hz3_registry_find((uintptr_t)p);
    hz3_lock_release(&r->lock);
    assert_non_null(entry);
    return entry;
}

// Eight mappings, two of which wait in the cache; others lie between these two.
static void *block[8];

static int set_up(void **state)
{
    (void)state;
    bool is_zero;
    for (size_t i = 0; i < COUNT_OF(block); i++) {
        block[i] = hz3_mapping_alloc((2 + i) * MIB, HZ3_PAGE_SIZE, &is_zero);
    }
    hz3_mapping_free(block[1]);
    hz3_mapping_free(block[5]);
    return r->cached == 2 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(block); i++) {
        hz3_mapping_free(block[i]);
    }
    hz3_mapping_trim(true);
    return r->live == 0 && r->cached == 0 ? 0 : -1;
}

static void validator_sees_wrong_sums(void **state)
{
    (void)state;
    UNIT_EXPECT_SEEN(r->live, r->live + 1, registry_is_valid());
    UNIT_EXPECT_SEEN(r->live_bytes, r->live_bytes + HZ3_PAGE_SIZE, registry_is_valid());
    UNIT_EXPECT_SEEN(r->promised, r->table_cap / 2, registry_is_valid());
    UNIT_EXPECT_SEEN(r->cached_bytes, 0, registry_is_valid());
    UNIT_EXPECT_SEEN(r->cached, 1, registry_is_valid());
    UNIT_EXPECT_SEEN(r->cached, HZ3_MAPPING_CACHE_MAX + 1, registry_is_valid());
    UNIT_EXPECT_SEEN(r->unused_since_trim, r->cached + 1, registry_is_valid());
}

static void validator_sees_wrong_entries(void **state)
{
    (void)state;
    Hz3Mapping *live = entry_of(block[0]);
    Hz3Mapping *cached = &r->cache[0];
    UNIT_EXPECT_SEEN(live->addr, live->addr + 16, registry_is_valid());
    UNIT_EXPECT_SEEN(live->addr, 0, registry_is_valid());
    UNIT_EXPECT_SEEN(live->bytes, live->bytes + 1, registry_is_valid());
    UNIT_EXPECT_SEEN(live->addr, (uintptr_t)block[2], registry_is_valid());
    UNIT_EXPECT_SEEN(cached->addr, live->addr, registry_is_valid());
    UNIT_EXPECT_SEEN(cached->addr, r->cache[1].addr - cached->bytes, registry_is_valid());
    UNIT_EXPECT_SEEN(cached->is_guarded, true, registry_is_valid());
}

// An entry that stands before its home, where no search for it comes by.
static void validator_sees_an_entry_that_is_not_found(void **state)
{
    (void)state;
    Hz3Mapping *live = entry_of(block[0]);
    Hz3Mapping was = *live;
    uint32_t mask = r->table_cap - 1;
    uint32_t away = (uint32_t)(live - r->table);
    while (r->table[away & mask].addr != 0 || r->table[(away - 1) & mask].addr != 0) {
        away--;
    }
    r->table[away & mask] = was;
    live->addr = 0;
    bool is_valid = registry_is_valid();
    r->table[away & mask].addr = 0;
    *live = was;
    assert_false(is_valid);
    assert_true(registry_is_valid());
}

// Entries with neighbouring homes, removed in many orders: the others are found after each removal.
static void removal_from_a_long_cluster_loses_nobody(void **state)
{
    (void)state;
    enum { ENTRIES = 31 };
    uintptr_t addr[ENTRIES];
    hz3_lock_acquire(&r->lock);
    for (uint32_t stride = 1; stride < ENTRIES; stride++) {
        uint32_t n = 0;
        uint32_t home = UINT32_MAX;
        for (uintptr_t page = 1; n < ENTRIES; page++) {
            uintptr_t candidate = page << HZ3_PAGE_SHIFT;
            hz3_registry_insert((Hz3Mapping){.addr = candidate, .bytes = HZ3_PAGE_SIZE});
            uint32_t at = (uint32_t)(hz3_registry_find(candidate) - r->table);
            if (home == UINT32_MAX || at - home < 2 * ENTRIES) {
                home = n == 0 ? at : home;
                addr[n++] = candidate;
            } else {
                hz3_registry_remove(&r->table[at]);
            }
        }
        for (uint32_t i = 0; i < ENTRIES; i++) {
            hz3_registry_remove(hz3_registry_find(addr[(i * stride) % ENTRIES]));
            bool is_valid = hz3_registry_is_valid();
            assert_true(is_valid);
        }
    }
    hz3_lock_release(&r->lock);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_EPOCH_TICK_MS=0", NULL}); // an epoch trims the cache, too
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(validator_sees_wrong_sums, set_up, tear_down),
        cmocka_unit_test_setup_teardown(validator_sees_wrong_entries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(validator_sees_an_entry_that_is_not_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removal_from_a_long_cluster_loses_nobody, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
