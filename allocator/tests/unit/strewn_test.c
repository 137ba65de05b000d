// Blocks that are freed at random: a batch that goes back has one block of each run (put_strewn in hz3_partial.c).
#include <stdio.h>

#include "central_support.h"

#include "arena_support.h"
#include "middle/hz3_central_state.h"
#include "middle/hz3_partial_news.h"

enum { RUNS = 8, SHARD = 1, OTHER_SHARD = 3 };

static const uint32_t classes[] = {HZ3_CLASS_32, HZ3_CLASS_64, HZ3_CLASS_3584};

static void *strewn[2 * OBJECTS_MAX]; // the first block of each run, then the second one of each, and so on

// Takes whole runs. In the first round of blocks each run comes to its list; from the second one on it is there.
static void take_runs(uint32_t shard, uint32_t cls, void **out, uint32_t apart)
{
    uint32_t objs = hz3_classes[cls].objs;
    hz3_classes[cls].depot_cap = 0;
    uint32_t first = n_objects;
    for (uint32_t r = 0; r < RUNS; r++) {
        take(shard, cls, objs);
        for (uint32_t k = 0; k < objs; k++) {
            out[(k * RUNS + r) * apart] = objects[first + r * objs + k];
        }
    }
}

static void give_strewn(uint32_t cls, uint32_t from, uint32_t n)
{
    for (uint32_t batch; n != 0; from += batch, n -= batch) {
        batch = n < HZ3_BATCH_MAX ? n : HZ3_BATCH_MAX;
        hz3_central_give(2, cls, strewn + from, batch);
    }
}

static uint32_t run_at(uint32_t r)
{
    return hz3_run_of_page(hz3_page_of(strewn[r]));
}

static void each_block_goes_back_to_its_run(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(classes); i++) {
        uint32_t cls = classes[i];
        uint32_t objs = hz3_classes[cls].objs;
        take_runs(SHARD, cls, strewn, 1);
        give_strewn(cls, 0, objs / 2 * RUNS);
        n_objects = 0;
        take(SHARD, cls, objs / 2 * RUNS); // the same ones: the runs leave the list
        give_strewn(cls, 0, objs / 2 * RUNS);
        for (uint32_t r = 0; r < RUNS; r++) {
            assert_int_equal(hz3_arena.run[run_at(r)].free_objs, objs / 2);
            assert_true(hz3_run_is_valid(run_at(r), cls));
        }
        assert_int_equal(atomic_load(&hz3_news_of(&hz3_central[SHARD][cls])->free_objs), objs / 2 * RUNS);
        give_strewn(cls, objs / 2 * RUNS, (objs - objs / 2) * RUNS);
        n_objects = 0;
        assert_int_equal(taken_pages(), taken_before + hz3_classes[cls].pages); // an empty run is kept
        drain_all();
        assert_int_equal(taken_pages(), taken_before);
    }
}

static void runs_of_two_owners_go_back_to_both(void **state)
{
    (void)state;
    const uint32_t cls = HZ3_CLASS_64;
    uint32_t objs = hz3_classes[cls].objs;
    take_runs(SHARD, cls, strewn, 2);
    take_runs(OTHER_SHARD, cls, strewn + 1, 2);
    give_strewn(cls, 0, objs / 2 * 2 * RUNS);
    const uint32_t shards[] = {SHARD, OTHER_SHARD};
    for (size_t i = 0; i < COUNT_OF(shards); i++) {
        assert_int_equal(atomic_load(&hz3_news_of(&hz3_central[shards[i]][cls])->free_objs), objs / 2 * RUNS);
    }
    give_strewn(cls, objs / 2 * 2 * RUNS, (objs - objs / 2) * 2 * RUNS);
    n_objects = 0;
    drain_all();
    assert_int_equal(taken_pages(), taken_before);
}

// The partial purge has looked at all of them, and is to hear of those that got a block back.
static void runs_that_got_a_block_back_are_noted(void **state)
{
    (void)state;
    const uint32_t cls = HZ3_CLASS_64;
    Central *c = &hz3_central[SHARD][cls];
    take_runs(SHARD, cls, strewn, 1);
    give_strewn(cls, 0, 2 * RUNS);
    hz3_lock_acquire(&c->lock);
    for (uint32_t r = 0; r < RUNS; r++) {
        hz3_news_forget(c, run_at(r));
        hz3_arena.run[run_at(r)].touched = HZ3_RUN_LOOKED_AT;
    }
    hz3_lock_release(&c->lock);
    assert_int_equal(atomic_load(&hz3_news_of(c)->notes), 0);
    give_strewn(cls, 2 * RUNS, RUNS);
    assert_int_equal(atomic_load(&hz3_news_of(c)->notes), RUNS);
    give_strewn(cls, 3 * RUNS, (hz3_classes[cls].objs - 3) * RUNS);
    n_objects = 0;
}

// --- faults of the caller ----------------------------------------------------------------------------------------

static void give_one_twice(void *class_arg)
{
    uint32_t cls = *(uint32_t *)class_arg;
    take_runs(SHARD, cls, strewn, 1);
    strewn[2 * RUNS + 1] = strewn[RUNS + 1];
    give_strewn(cls, 0, 3 * RUNS);
}

static void give_one_interior(void *class_arg)
{
    uint32_t cls = *(uint32_t *)class_arg;
    take_runs(SHARD, cls, strewn, 1);
    strewn[2 * RUNS + 1] = (char *)strewn[2 * RUNS + 1] + 16;
    give_strewn(cls, 0, 3 * RUNS);
}

// The pages of a run that is gone are another class's, whose run is on its list and known to have got a block back.
static void give_after_the_pages_changed_hands(void *class_arg)
{
    uint32_t cls = *(uint32_t *)class_arg;
    take_runs(SHARD, cls, strewn, 1);
    give_strewn(cls, 0, 2 * RUNS);
    void *gone = strewn[2 * RUNS + 1];
    uint32_t page = hz3_page_of(gone);
    for (uint32_t k = 2; k < hz3_classes[cls].objs; k++) {
        hz3_central_give(SHARD, cls, &strewn[k * RUNS + 1], 1);
    }
    hz3_classes[HZ3_CLASS_16].depot_cap = 0;
    n_objects = 0;
    while (hz3_tag_of(page) != HZ3_CLASS_16) {
        take(SHARD, HZ3_CLASS_16, hz3_classes[HZ3_CLASS_16].objs);
    }
    hz3_central_give(SHARD, HZ3_CLASS_16, &objects[n_objects - 1], 1);
    assert_int_equal(hz3_arena.run[hz3_run_of_page(page)].free_objs, 1);
    give_strewn(cls, 2 * RUNS, RUNS);
}

static void faults_abort(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(classes); i++) {
        uint32_t cls = classes[i];
        char message[80];
        snprintf(message, sizeof message, "double free: the block of %u bytes", hz3_classes[cls].size);
        unit_expect_abort(give_one_twice, &cls, message);
        unit_expect_abort(give_one_interior, &cls, "interior pointer");
    }
    uint32_t cls = HZ3_CLASS_64;
    unit_expect_abort(give_after_the_pages_changed_hands, &cls, "double free: the block of 64 bytes");
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=128M", "HZ3_SHARDS=4", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_block_goes_back_to_its_run, central_set_up),
        cmocka_unit_test_setup(runs_of_two_owners_go_back_to_both, central_set_up),
        cmocka_unit_test_setup(runs_that_got_a_block_back_are_noted, central_set_up),
        cmocka_unit_test_setup(faults_abort, central_set_up),
    };
    return cmocka_run_group_tests(tests, central_remember_classes, NULL);
}
