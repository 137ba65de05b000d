// Pages inside runs of small objects that live on: the partial purge, with a kernel that refuses on demand.
#include "support.h"

#include <string.h>

#include "base/hz3_os.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"
#include "middle/hz3_central.h"
#include "middle/hz3_central_state.h"
#include "middle/hz3_partial_news.h"
#include "middle/hz3_small.h"
#include "pages/hz3_arena.h"
#include "policy/hz3_epoch.h"
#include "policy/hz3_partial_purge.h"

#define SHARD 0
#define FOR_EVER UINT64_MAX

static uintptr_t refused_from, refused_to; // ranges that begin here are refused

static void refuse(uint32_t page, uint32_t pages)
{
    refused_from = (uintptr_t)hz3_page_addr(page);
    refused_to = (uintptr_t)hz3_page_addr(page + pages);
}

bool __real_hz3_os_purge(void *addr, size_t bytes);
bool __wrap_hz3_os_purge(void *addr, size_t bytes);
bool __wrap_hz3_os_purge(void *addr, size_t bytes)
{
    bool is_refused = (uintptr_t)addr >= refused_from && (uintptr_t)addr < refused_to;
    return !is_refused && __real_hz3_os_purge(addr, bytes);
}

// As the kernel does: up to the first range that it refuses.
uint32_t __wrap_hz3_os_purge_ranges(const Hz3OsRange *ranges, uint32_t n);
uint32_t __wrap_hz3_os_purge_ranges(const Hz3OsRange *ranges, uint32_t n)
{
    uint32_t done = 0;
    while (done < n && __wrap_hz3_os_purge(ranges[done].addr, ranges[done].bytes)) {
        done++;
    }
    return done;
}

static int set_up(void **state)
{
    (void)state;
    hz3_epoch_trim_all();
    return 0;
}

static void *object[64];

static uint32_t run_of(const void *p)
{
    return hz3_run_of_page(hz3_page_of(p));
}

// A run of 32 objects of 1 KiB on 8 pages, all in our hands. What a run has left that serves this program's own mallocs
// is kept for good.
static uint32_t fill_run(void)
{
    uint32_t n = 0;
    hz3_classes[HZ3_CLASS_1024].depot_cap = 0;
    while (n < 32) {
        uint32_t more = hz3_central_take(SHARD, HZ3_CLASS_1024, object + n, 32 - n);
        if (n != 0 && run_of(object[n]) != run_of(object[0])) {
            memmove(object, object + n, more * sizeof *object);
            n = 0;
        }
        n += more;
    }
    uint32_t run = run_of(object[0]);
    for (uint32_t i = 0; i < 32; i++) {
        assert_int_equal(run_of(object[i]), run);
        memset(object[i], 0x5A, 1024);
    }
    return run;
}

static void give_back(uint32_t from, uint32_t to)
{
    if (from < to) {
        void *some[64];
        memcpy(some, object + from, (to - from) * sizeof *some);
        hz3_central_give(SHARD, HZ3_CLASS_1024, some, to - from);
    }
}

static void free_pages_of_a_live_run_are_purged_once(void **state)
{
    (void)state;
    uint32_t run = fill_run();
    give_back(5, 30); // pages 2..6 are free, 1 and 7 in part
    assert_int_equal(hz3_partial_purge(0, FOR_EVER), 5);
    for (uint32_t i = 0; i < 32; i++) {
        bool is_purged = i >= 8 && i < 28;
        assert_int_equal(((unsigned char *)object[i])[100], is_purged ? 0 : 0x5A);
    }
    assert_true(hz3_run_is_valid(run, HZ3_CLASS_1024));
    assert_int_equal(hz3_arena.run[run].free_objs, 25);
    assert_false(hz3_partial_purge_is_pending());
    give_back(4, 5); // page 1 is free, too: the others are not purged again
    assert_true(hz3_partial_purge_is_pending());
    assert_int_equal(hz3_partial_purge(0, FOR_EVER), 1);
    void *again;
    assert_int_equal(hz3_central_take(SHARD, HZ3_CLASS_1024, &again, 1), 1);
    assert_ptr_equal(again, object[4]);
    hz3_central_give(SHARD, HZ3_CLASS_1024, &again, 1);
    assert_int_equal(hz3_partial_purge(0, FOR_EVER), 1); // it was touched
    give_back(0, 4);
    give_back(30, 32);
}

static void a_run_is_left_alone_until_it_is_old(void **state)
{
    (void)state;
    fill_run();
    give_back(8, 32);
    assert_int_equal(hz3_partial_purge(2, FOR_EVER), 0);
    assert_int_equal(hz3_partial_purge(2, FOR_EVER), 0);
    assert_true(hz3_partial_purge_is_pending());
    void *touched;
    assert_int_equal(hz3_central_take(SHARD, HZ3_CLASS_1024, &touched, 1), 1);
    assert_int_equal(hz3_partial_purge(2, FOR_EVER), 0);
    hz3_central_give(SHARD, HZ3_CLASS_1024, &touched, 1);
    assert_int_equal(hz3_partial_purge(2, FOR_EVER), 0);
    assert_int_equal(hz3_partial_purge(2, FOR_EVER), 0);
    assert_int_equal(hz3_partial_purge(2, FOR_EVER), 6);
    give_back(0, 8);
}

static void a_refused_page_of_a_run_is_tried_again(void **state)
{
    (void)state;
    uint32_t run = fill_run();
    give_back(4, 32);
    refuse(run + 1, 7);
    assert_int_equal(hz3_partial_purge(0, FOR_EVER), 0);
    assert_int_equal(((unsigned char *)object[9])[100], 0x5A);
    assert_true(hz3_run_is_valid(run, HZ3_CLASS_1024));
    assert_true(hz3_partial_purge_is_pending());
    refuse(0, 0);
    assert_int_equal(hz3_partial_purge(0, FOR_EVER), 7);
    give_back(0, 4);
}

static void *many[100 * 32];

// A hundred runs, of each of which one object or two stay.
static void fill_runs_with_holes(void)
{
    uint32_t n = 0;
    fill_run();
    while (n < COUNT_OF(many)) {
        uint32_t left = (uint32_t)COUNT_OF(many) - n;
        n += hz3_central_take(SHARD, HZ3_CLASS_1024, many + n, left < HZ3_BATCH_MAX ? left : HZ3_BATCH_MAX);
    }
    for (uint32_t i = 0; i < n; i++) {
        if ((uintptr_t)many[i] % (8 * HZ3_PAGE_SIZE) != 0) {
            hz3_central_give(SHARD, HZ3_CLASS_1024, &many[i], 1);
            many[i] = NULL;
        }
    }
}

static void empty_these_runs(void)
{
    for (uint32_t i = 0; i < COUNT_OF(many); i++) {
        if (many[i] != NULL) {
            hz3_central_give(SHARD, HZ3_CLASS_1024, &many[i], 1);
        }
    }
}

// Whatever else there is: a run that nothing has come back to costs no look.
static void only_runs_with_news_are_looked_at(void **state)
{
    (void)state;
    fill_runs_with_holes();
    hz3_partial_purge(0, FOR_EVER);
    hz3_partial_purge(0, FOR_EVER);
    assert_false(hz3_partial_purge_is_pending());
    for (uint32_t round = 0; round < 3; round++) {
        give_back(8 * round, 8 * round + 8); // two pages of a run that is somewhere on the list
        assert_true(hz3_partial_purge_is_pending());
        assert_int_equal(hz3_partial_purge(0, 1), 2);
        assert_false(hz3_partial_purge_is_pending());
    }
    give_back(24, 32);
    empty_these_runs();
}

// Too many for notes, so their list is walked, when they are old enough and not before.
static void young_runs_are_walked_over_once(void **state)
{
    (void)state;
    enum { AGE = 10 };
    fill_runs_with_holes();
    uint64_t before = hz3_stat_sum(partial_looks);
    for (uint32_t i = 0; i < AGE; i++) {
        assert_int_equal(hz3_partial_purge(AGE, FOR_EVER), 0);
    }
    assert_in_range(hz3_partial_purge(AGE, FOR_EVER), 600, 800);
    assert_in_range(hz3_stat_sum(partial_looks) - before, 100, AGE * HZ3_NOTES_MAX + 120);
    empty_these_runs();
    give_back(0, 32);
}

// One that is full is not on the list, so a walk does not come to it.
static void runs_that_were_full_are_news(void **state)
{
    (void)state;
    static void *taken[100 * 32];
    uint32_t n = 0;
    fill_runs_with_holes();
    while (hz3_central[SHARD][HZ3_CLASS_1024].partial_runs != 0) {
        n += hz3_central_take(SHARD, HZ3_CLASS_1024, taken + n, 32);
        assert_true(n <= COUNT_OF(taken) - 32);
    }
    assert_int_equal(hz3_partial_purge(0, FOR_EVER), 0);
    assert_false(hz3_partial_purge_is_pending());
    for (uint32_t i = 0; i < n; i++) {
        hz3_central_give(SHARD, HZ3_CLASS_1024, &taken[i], 1);
    }
    assert_in_range(hz3_partial_purge(0, FOR_EVER), 600, 800);
    empty_these_runs();
    give_back(0, 32);
}

// As if objects had come back to the runs from..to of the list.
static void note_runs(uint32_t from, uint32_t to)
{
    Central *c = &hz3_central[SHARD][HZ3_CLASS_1024];
    hz3_lock_acquire(&c->lock);
    uint32_t run = c->partial;
    for (uint32_t i = 0; i < to; i++) {
        if (i >= from) {
            hz3_news_note(c, run);
        }
        run = hz3_arena.run[run].next;
    }
    hz3_central_unlock(c);
}

// One that an object comes back to while a walk is on its way there, which finds it too young.
static void a_young_run_is_noted_once(void **state)
{
    (void)state;
    fill_runs_with_holes();
    hz3_partial_purge(0, FOR_EVER);
    note_runs(0, HZ3_NOTES_MAX + 1);
    assert_int_equal(hz3_partial_purge(1, FOR_EVER), 0);
    hz3_partial_purge(1, 10);
    note_runs(HZ3_NOTES_MAX + 1, HZ3_NOTES_MAX + 11);
    hz3_partial_purge(1, FOR_EVER);
    uint64_t before = hz3_stat_sum(partial_looks);
    hz3_partial_purge(1, FOR_EVER);
    assert_int_equal(hz3_stat_sum(partial_looks) - before, 10);
    assert_false(hz3_partial_purge_is_pending());
    give_back(0, 32);
    empty_these_runs();
}

// Figures wait for nobody: a thread that asks for them must not stop another, nor the other way round.
static void figures_are_read_without_a_lock(void **state)
{
    (void)state;
    fill_run();
    size_t before = hz3_central_figures().run_bytes;
    give_back(0, 20);
    Central *c = &hz3_central[SHARD][HZ3_CLASS_1024];
    hz3_lock_acquire(&c->lock);
    size_t after = hz3_central_figures().run_bytes;
    hz3_lock_release(&c->lock);
    assert_int_equal(after - before, 20 * 1024);
    assert_int_equal(hz3_partial_purge(0, FOR_EVER), 5);
    assert_int_equal(hz3_central_figures().run_bytes, after);
    give_back(20, 32);
}

static void a_walk_goes_on_where_its_budget_ended(void **state)
{
    (void)state;
    fill_runs_with_holes();
    size_t purged = 0;
    uint32_t calls = 0;
    for (; hz3_partial_purge_is_pending(); calls++) {
        assert_true(calls < 1000);
        purged += hz3_partial_purge(0, 10);
    }
    assert_in_range(purged, 600, 800);
    assert_in_range(calls, 10, 200);
    empty_these_runs();
    give_back(0, 32);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=64M", "HZ3_SHARDS=1", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(free_pages_of_a_live_run_are_purged_once, set_up),
        cmocka_unit_test_setup(a_run_is_left_alone_until_it_is_old, set_up),
        cmocka_unit_test_setup(a_refused_page_of_a_run_is_tried_again, set_up),
        cmocka_unit_test_setup(only_runs_with_news_are_looked_at, set_up),
        cmocka_unit_test_setup(young_runs_are_walked_over_once, set_up),
        cmocka_unit_test_setup(runs_that_were_full_are_news, set_up),
        cmocka_unit_test_setup(a_young_run_is_noted_once, set_up),
        cmocka_unit_test_setup(figures_are_read_without_a_lock, set_up),
        cmocka_unit_test_setup(a_walk_goes_on_where_its_budget_ended, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
