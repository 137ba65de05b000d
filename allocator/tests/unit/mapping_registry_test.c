// The registry of mappings: the validator that debug builds ask, and the table when its clusters are long.
#include "support.h"

#include "base/hz3_os.h"
#include "large/hz3_mapping.h"
#include "large/hz3_mapping_cache.h"
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

static Hz3Mapping *record_of(const void *p)
{
    hz3_lock_acquire(&r->lock);
    uint32_t at = hz3_registry_find((uintptr_t)p);
    hz3_lock_release(&r->lock);
    assert_int_not_equal(at, 0);
    return &r->mapping[at];
}

static Hz3MappingKey *entry_of(const void *p)
{
    for (uint32_t i = 0; i < r->table_cap; i++) {
        if (r->table[i].key == (uintptr_t)p) {
            return &r->table[i];
        }
    }
    fail_msg("no entry for %p", p);
    return NULL;
}

// Eight mappings, two of which are freed; others lie between these two.
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
    return r->used == 8 && r->live == 6 && r->dirty_bytes == 10 * MIB ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(block); i++) {
        hz3_mapping_free(block[i]);
    }
    hz3_mapping_trim(true);
    return r->used == 0 && r->dirty_bytes == 0 ? 0 : -1;
}

static void validator_sees_wrong_sums(void **state)
{
    (void)state;
    UNIT_EXPECT_SEEN(r->live, r->live + 1, registry_is_valid());
    UNIT_EXPECT_SEEN(r->used, r->used + 1, registry_is_valid());
    UNIT_EXPECT_SEEN(r->live_bytes, r->live_bytes + HZ3_PAGE_SIZE, registry_is_valid());
    UNIT_EXPECT_SEEN(r->promised, r->table_cap / 4, registry_is_valid());
    UNIT_EXPECT_SEEN(r->dirty_bytes, 0, registry_is_valid());
    UNIT_EXPECT_SEEN(r->clean_bytes, HZ3_PAGE_SIZE, registry_is_valid());
    UNIT_EXPECT_SEEN(r->oldest, r->newest, registry_is_valid());
    UNIT_EXPECT_SEEN(r->newest, 0, registry_is_valid());
    UNIT_EXPECT_SEEN(r->dirty.filled[1], 0, registry_is_valid());
}

static void validator_sees_wrong_records(void **state)
{
    (void)state;
    Hz3Mapping *live = record_of(block[0]);
    Hz3Mapping *freed = &r->mapping[r->oldest];
    UNIT_EXPECT_SEEN(live->addr, live->addr + 16, registry_is_valid());
    UNIT_EXPECT_SEEN(live->bytes, live->bytes + 1, registry_is_valid());
    UNIT_EXPECT_SEEN(live->addr, (uintptr_t)block[2], registry_is_valid());
    UNIT_EXPECT_SEEN(live->state, HZ3_MAPPING_UNUSED, registry_is_valid());
    UNIT_EXPECT_SEEN(live->state, HZ3_MAPPING_CLEAN, registry_is_valid());
    UNIT_EXPECT_SEEN(freed->state, HZ3_MAPPING_LIVE, registry_is_valid());
    UNIT_EXPECT_SEEN(freed->bytes, freed->bytes + HZ3_PAGE_SIZE, registry_is_valid());
    UNIT_EXPECT_SEEN(freed->reserved, HZ3_PAGE_SIZE, registry_is_valid());
    UNIT_EXPECT_SEEN(freed->prev, r->newest, registry_is_valid());
    UNIT_EXPECT_SEEN(freed->older, r->newest, registry_is_valid());
    UNIT_EXPECT_SEEN(freed->trims, freed->trims + 1, registry_is_valid());
}

// Two that touch, as putting one back without a look at its neighbours would leave them.
static void validator_sees_neighbours(void **state)
{
    (void)state;
    bool is_zero;
    hz3_mapping_trim(true);
    char *p = hz3_mapping_alloc(4 * MIB, HZ3_PAGE_SIZE, &is_zero);
    assert_ptr_equal(hz3_mapping_resize(p, 2 * MIB), p);
    hz3_lock_acquire(&r->lock);
    uint32_t at = hz3_registry_find((uintptr_t)p);
    uint32_t freed = hz3_registry_find_freed((uintptr_t)p + 2 * MIB);
    hz3_registry_drop_end(freed); // so that nobody finds the other one
    hz3_registry_drop_start(freed);
    hz3_mapping_cache_put(at);
    hz3_registry_add_start(freed);
    hz3_registry_add_end(freed);
    bool is_valid = hz3_registry_is_valid();
    hz3_lock_release(&r->lock);
    assert_false(is_valid);
    hz3_mapping_trim(true);
    assert_true(registry_is_valid());
}

// An entry that stands before its home, where no search for it comes by.
static void validator_sees_an_entry_that_is_not_found(void **state)
{
    (void)state;
    Hz3MappingKey *live = entry_of(block[0]);
    Hz3MappingKey was = *live;
    uint32_t mask = r->table_cap - 1;
    uint32_t away = (uint32_t)(live - r->table);
    while (r->table[away & mask].key != 0 || r->table[(away - 1) & mask].key != 0) {
        away--;
    }
    r->table[away & mask] = was;
    *live = (Hz3MappingKey){0, 0};
    bool is_valid = registry_is_valid();
    r->table[away & mask] = (Hz3MappingKey){0, 0};
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
            uint32_t record = hz3_registry_insert(candidate, HZ3_PAGE_SIZE, 0);
            uint32_t at = (uint32_t)(entry_of((void *)candidate) - r->table);
            if (home == UINT32_MAX || at - home < 2 * ENTRIES) {
                home = n == 0 ? at : home;
                addr[n++] = candidate;
            } else {
                hz3_registry_remove(record);
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
        cmocka_unit_test_setup_teardown(validator_sees_wrong_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(validator_sees_neighbours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(validator_sees_an_entry_that_is_not_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removal_from_a_long_cluster_loses_nobody, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
