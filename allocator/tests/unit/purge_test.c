// What a purge asks of the kernel, who may have the pages meanwhile, and what a fork amid a purge leaves to the child.
#include "purge_kernel.h"

#include <pthread.h>

#include "base/hz3_knobs.h"
#include "base/hz3_stats.h"
#include "pages/hz3_in_purging.h"
#include "pages/hz3_ledger_list.h"
#include "release/hz3_release_boundary.h"

static void pages_are_claimed_while_the_kernel_takes_them(void **state)
{
    (void)state;
    uint32_t page = claim(30);
    hz3_release_pages(page, 10, HZ3_RELEASE_LARGE);
    hz3_release_pages(page + 20, 10, HZ3_RELEASE_LARGE);
    assert_int_equal(purge_everything(), 20);
    assert_int_equal(ranges_seen, 2);
    assert_int_equal(purged_while_free, 0);
    assert_int_equal(seen_in_purging, 20);
    assert_int_equal(hz3_in_purging_pages(), 0);
    assert_true(is_clean(page, 10) && is_clean(page + 20, 10));
    hz3_release_pages(page + 10, 10, HZ3_RELEASE_LARGE);
}

// Page faults and the opening of slots wait for such a call.
static void no_call_takes_long(void **state)
{
    (void)state;
    uint32_t segment[6];
    for (uint32_t i = 0; i < COUNT_OF(segment); i++) {
        segment[i] = claim(HZ3_PAGES_PER_SEG);
    }
    for (uint32_t i = 0; i < COUNT_OF(segment); i++) {
        hz3_release_pages(segment[i], HZ3_PAGES_PER_SEG, HZ3_RELEASE_LARGE);
    }
    longest_call = 0;
    assert_int_equal(purge_everything(), COUNT_OF(segment) * HZ3_PAGES_PER_SEG);
    assert_in_range(longest_call, HZ3_SEG_SIZE, 2 * HZ3_SEG_SIZE);
}

static void a_refused_range_stays_dirty_and_keeps_its_turn(void **state)
{
    (void)state;
    for (int batched = 0; batched < 2; batched++) {
        hz3_knobs.S65_BATCH = batched;
        uint32_t page = claim(50);
        for (uint32_t i = 0; i < 50; i += 10) {
            hz3_release_pages(page + i, 5, HZ3_RELEASE_LARGE);
        }
        refuse(page + 20, 5);
        uint64_t failures = hz3_stat_sum(madvise_failures);
        assert_int_equal(purge_everything(), 20); // those behind it have their chance all the same
        assert_int_equal(hz3_stat_sum(madvise_failures), failures + 1);
        assert_false(is_clean(page + 20, 5));
        assert_true(is_clean(page + 10, 5) && is_clean(page + 40, 5));
        assert_int_equal(((unsigned char *)hz3_page_addr(page + 20))[77], 0xA5);
        assert_false(hz3_ledger_is_empty());
        assert_int_equal(hz3_ledger_drops(), 0);
        refuse(0, 0);
        assert_int_equal(purge_what_was_refused(), 5);
        for (uint32_t i = 5; i < 50; i += 10) {
            hz3_release_pages(page + i, 5, HZ3_RELEASE_LARGE);
        }
    }
    hz3_knobs.S65_BATCH = true;
}

static void a_segment_of_clean_pages_is_closed(void **state)
{
    (void)state;
    uint32_t page = claim(HZ3_PAGES_PER_SEG);
    uint32_t slots = open_slots();
    hz3_release_pages(page, HZ3_PAGES_PER_SEG, HZ3_RELEASE_LARGE);
    purge_everything();
    assert_int_equal(open_slots(), slots - 1);
    assert_int_equal(seen_while_closing, HZ3_PAGES_PER_SEG); // an exhausted arena must wait for them
    assert_int_equal(hz3_in_purging_pages(), 0);
}

// --- fork ---

static void *purge_for_ever(void *arg)
{
    hz3_in_purging_add(7);
    return arg;
}

static void a_childs_ledger_is_made_anew(void **state)
{
    (void)state;
    pthread_t thread; // that is not in the child
    assert_int_equal(pthread_create(&thread, NULL, purge_for_ever, NULL), 0);
    pthread_join(thread, NULL);
    uint32_t page = claim(10);
    hz3_release_pages(page, 10, HZ3_RELEASE_LARGE);
    atomic_store(&segment_of(page)->next_queued, 12345); // half written
    assert_int_equal(hz3_in_purging_pages(), 7);
    uint64_t requeued = hz3_stat_sum(ledger_requeued);
    fork_child();
    assert_int_equal(hz3_stat_sum(ledger_requeued), requeued); // fork itself looks at no segment
    assert_int_equal(hz3_in_purging_pages(), 0);
    assert_int_equal(hz3_ledger_drops(), 0);
    assert_false(hz3_ledger_is_empty());
    assert_int_equal(purge_everything(), 10);
    assert_true(hz3_ledger_is_empty());
}

// Amid the walk: more ranges than one call takes, in each of three segments.
static void a_fork_amid_a_purge_leaves_the_childs_ledger_whole(void **state)
{
    (void)state;
    uint32_t page[3];
    for (int i = 0; i < 3; i++) {
        page[i] = claim(HZ3_PAGES_PER_SEG);
        for (uint32_t p = 0; p < HZ3_PAGES_PER_SEG; p += 2) {
            hz3_release_pages(page[i] + p, 1, HZ3_RELEASE_LARGE);
        }
    }
    forks_inside = true;
    assert_int_equal(purge_everything(), 3 * HZ3_PAGES_PER_SEG / 2);
    assert_false(forks_inside);
    assert_int_equal(hz3_in_purging_pages(), 0);
    for (int i = 0; i < 3; i++) {
        for (uint32_t p = 1; p < HZ3_PAGES_PER_SEG; p += 2) {
            hz3_release_pages(page[i] + p, 1, HZ3_RELEASE_LARGE);
        }
    }
    assert_int_equal(hz3_ledger_drops(), 0);
    assert_int_equal(purge_everything(), 3 * HZ3_PAGES_PER_SEG / 2); // a list that bites its tail has no end
    assert_true(hz3_ledger_is_empty());
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=64M", "HZ3_SHARDS=1", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pages_are_claimed_while_the_kernel_takes_them, purge_set_up),
        cmocka_unit_test_setup(no_call_takes_long, purge_set_up),
        cmocka_unit_test_setup(a_refused_range_stays_dirty_and_keeps_its_turn, purge_set_up),
        cmocka_unit_test_setup(a_segment_of_clean_pages_is_closed, purge_set_up),
        cmocka_unit_test_setup(a_childs_ledger_is_made_anew, purge_set_up),
        cmocka_unit_test_setup(a_fork_amid_a_purge_leaves_the_childs_ledger_whole, purge_set_up),
    };
    return cmocka_run_group_tests(tests, hold_a_page, NULL);
}
