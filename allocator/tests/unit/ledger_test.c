// Whose turn it is in the ledger: by age, within a budget, and after a kernel that refuses.
#include "purge_kernel.h"

#include <string.h>

#include "base/hz3_knobs.h"
#include "base/hz3_stats.h"
#include "middle/hz3_central.h"
#include "pages/hz3_ledger_list.h"
#include "pages/hz3_segment_packing.h"
#include "release/hz3_release_boundary.h"
#include "release/hz3_release_ledger.h"

static void a_segment_enters_once(void **state)
{
    (void)state;
    uint32_t page = claim(100);
    uint64_t entered = hz3_stat_sum(ledger_enq);
    for (uint32_t i = 0; i < 100; i++) {
        hz3_release_pages(page + i * 37 % 100, 1, HZ3_RELEASE_LARGE);
        assert_false(hz3_ledger_is_empty());
    }
    assert_int_equal(hz3_stat_sum(ledger_enq), entered + 1);
    assert_int_equal(hz3_ledger_drops(), 0);
    uint64_t calls = hz3_stat_sum(madvise_calls);
    assert_int_equal(purge_everything(), 100);
    assert_int_equal(hz3_stat_sum(madvise_calls), calls + 1);
    assert_int_equal(ranges_seen, 1); // released one by one, one range again
    assert_true(hz3_ledger_is_empty());
    assert_int_equal(purge_everything(), 0);
}

static void a_page_must_lie_untouched_for_its_age(void **state)
{
    (void)state;
    uint32_t page = claim(20);
    hz3_release_pages(page, 20, HZ3_RELEASE_LARGE);
    Hz3PurgeLimits limits = {.epoch = 100, .min_age = 2, .pages = FOR_EVER, .us = FOR_EVER};
    assert_int_equal(hz3_ledger_purge(&limits), 0); // the first look: all young
    limits.epoch = 101;
    assert_int_equal(hz3_ledger_purge(&limits), 0); // not due
    uint32_t again = hz3_pack_claim(SHARD, 5, 1);   // the program takes some of them and gives them back
    assert_int_equal(again, page);
    hz3_release_pages(again, 5, HZ3_RELEASE_LARGE);
    limits.epoch = 102;
    assert_int_equal(hz3_ledger_purge(&limits), 15);
    assert_false(is_clean(page, 5));
    assert_false(hz3_ledger_is_empty());
    limits.epoch = 104;
    assert_int_equal(hz3_ledger_purge(&limits), 5);
    assert_true(hz3_ledger_is_empty());
}

static void what_is_over_budget_stays_in_the_ledger(void **state)
{
    (void)state;
    uint32_t page[6];
    for (uint32_t i = 0; i < COUNT_OF(page); i++) {
        page[i] = claim(HZ3_PAGES_PER_SEG);
    }
    for (uint32_t i = 0; i < COUNT_OF(page); i++) {
        hz3_release_pages(page[i], HZ3_PAGES_PER_SEG, HZ3_RELEASE_LARGE);
    }
    assert_int_equal(hz3_ledger_purge(&(Hz3PurgeLimits){.pages = 1000, .us = FOR_EVER}), 2 * HZ3_PAGES_PER_SEG);
    assert_int_equal(hz3_ledger_drops(), 0);
    assert_int_equal(hz3_ledger_purge(&(Hz3PurgeLimits){.pages = 1, .us = FOR_EVER}), HZ3_PAGES_PER_SEG);
    assert_int_equal(purge_everything(), 3 * HZ3_PAGES_PER_SEG);
    assert_true(hz3_ledger_is_empty());
}

// Every second page of whole segments; those that are left keep the segments open.
static void dirty_every_second_page(uint32_t *segment, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        segment[i] = claim(HZ3_PAGES_PER_SEG);
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t p = 0; p < HZ3_PAGES_PER_SEG; p += 2) {
            hz3_release_pages(segment[i] + p, 1, HZ3_RELEASE_LARGE);
        }
    }
}

static void free_the_other_pages(const uint32_t *segment, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t p = 1; p < HZ3_PAGES_PER_SEG; p += 2) {
            hz3_release_pages(segment[i] + p, 1, HZ3_RELEASE_LARGE);
        }
    }
}

// A kernel without many ranges a call: nothing but the time that its calls take may count.
static void a_budget_counts_time_and_not_calls(void **state)
{
    (void)state;
    uint32_t segment[4];
    const uint32_t half = HZ3_PAGES_PER_SEG / 2;
    const Hz3PurgeLimits busy = {.pages = FOR_EVER, .us = 1000};
    hz3_knobs.S65_BATCH = false;
    dirty_every_second_page(segment, COUNT_OF(segment));
    assert_int_equal(hz3_ledger_purge(&busy), COUNT_OF(segment) * half); // the clock stands still
    free_the_other_pages(segment, COUNT_OF(segment));
    purge_everything();
    dirty_every_second_page(segment, COUNT_OF(segment));
    us_a_call = 100;
    for (uint32_t i = 0; i < COUNT_OF(segment); i++) {
        assert_int_equal(hz3_ledger_purge(&busy), half); // a segment's worth, and that is over budget
    }
    assert_true(hz3_ledger_is_empty());
    free_the_other_pages(segment, COUNT_OF(segment));
    hz3_knobs.S65_BATCH = true;
}

// Its turn must not come again before that of those which have not had one.
static void a_segment_that_fails_waits_behind_the_others(void **state)
{
    (void)state;
    uint32_t segment[3];
    const Hz3PurgeLimits one_segment = {.pages = 1, .us = FOR_EVER};
    dirty_every_second_page(segment, COUNT_OF(segment));
    refuse(segment[0], HZ3_PAGES_PER_SEG);
    assert_int_equal(hz3_ledger_purge(&one_segment), 0);
    assert_int_equal(hz3_ledger_purge(&one_segment), HZ3_PAGES_PER_SEG / 2);
    assert_int_equal(hz3_ledger_purge(&one_segment), HZ3_PAGES_PER_SEG / 2);
    assert_int_equal(hz3_ledger_drops(), 0);
    ranges_seen = 0;
    for (uint32_t epoch = 1; epoch < 40; epoch++) {
        hz3_ledger_purge(&(Hz3PurgeLimits){.epoch = epoch, .pages = FOR_EVER, .us = FOR_EVER});
    }
    assert_int_equal(ranges_seen, 0); // it is left alone for a while
    assert_false(hz3_ledger_is_empty());
    refuse(0, 0);
    assert_int_equal(purge_what_was_refused(), HZ3_PAGES_PER_SEG / 2);
    free_the_other_pages(segment, COUNT_OF(segment));
}

// A worked segment that is still dirty must not come before those that wait.
static void young_pages_do_not_come_before_waiting_ones(void **state)
{
    (void)state;
    uint32_t segment[2];
    Hz3PurgeLimits limits = {.epoch = 100, .min_age = 1, .pages = 1, .us = FOR_EVER};
    dirty_every_second_page(segment, COUNT_OF(segment));
    assert_int_equal(hz3_ledger_purge(&limits), 0);
    for (limits.epoch = 101; limits.epoch < 103; limits.epoch++) {
        hz3_release_pages(segment[0] + 2 * (limits.epoch - 101) + 1, 1, HZ3_RELEASE_LARGE); // young
        assert_int_equal(hz3_ledger_purge(&limits), HZ3_PAGES_PER_SEG / 2);
    }
    assert_true(is_clean(segment[1], 1));
    purge_everything();
    for (uint32_t p = 1; p < HZ3_PAGES_PER_SEG; p += 2) {
        if (p > 3) {
            hz3_release_pages(segment[0] + p, 1, HZ3_RELEASE_LARGE);
        }
        hz3_release_pages(segment[1] + p, 1, HZ3_RELEASE_LARGE);
    }
}

static uint32_t answers_left;

static bool for_some_answers(void)
{
    return answers_left-- > 1;
}

static void a_purge_ends_when_the_program_works_again(void **state)
{
    (void)state;
    uint32_t segment[4];
    dirty_every_second_page(segment, COUNT_OF(segment));
    answers_left = 1;
    const Hz3PurgeLimits idle = {.pages = FOR_EVER, .us = FOR_EVER, .may_go_on = for_some_answers};
    assert_int_equal(hz3_ledger_purge(&idle), HZ3_PAGES_PER_SEG / 2); // the segment that filled a batch
    assert_false(hz3_ledger_is_empty());
    assert_int_equal(purge_everything(), 3 * HZ3_PAGES_PER_SEG / 2);
    free_the_other_pages(segment, COUNT_OF(segment));
}

static size_t work_and_pause(uint32_t *page, Hz3PurgeLimits *idle, uint32_t pause)
{
    *page = claim(100);
    hz3_release_pages(*page, 100, HZ3_RELEASE_LARGE);
    idle->epoch += 3;
    size_t purged = hz3_ledger_purge(idle);
    idle->epoch += pause - 3;
    idle->resumed_epoch = idle->epoch;
    return purged;
}

// A busy program's pages wait longer where it came back to some.
static void kept_pages_of_a_busy_program_wait_longer(void **state)
{
    (void)state;
    Hz3PurgeLimits busy = {.epoch = 500, .min_age = 3, .kept_age = 15, .pages = FOR_EVER, .us = FOR_EVER};
    uint32_t page;
    for (int i = 0; i < 2; i++) {
        uint32_t age = i == 0 ? busy.min_age : 2 * busy.kept_age;
        page = claim(100);
        hz3_release_pages(page, 100, HZ3_RELEASE_LARGE);
        assert_int_equal(hz3_ledger_purge(&busy), 0); // looks, all young
        busy.epoch += age - 1;
        assert_int_equal(hz3_ledger_purge(&busy), 0);
        busy.epoch++;
        assert_int_equal(hz3_ledger_purge(&busy), 100);
        assert_true(is_clean(page, 100));
        busy.epoch += 4;
    }
}

// An idle program's pages go at once, unless it came back to them before.
static void what_the_program_comes_back_to_is_kept(void **state)
{
    (void)state;
    uint32_t page;
    Hz3PurgeLimits idle = {.epoch = 1000, .kept_age = 15, .pages = FOR_EVER, .us = FOR_EVER};
    assert_int_equal(work_and_pause(&page, &idle, 12), 100);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(work_and_pause(&page, &idle, 12), 0);
        assert_int_equal(hz3_ledger_purge(&idle), 0);
    }
    idle.kept_too = true; // it does not come back
    assert_int_equal(hz3_ledger_purge(&idle), 100);
    assert_true(hz3_ledger_is_empty());
    idle.kept_too = false;
    idle.epoch += 5; // after that only
    idle.resumed_epoch = idle.epoch;
    assert_int_equal(work_and_pause(&page, &idle, 30), 100);
    assert_int_equal(work_and_pause(&page, &idle, 30), 100);
    idle.kept_age = 0;
    assert_int_equal(work_and_pause(&page, &idle, 8), 100);
    assert_int_equal(work_and_pause(&page, &idle, 8), 100);
}

// --- medium runs on their way to the ledger ---

// Every class has its turn, however small the budget is and however much the others have.
static void a_small_budget_serves_the_classes_in_turn(void **state)
{
    (void)state;
    const uint32_t classes = HZ3_CLASS_LAST - HZ3_CLASS_MEDIUM_FIRST + 1;
    void *objects[HZ3_CLASS_COUNT][4];
    for (uint32_t cls = HZ3_CLASS_MEDIUM_FIRST; cls <= HZ3_CLASS_LAST; cls++) {
        for (uint32_t n = 0; n < 4;) {
            n += hz3_central_take(SHARD, cls, objects[cls] + n, 4 - n);
        }
    }
    for (uint32_t cls = HZ3_CLASS_MEDIUM_FIRST; cls <= HZ3_CLASS_LAST; cls++) {
        void *some[4];
        memcpy(some, objects[cls], sizeof some);
        hz3_central_give(SHARD, cls, some, 4);
    }
    for (uint32_t i = 0; i < classes; i++) {
        assert_int_equal(hz3_central_drain_medium(HZ3_DRAIN_ALL, 1), 1);
    }
    for (uint32_t cls = HZ3_CLASS_MEDIUM_FIRST; cls <= HZ3_CLASS_LAST; cls++) {
        uint32_t left = 0;
        for (uint32_t n = 0; n < 4; n++) {
            left += hz3_tag_of(hz3_page_of(objects[cls][n])) == cls;
        }
        assert_int_equal(left, 3);
    }
    hz3_central_drain_medium(HZ3_DRAIN_ALL, FOR_EVER);
}

// --- the boundary is the only one ---

static void free_past_the_boundary(void *page)
{
    uint32_t first = *(uint32_t *)page;
    hz3_segment_publish(segment_of(first), first % HZ3_PAGES_PER_SEG, 1);
}

static void who_frees_past_the_boundary_is_named(void **state)
{
    (void)state;
    uint32_t page = claim(1);
    hz3_tag_set(page, 1, HZ3_TAG_SPAN);
    unit_expect_abort(free_past_the_boundary, &page, "internal error: free_past_the_boundary frees a page");
    hz3_release_pages(page, 1, HZ3_RELEASE_LARGE);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=64M", "HZ3_SHARDS=1", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_segment_enters_once, purge_set_up),
        cmocka_unit_test_setup(a_page_must_lie_untouched_for_its_age, purge_set_up),
        cmocka_unit_test_setup(what_is_over_budget_stays_in_the_ledger, purge_set_up),
        cmocka_unit_test_setup(a_budget_counts_time_and_not_calls, purge_set_up),
        cmocka_unit_test_setup(a_segment_that_fails_waits_behind_the_others, purge_set_up),
        cmocka_unit_test_setup(young_pages_do_not_come_before_waiting_ones, purge_set_up),
        cmocka_unit_test_setup(a_purge_ends_when_the_program_works_again, purge_set_up),
        cmocka_unit_test_setup(kept_pages_of_a_busy_program_wait_longer, purge_set_up),
        cmocka_unit_test_setup(what_the_program_comes_back_to_is_kept, purge_set_up),
        cmocka_unit_test_setup(a_small_budget_serves_the_classes_in_turn, purge_set_up),
        cmocka_unit_test_setup(who_frees_past_the_boundary_is_named, purge_set_up),
    };
    return cmocka_run_group_tests(tests, hold_a_page, NULL);
}
