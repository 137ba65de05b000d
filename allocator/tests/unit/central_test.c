// The middle layer through its own entry points. A class whose depot_cap is set to 0 sends every object straight to its
// run.
#include "central_support.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena_support.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"

static uint32_t run_of(const void *object)
{
    return hz3_run_of_page(hz3_page_of(object));
}

// --- take and give -----------------------------------------------------------------------------------------------

static unsigned char is_held[64 * HZ3_PAGES_PER_SEG * 256]; // by 16-byte unit of the arena

static unsigned char *held_flag(const void *object)
{
    return &is_held[((uintptr_t)object - hz3_arena.base) / 16];
}

static void objects_are_distinct_and_whole(void **state)
{
    (void)state;
    for (uint32_t cls = HZ3_CLASS_FIRST; cls <= HZ3_CLASS_LAST; cls++) {
        uint32_t n = hz3_class_is_medium(cls) ? 64 : 1000;
        take(1, cls, n);
        for (uint32_t i = 0; i < n; i++) {
            assert_true(hz3_object_starts_at(cls, objects[i]));
            assert_int_equal(hz3_tag_of(hz3_page_of(objects[i])), cls);
            assert_int_equal(*held_flag(objects[i]), 0);
            *held_flag(objects[i]) = 1;
            assert_true(hz3_class_is_medium(cls) || hz3_run_is_valid(run_of(objects[i]), cls));
        }
        for (uint32_t i = 0; i < n; i++) {
            *held_flag(objects[i]) = 0;
        }
        give(1, cls, n);
    }
    drain_all();
    assert_int_equal(taken_pages(), taken_before);
}

static bool share_a_line(uint32_t a, uint32_t b, uint32_t size)
{
    uintptr_t low = (uintptr_t)objects[a], high = (uintptr_t)objects[b];
    if (low > high) return share_a_line(b, a, size);
    return (low + size - 1) / 64 == high / 64;
}

static void blocks_that_follow_each_other_share_no_line(void **state)
{
    (void)state;
    static const uint32_t tiny[] = {HZ3_CLASS_16, HZ3_CLASS_32, HZ3_CLASS_48};
    for (uint32_t t = 0; t < sizeof tiny / sizeof *tiny; t++) {
        take(1, tiny[t], 40);
        for (uint32_t i = 0; i < 40; i++) {
            for (uint32_t j = 0; j < i; j++)
                assert_false(share_a_line(i, j, hz3_classes[tiny[t]].size));
        }
        give(1, tiny[t], 40);
    }
}

static void depot_returns_the_newest_first(void **state)
{
    (void)state;
    take(1, HZ3_CLASS_64, 40);
    void *given[40];
    memcpy(given, objects, sizeof given);
    give(2, HZ3_CLASS_64, 40); // another shard's objects wait here too
    uint64_t misses = hz3_stat_sum(depot_misses);
    take(2, HZ3_CLASS_64, 15);
    take(2, HZ3_CLASS_64, 25);
    assert_int_equal(hz3_stat_sum(depot_misses), misses);
    assert_memory_equal(objects, given + 25, 15 * sizeof given[0]);
    assert_memory_equal(objects + 15, given, 25 * sizeof given[0]);
    give(2, HZ3_CLASS_64, 40);
    drain_all();
    assert_int_equal(taken_pages(), taken_before);
}

static void every_offset_of_a_run_is_a_start_or_not(void **state)
{
    (void)state;
    for (uint32_t cls = HZ3_CLASS_FIRST; cls <= HZ3_CLASS_SMALL_LAST; cls++) {
        take(1, cls, 1);
        char *base = hz3_page_addr(run_of(objects[0]));
        for (uint32_t offset = 0; offset < hz3_classes[cls].pages * HZ3_PAGE_SIZE; offset++) {
            assert_int_equal(run_of(base + offset), hz3_page_of(base));
            assert_int_equal(hz3_object_starts_at(cls, base + offset), offset % hz3_classes[cls].size == 0);
        }
        give(1, cls, 1);
    }
}

// --- faults of the caller ----------------------------------------------------------------------------------------

static void give_twice_in_one_batch(void *class_arg)
{
    uint32_t cls = *(uint32_t *)class_arg;
    take(1, cls, 20);
    objects[17] = objects[3];
    give(1, cls, 20);
    drain_all();
}

static void give_twice_with_a_drain_between(void *class_arg)
{
    uint32_t cls = *(uint32_t *)class_arg;
    take(1, cls, 2); // the second keeps a small run alive
    void *object = objects[0];
    hz3_central_give(1, cls, &object, 1);
    drain_all();
    hz3_central_give(1, cls, &object, 1);
    drain_all();
}

static void give_twice_across_shards(void *class_arg)
{
    uint32_t cls = *(uint32_t *)class_arg;
    take(1, cls, 2);
    void *object = objects[0];
    hz3_central_give(1, cls, &object, 1);
    hz3_central_give(2, cls, &object, 1);
    drain_all();
}

// Nothing settles a depot any more when the program ends; the exit looks at the newest objects.
static void give_twice_and_exit(void *class_arg)
{
    uint32_t cls = *(uint32_t *)class_arg;
    take(1, cls, 2);
    void *object = objects[0];
    hz3_central_give(1, cls, &object, 1);
    hz3_central_give(1, cls, &object, 1);
    exit(0);
}

static void give_after_the_run_is_gone(void *class_arg)
{
    uint32_t cls = *(uint32_t *)class_arg;
    take(1, cls, 1);
    void *object = objects[0];
    give(1, cls, 1);
    drain_all();
    hz3_central_give(1, cls, &object, 1);
    drain_all();
}

static void give_interior(void *class_arg)
{
    uint32_t cls = *(uint32_t *)class_arg;
    take(1, cls, 1);
    void *object = (char *)objects[0] + 16;
    hz3_central_give(1, cls, &object, 1);
    drain_all();
}

static void double_frees_abort(void **state)
{
    (void)state;
    uint32_t classes[] = {HZ3_CLASS_FIRST, HZ3_CLASS_64, HZ3_CLASS_SMALL_LAST, HZ3_CLASS_8192, HZ3_CLASS_LAST};
    for (size_t i = 0; i < COUNT_OF(classes); i++) {
        char message[80];
        snprintf(message, sizeof message, "double free: the block of %u bytes", hz3_classes[classes[i]].size);
        unit_expect_abort(give_twice_in_one_batch, &classes[i], message);
        unit_expect_abort(give_twice_with_a_drain_between, &classes[i], message);
        unit_expect_abort(give_twice_across_shards, &classes[i], message);
        unit_expect_abort(give_twice_and_exit, &classes[i], message);
        unit_expect_abort(give_after_the_run_is_gone, &classes[i], message);
    }
}

static void interior_pointers_abort(void **state)
{
    (void)state;
    uint32_t classes[] = {HZ3_CLASS_32, HZ3_CLASS_64, HZ3_CLASS_SMALL_LAST, HZ3_CLASS_8192};
    for (size_t i = 0; i < COUNT_OF(classes); i++) {
        unit_expect_abort(give_interior, &classes[i], "interior pointer");
    }
}

// --- owners ------------------------------------------------------------------------------------------------------

static void objects_go_back_to_their_owners_runs(void **state)
{
    (void)state;
    hz3_classes[HZ3_CLASS_64].depot_cap = 0;
    take(1, HZ3_CLASS_64, 64);
    take(3, HZ3_CLASS_64, 64);
    uint32_t run[2] = {run_of(objects[0]), run_of(objects[64])};
    uint32_t free_objs[2] = {hz3_arena.run[run[0]].free_objs, hz3_arena.run[run[1]].free_objs};
    assert_int_equal(hz3_arena.run[run[0]].shard, 1);
    assert_int_equal(hz3_arena.run[run[1]].shard, 3);
    void *mixed[HZ3_BATCH_MAX];
    for (uint32_t i = 0; i < 64; i++) {
        mixed[2 * i] = objects[i];
        mixed[2 * i + 1] = objects[64 + i];
    }
    hz3_central_give(2, HZ3_CLASS_64, mixed, 100);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(hz3_arena.run[run[i]].free_objs, free_objs[i] + 50);
        assert_true(hz3_run_is_valid(run[i], HZ3_CLASS_64));
    }
    hz3_central_give(2, HZ3_CLASS_64, mixed + 100, 28);
    n_objects = 0;
    drain_all();
    assert_int_equal(taken_pages(), taken_before);
}

// --- drain -------------------------------------------------------------------------------------------------------

static void at_most_one_empty_run_is_kept(void **state)
{
    (void)state;
    for (uint32_t cls = HZ3_CLASS_FIRST; cls <= HZ3_CLASS_SMALL_LAST; cls++) {
        hz3_classes[cls].depot_cap = 0;
        take(1, cls, 5 * hz3_classes[cls].objs);
        assert_true(taken_pages() >= taken_before + 5 * hz3_classes[cls].pages);
        give(1, cls, n_objects);
        assert_int_equal(taken_pages(), taken_before + hz3_classes[cls].pages);
        drain_all();
        assert_int_equal(taken_pages(), taken_before);
    }
}

// What lay in the depot below its lowest level since the last drain goes, and no more.
static void surplus_is_what_lay_below_the_low_water_mark(void **state)
{
    (void)state;
    take(1, HZ3_CLASS_8192, 30);
    give(1, HZ3_CLASS_8192, 30);
    hz3_central_drain(HZ3_DRAIN_SURPLUS, true, UINT64_MAX);
    assert_int_equal(taken_pages(), taken_before + 30 * 2); // all of them came since the last drain
    take(1, HZ3_CLASS_8192, 10);
    give(1, HZ3_CLASS_8192, 10);
    uint64_t runs = hz3_stat_sum(reclaim_runs);
    size_t pages = hz3_central_drain(HZ3_DRAIN_SURPLUS, true, UINT64_MAX);
    assert_int_equal(pages, 20 * 2);
    assert_int_equal(hz3_stat_sum(reclaim_runs) - runs, 20);
    assert_int_equal(taken_pages(), taken_before + 10 * 2);
    pages = hz3_central_drain(HZ3_DRAIN_SURPLUS, true, UINT64_MAX);
    assert_int_equal(pages, 10 * 2); // nobody wanted those either
    assert_int_equal(taken_pages(), taken_before);
}

static void medium_budget_bounds_a_drain(void **state)
{
    (void)state;
    take(1, HZ3_CLASS_8192, 30);
    take(2, HZ3_CLASS_8192, 30);
    give(2, HZ3_CLASS_8192, 30);
    give(1, HZ3_CLASS_8192, 30);
    assert_int_equal(hz3_central_drain(HZ3_DRAIN_ALL, false, UINT64_MAX), 0);
    assert_int_equal(hz3_central_drain(HZ3_DRAIN_ALL, true, 7), 7 * 2);
    assert_int_equal(hz3_central_drain(HZ3_DRAIN_ALL, true, 33), 33 * 2);
    assert_int_equal(hz3_central_drain(HZ3_DRAIN_ALL, true, UINT64_MAX), 20 * 2);
    assert_int_equal(taken_pages(), taken_before);
}

// Whoever holds them last: objects that wait in one shard and belong to another leave no page behind.
static void one_drain_returns_every_page(void **state)
{
    (void)state;
    for (uint32_t owner = 1; owner < SHARD_COUNT; owner++) {
        for (uint32_t giver = 1; giver < SHARD_COUNT; giver++) {
            for (uint32_t cls = HZ3_CLASS_FIRST; cls <= HZ3_CLASS_LAST; cls += 5) {
                take(owner, cls, 30);
                give(giver, cls, 30);
            }
            drain_all();
            assert_int_equal(taken_pages(), taken_before);
        }
    }
}

// --- a random walk -----------------------------------------------------------------------------------------------

static const uint32_t walked_classes[] = {HZ3_CLASS_FIRST,      HZ3_CLASS_64,           HZ3_CLASS_112,  HZ3_CLASS_1024,
                                          HZ3_CLASS_SMALL_LAST, HZ3_CLASS_MEDIUM_FIRST, HZ3_CLASS_8192, HZ3_CLASS_LAST};
typedef struct Walked {
    void *object;
    uint32_t cls;
} Walked;

static Walked walked[6000];
static uint32_t n_walked;

static void walk_take(uint64_t *rng)
{
    uint32_t cls = walked_classes[unit_random_below(rng, COUNT_OF(walked_classes))];
    uint32_t want = 1 + unit_random_below(rng, HZ3_BATCH_MAX);
    void *batch[HZ3_BATCH_MAX];
    uint32_t n = hz3_central_take(1 + unit_random_below(rng, SHARD_COUNT - 1), cls, batch, want);
    assert_in_range(n, 1, want);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(*held_flag(batch[i]), 0);
        *held_flag(batch[i]) = 1;
        walked[n_walked++] = (Walked){batch[i], cls};
    }
}

static void walk_give(uint64_t *rng)
{
    void *batch[HZ3_BATCH_MAX];
    uint32_t cls = walked[unit_random_below(rng, n_walked)].cls;
    uint32_t wanted = 1 + unit_random_below(rng, HZ3_BATCH_MAX);
    uint32_t n = 0;
    for (uint32_t tries = 0; tries < 4 * wanted && n < wanted && n_walked > 0; tries++) {
        uint32_t i = unit_random_below(rng, n_walked);
        if (walked[i].cls == cls) {
            batch[n++] = walked[i].object;
            *held_flag(walked[i].object) = 0;
            walked[i] = walked[--n_walked];
        }
    }
    hz3_central_give(1 + unit_random_below(rng, SHARD_COUNT - 1), cls, batch, n);
}

static void assert_held_runs_valid(void)
{
    for (uint32_t i = 0; i < n_walked; i++) {
        if (!hz3_class_is_medium(walked[i].cls)) {
            assert_true(hz3_run_is_valid(run_of(walked[i].object), walked[i].cls));
        }
    }
}

static void random_walk_hands_nothing_out_twice(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < COUNT_OF(walked_classes); i += 2) {
        hz3_classes[walked_classes[i]].depot_cap = 40; // some full depots, some roomy ones
    }
    uint64_t rng = 5;
    for (int step = 0; step < 20000; step++) {
        if (n_walked + HZ3_BATCH_MAX <= COUNT_OF(walked) && unit_random_below(&rng, 2) == 0) {
            walk_take(&rng);
        } else if (n_walked > 0) {
            walk_give(&rng);
        }
        if (step % 512 == 0) {
            assert_held_runs_valid();
            hz3_central_drain(unit_random_below(&rng, 2) ? HZ3_DRAIN_ALL : HZ3_DRAIN_SURPLUS, true, 100);
        }
    }
    while (n_walked > 0) {
        walk_give(&rng);
    }
    drain_all();
    assert_int_equal(taken_pages(), taken_before);
}

// --- the whole way: malloc, free, trim ---------------------------------------------------------------------------

static void trim_returns_every_page_that_was_freed(void **state)
{
    (void)state;
    static void *block[20000];
    uint64_t rng = 6;
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < COUNT_OF(block); i++) {
            block[i] = malloc(unit_random_below(&rng, 1u << (5 + unit_random_below(&rng, 8))));
            assert_non_null(block[i]);
        }
        assert_true(taken_pages() > taken_before + 1000);
        for (uint32_t i = 0; i < COUNT_OF(block); i++) {
            free(block[(i * 7919u) % COUNT_OF(block)]);
        }
        malloc_trim(0);
        assert_int_equal(taken_pages(), taken_before);
        assert_true(hz3_central_cached_bytes() < 16 * HZ3_PAGE_SIZE); // in runs that this program still uses
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=128M", "HZ3_SHARDS=4", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(objects_are_distinct_and_whole, central_set_up),
        cmocka_unit_test_setup(blocks_that_follow_each_other_share_no_line, central_set_up),
        cmocka_unit_test_setup(depot_returns_the_newest_first, central_set_up),
        cmocka_unit_test_setup(every_offset_of_a_run_is_a_start_or_not, central_set_up),
        cmocka_unit_test_setup(double_frees_abort, central_set_up),
        cmocka_unit_test_setup(interior_pointers_abort, central_set_up),
        cmocka_unit_test_setup(objects_go_back_to_their_owners_runs, central_set_up),
        cmocka_unit_test_setup(at_most_one_empty_run_is_kept, central_set_up),
        cmocka_unit_test_setup(surplus_is_what_lay_below_the_low_water_mark, central_set_up),
        cmocka_unit_test_setup(medium_budget_bounds_a_drain, central_set_up),
        cmocka_unit_test_setup(one_drain_returns_every_page, central_set_up),
        cmocka_unit_test_setup(random_walk_hands_nothing_out_twice, central_set_up),
        cmocka_unit_test_setup(trim_returns_every_page_that_was_freed, central_set_up),
    };
    return cmocka_run_group_tests(tests, central_remember_classes, NULL);
}
