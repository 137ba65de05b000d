// What the large layer keeps of freed mappings, and for how long: against the model of mapping_model.h.
#include "mapping_model.h"

#include "base/hz3_knobs.h"
#include "large/hz3_mapping_cache.h"
#include "large/hz3_mapping_registry.h"

static void trim_takes_what_was_unused_since_the_last(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        checked_alloc((300 + 100 * i) * HZ3_PAGE_SIZE, 16);
        mapping_kernel.next++; // they do not touch
    }
    checked_free(0);
    assert_int_equal(hz3_mapping_trim(false), 0); // first seen now
    checked_free(0);                              // 500 pages
    assert_int_equal(hz3_mapping_trim(false), 300);
    checked_alloc(500 * HZ3_PAGE_SIZE, 16); // used again: young when it comes back
    checked_free(1);
    assert_int_equal(hz3_mapping_trim(false), 0);
    assert_int_equal(hz3_mapping_trim(false), 500);
    check_figures();
}

static void many_freed_mappings_keep_their_addresses(void **state)
{
    (void)state;
    assert_int_equal(holes_after_a_trim(4 * KEEPS_ADDRESSES_FROM), 0);
    size_t kept = hz3_mapping_figures().kept_bytes;
    assert_int_equal(kept, 2 * KEEPS_ADDRESSES_FROM * MIB);
    uint32_t maps = mapping_kernel.maps;
    for (uint32_t i = 0; i < 2 * KEEPS_ADDRESSES_FROM; i++) {
        checked_alloc(MIB, 16); // it reads as zero, which checked_alloc holds against the kernel's pages
    }
    assert_int_equal(mapping_kernel.maps, maps);
    assert_int_equal(hz3_mapping_figures().kept_bytes, 0);
}

static void few_freed_mappings_give_them_back(void **state)
{
    (void)state;
    assert_true(holes_after_a_trim(KEEPS_ADDRESSES_FROM / 4) != 0);
    assert_int_equal(hz3_mapping_figures().kept_bytes, 0);
}

static void what_is_kept_is_bounded_by_what_was_alive(void **state)
{
    (void)state;
    hz3_knobs.MAPPED_CACHE_BYTES = 4096 * MIB;
    checked_alloc(400 * MIB, 16);
    checked_free(0);
    assert_int_equal(cached_bytes(), 400 * MIB); // it may come again at once
    checked_alloc(400 * MIB, 16);
    for (int i = 0; i < 40; i++) {
        checked_alloc(10 * MIB, 16);
    }
    checked_trim(true);
    for (int i = 0; i < 100; i++) {
        hz3_mapping_trim(false); // forgets by and by that 800 MiB were alive
    }
    for (int i = 0; i < 41; i++) {
        checked_free(0);
    }
    assert_true(cached_bytes() <= 800 * MIB);
    for (int i = 0; i < 30; i++) {
        hz3_mapping_trim(false);
    }
    checked_alloc(100 * MIB, 16);
    checked_free(0);
    assert_true(cached_bytes() <= 200 * MIB);
}

static void what_is_kept_is_a_quarter_of_the_groups_limit(void **state)
{
    (void)state;
    hz3_knobs.MAPPED_CACHE_BYTES = 4096 * MIB;
    hz3_mappings.memory_limit = 0;
    mapping_kernel.memory_limit = 600 * MIB;
    for (int i = 0; i < 10; i++) {
        checked_alloc(40 * MIB, 16);
        mapping_kernel.next++;
    }
    while (n_live > 0) {
        checked_free(0);
    }
    hz3_mappings.memory_limit = 0;
    mapping_kernel.memory_limit = SIZE_MAX;
    assert_true(cached_bytes() <= 150 * MIB && cached_bytes() >= 100 * MIB);
}

// 200 MiB in pieces of 4 MiB between holes.
static void free_200_mib_in_pieces(void)
{
    hz3_knobs.MAPPED_CACHE_BYTES = 4096 * MIB;
    hz3_mappings.peak_bytes = 0;
    for (int i = 0; i < 50; i++) {
        checked_alloc(4 * MIB, 16);
        mapping_kernel.next++;
    }
    while (n_live > 0) {
        checked_free(0);
    }
    assert_int_equal(cached_bytes(), 200 * MIB);
}

static void what_does_not_fit_goes_above_half_again_of_the_peak(void **state)
{
    (void)state;
    free_200_mib_in_pieces();
    static const size_t mib_after[] = {200, 180, 120, 120}; // with 60, 120, 180, 240 alive, of at most 200
    for (int i = 0; i < 4; i++) {
        checked_alloc(60 * MIB, 16);
        assert_int_equal(cached_bytes(), mib_after[i] * MIB);
    }
}

static void a_block_that_moves_counts_as_a_whole(void **state)
{
    (void)state;
    free_200_mib_in_pieces();
    checked_alloc(100 * MIB, 16);
    assert_int_equal(cached_bytes(), 200 * MIB);
    mapping_kernel.next++; // what follows is somebody else's
    checked_resize(0, 180 * MIB);
    assert_int_equal(cached_bytes(), 120 * MIB); // of 300 in all
}

static void half_of_what_lives_stays_while_the_arena_grows(void **state)
{
    (void)state;
    free_200_mib_in_pieces();
    checked_alloc(60 * MIB, 16);
    assert_int_equal(hz3_mapping_make_room(1 * MIB), 1 * MIB); // of one of 4
    assert_int_equal(cached_bytes(), 199 * MIB);
    assert_int_equal(hz3_mapping_make_room(1000 * MIB), 169 * MIB);
    assert_int_equal(hz3_mapping_make_room(1000 * MIB), 0);
}

static void without_a_record_for_the_rest_a_whole_mapping_goes(void **state)
{
    (void)state;
    free_200_mib_in_pieces();
    hz3_lock_acquire(&hz3_mappings.lock);
    uint32_t promised = hz3_mappings.promised;
    while (hz3_registry_has_room()) {
        hz3_mappings.promised++;
    }
    uint32_t added = hz3_mappings.promised - promised;
    hz3_lock_release(&hz3_mappings.lock);
    assert_int_equal(hz3_mapping_make_room(1 * MIB), 4 * MIB);
    hz3_lock_acquire(&hz3_mappings.lock);
    hz3_mappings.promised -= added;
    hz3_lock_release(&hz3_mappings.lock);
}

static void a_locked_mapping_loses_its_addresses(void **state)
{
    (void)state;
    mapping_kernel.refuse_purges = true;
    assert_int_equal(holes_after_a_trim(4 * KEEPS_ADDRESSES_FROM) != 0, true);
    mapping_kernel.refuse_purges = false;
    assert_int_equal(hz3_mapping_figures().kept_bytes, 0);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_EPOCH_TICK_MS=0", NULL}); // an epoch trims the cache, too
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(trim_takes_what_was_unused_since_the_last, mapping_set_up),
        cmocka_unit_test_setup(many_freed_mappings_keep_their_addresses, mapping_set_up),
        cmocka_unit_test_setup(few_freed_mappings_give_them_back, mapping_set_up),
        cmocka_unit_test_setup(what_is_kept_is_bounded_by_what_was_alive, mapping_set_up),
        cmocka_unit_test_setup(what_is_kept_is_a_quarter_of_the_groups_limit, mapping_set_up),
        cmocka_unit_test_setup(what_does_not_fit_goes_above_half_again_of_the_peak, mapping_set_up),
        cmocka_unit_test_setup(a_block_that_moves_counts_as_a_whole, mapping_set_up),
        cmocka_unit_test_setup(half_of_what_lives_stays_while_the_arena_grows, mapping_set_up),
        cmocka_unit_test_setup(without_a_record_for_the_rest_a_whole_mapping_goes, mapping_set_up),
        cmocka_unit_test_setup(a_locked_mapping_loses_its_addresses, mapping_set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
