// The registry of mappings, their splits, merges and resizes, and a kernel that refuses: against the model of
// mapping_model.h.
#include "mapping_model.h"

#include "base/hz3_knobs.h"
#include "large/hz3_mapping_registry.h"
#include "pages/hz3_arena.h"

static bool registry_is_valid(void)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    bool is_valid = hz3_registry_is_valid();
    hz3_lock_release(&hz3_mappings.lock);
    return is_valid;
}

static size_t random_bytes(uint64_t *rng)
{
    return MIB + unit_random_below(rng, 1024) * HZ3_PAGE_SIZE;
}

// --- registry ---

// Sanitized, each step takes ten times as long.
#ifdef __SANITIZE_ADDRESS__
#define SHORTER 10
#else
#define SHORTER 1
#endif

static void random_walk(size_t cache_limit, uint32_t live_max, int steps, uint64_t rng)
{
    checked_trim(true);
    hz3_knobs.MAPPED_CACHE_BYTES = cache_limit;
    for (int step = 0; step < steps; step++) {
        uint32_t kind = unit_random_below(&rng, 100);
        bool grows = (step / 5000) % 2 == 0; // in turns, so that the table grows and then empties
        if (kind < 1) {
            checked_trim(unit_random_below(&rng, 4) == 0);
        } else if (kind < 10 && n_live > 0) {
            checked_resize(unit_random_below(&rng, n_live), random_bytes(&rng));
        } else if (n_live < live_max && (kind < (grows ? 65 : 35) || n_live == 0)) {
            size_t align = unit_random_below(&rng, 8) == 0 ? HZ3_PAGE_SIZE << unit_random_below(&rng, 6) : 16;
            checked_alloc(random_bytes(&rng), align);
        } else {
            checked_free(unit_random_below(&rng, n_live));
        }
        for (uint32_t i = 0; i < 4 && n_live > 0; i++) {
            const Block *b = &live[unit_random_below(&rng, n_live)];
            assert_int_equal(hz3_mapping_size(b->p), b->bytes);
            assert_int_equal(hz3_mapping_size((char *)b->p + 16), 0);
        }
        check_figures();
        assert_true(step % 256 != 0 || registry_is_valid());
    }
}

static void walks_match_the_model(void **state)
{
    (void)state;
    random_walk(64 * MIB, 4000, 40000 / SHORTER, 7);
    random_walk(4096 * MIB, 4000, 20000 / SHORTER, 8);
    random_walk(0, 4000, 20000 / SHORTER, 9);        // nothing is kept
    random_walk(64 * MIB, 500, 20000 / SHORTER, 10); // freed ones lose their addresses, too
}

static void thousands_are_found_and_removed(void **state)
{
    (void)state;
    uint64_t rng = 10;
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < COUNT_OF(live); i++) {
            checked_alloc(MIB, 16);
        }
        for (uint32_t i = 0; i < n_live; i++) {
            assert_int_equal(hz3_mapping_size(live[i].p), live[i].bytes);
        }
        while (n_live > 0) {
            checked_free(unit_random_below(&rng, n_live));
        }
        check_figures();
    }
}

// --- freed ones ---

// Free mappings of these sizes that do not touch. Returns the first one's address.
static void *fill(const size_t *pages, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        checked_alloc(pages[i] * HZ3_PAGE_SIZE, 16);
        mapping_kernel.next++;
    }
    void *first = live[0].p;
    while (n_live > 0) {
        checked_free(n_live - 1);
    }
    return first;
}

static void the_tightest_bin_serves(void **state)
{
    (void)state;
    static const size_t pages[] = {330, 300, 400, 500};
    char *p330 = fill(pages, COUNT_OF(pages));
    assert_ptr_equal(checked_alloc(320 * HZ3_PAGE_SIZE, 16), p330);
    assert_int_equal(live[0].bytes, 330 * HZ3_PAGE_SIZE);
    uint32_t maps = mapping_kernel.maps;
    checked_alloc(511 * HZ3_PAGE_SIZE, 16);
    assert_int_equal(mapping_kernel.maps, maps + 1); // nothing is put together for a larger one
}

static void mappings_split_and_merge(void **state)
{
    (void)state;
    char *p1000 = fill((const size_t[]){1000}, 1);
    assert_ptr_equal(checked_alloc(300 * HZ3_PAGE_SIZE, 16), p1000);
    assert_int_equal(live[0].bytes, 300 * HZ3_PAGE_SIZE);
    assert_ptr_equal(checked_alloc(350 * HZ3_PAGE_SIZE, 16), p1000 + 300 * HZ3_PAGE_SIZE);
    assert_ptr_equal(checked_alloc(312 * HZ3_PAGE_SIZE, 16), p1000 + 650 * HZ3_PAGE_SIZE);
    assert_int_equal(live[2].bytes, 350 * HZ3_PAGE_SIZE); // an eighth more than 312 is more than 350
    assert_int_equal(cached_bytes(), 0);
    checked_free(0); // the left one
    checked_free(0); // the right one
    checked_free(0); // and the one between them
    assert_int_equal(hz3_mappings.used, 1);
    assert_ptr_equal(checked_alloc(1000 * HZ3_PAGE_SIZE, 16), p1000);
}

static void the_rest_of_a_split_is_as_old_as_the_whole(void **state)
{
    (void)state;
    fill((const size_t[]){1000}, 1);
    checked_trim(false);
    checked_alloc(300 * HZ3_PAGE_SIZE, 16);
    assert_int_equal(hz3_mapping_trim(false), 700);
    check_figures();
}

// --- resize ---

static void a_mapping_shrinks_where_it_is(void **state)
{
    (void)state;
    char *p = checked_alloc(40 * MIB, 16);
    assert_ptr_equal(checked_resize(0, 22 * MIB), p);
    assert_int_equal(cached_bytes(), 18 * MIB);
    assert_ptr_equal(checked_alloc(18 * MIB, 16), p + 22 * MIB);
}

static void a_mapping_grows_where_it_is(void **state)
{
    (void)state;
    char *p = fill((const size_t[]){20 * MIB / HZ3_PAGE_SIZE}, 1);
    assert_ptr_equal(checked_alloc(5 * MIB, 16), p);
    assert_ptr_equal(checked_resize(0, 12 * MIB), p);
    assert_ptr_equal(checked_resize(0, 20 * MIB), p);
    assert_int_equal(cached_bytes(), 0);
    mapping_kernel.refuse_remaps = true;
    assert_null(hz3_mapping_resize(p, 21 * MIB));
    mapping_kernel.refuse_remaps = false;
    assert_int_equal(hz3_mapping_size(p), 20 * MIB);
}

// --- a kernel that refuses ---

static void refused_map_loses_nothing(void **state)
{
    (void)state;
    checked_alloc(2 * MIB, 16);
    uint32_t tables = mapping_kernel.tables_mapped;
    bool is_zero;
    for (int i = 0; i < 40000 / SHORTER; i++) {
        mapping_kernel.refuse_maps = 2; // the second try comes only when the cache gave something back
        assert_null(hz3_mapping_alloc(2 * MIB, 16, &is_zero));
        mapping_kernel.refuse_maps = 0;
    }
    assert_int_equal(mapping_kernel.tables_mapped, tables); // no room stays promised
    check_figures();
    checked_alloc(2 * MIB, 16);
}

static void refused_map_is_tried_again_without_the_freed(void **state)
{
    (void)state;
    checked_alloc(2 * MIB, 16);
    checked_alloc(3 * MIB, 16);
    checked_free(0);
    mapping_kernel.refuse_maps = 1;
    checked_alloc(8 * MIB, 16);
    assert_int_equal(mapping_kernel.refuse_maps, 0);
    assert_int_equal(cached_bytes(), 0);
    check_figures();
}

static void refused_map_is_tried_again_without_their_addresses(void **state)
{
    (void)state;
    holes_after_a_trim(4 * KEEPS_ADDRESSES_FROM);
    assert_true(hz3_mapping_figures().kept_bytes != 0);
    mapping_kernel.refuse_maps = 1;
    checked_alloc(800 * MIB, 16);
    assert_int_equal(mapping_kernel.refuse_maps, 0);
    assert_int_equal(hz3_mapping_figures().kept_bytes, 0);
    check_figures();
}

static void refused_table_loses_nothing(void **state)
{
    (void)state;
    hz3_knobs.MAPPED_CACHE_BYTES = 0;
    checked_alloc(MIB, 16); // the first table is there
    bool is_zero;
    mapping_kernel.refuse_tables = true;
    void *p;
    uint32_t n = 0;
    while (n < COUNT_OF(live) - 2 && (p = hz3_mapping_alloc(MIB, 16, &is_zero)) != NULL) {
        enter(p);
        n++;
    }
    bool was_refused = n < COUNT_OF(live) - 2;
    assert_null(hz3_mapping_alloc(MIB, 16, &is_zero));
    mapping_kernel.refuse_tables = false;
    assert_true(was_refused);
    check_figures();
    checked_alloc(MIB, 16);
    for (uint32_t i = 0; i < n_live; i++) {
        assert_int_equal(hz3_mapping_size(live[i].p), live[i].bytes);
    }
}

static void refused_resize_keeps_the_old(void **state)
{
    (void)state;
    checked_alloc(2 * MIB, 16);
    mapping_kernel.refuse_remaps = true;
    assert_null(hz3_mapping_resize(live[0].p, 4 * MIB));
    mapping_kernel.refuse_remaps = false;
    assert_int_equal(hz3_mapping_size(live[0].p), 2 * MIB);
    check_figures();
    checked_resize(0, 4 * MIB);
    check_figures();
}

static void resize_freed(void *p)
{
    hz3_mapping_resize(p, 4 * MIB);
}

static void resize_of_no_mapping_aborts(void **state)
{
    (void)state;
    void *p = checked_alloc(2 * MIB, 16);
    checked_free(0);
    unit_expect_abort(resize_freed, p, "not a live block");
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_EPOCH_TICK_MS=0", NULL}); // an epoch trims the cache, too
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(refused_table_loses_nothing, mapping_set_up), // first: the table is still small
        cmocka_unit_test_setup(walks_match_the_model, mapping_set_up),
        cmocka_unit_test_setup(thousands_are_found_and_removed, mapping_set_up),
        cmocka_unit_test_setup(the_tightest_bin_serves, mapping_set_up),
        cmocka_unit_test_setup(mappings_split_and_merge, mapping_set_up),
        cmocka_unit_test_setup(the_rest_of_a_split_is_as_old_as_the_whole, mapping_set_up),
        cmocka_unit_test_setup(a_mapping_shrinks_where_it_is, mapping_set_up),
        cmocka_unit_test_setup(a_mapping_grows_where_it_is, mapping_set_up),
        cmocka_unit_test_setup(refused_map_loses_nothing, mapping_set_up),
        cmocka_unit_test_setup(refused_map_is_tried_again_without_the_freed, mapping_set_up),
        cmocka_unit_test_setup(refused_map_is_tried_again_without_their_addresses, mapping_set_up),
        cmocka_unit_test_setup(refused_resize_keeps_the_old, mapping_set_up),
        cmocka_unit_test_setup(resize_of_no_mapping_aborts, mapping_set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
