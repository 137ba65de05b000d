// Slots, packing, the release boundary and the purge, in an arena of 8 segments that this program shares with its own
// mallocs: figures are compared before and after, with no malloc in between.
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "arena_support.h"
#include "base/hz3_knobs.h"
#include "base/hz3_os.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"
#include "large/hz3_large.h"
#include "large/hz3_span_cache.h"
#include "pages/hz3_segment_packing.h"
#include "release/hz3_release_boundary.h"
#include "release/hz3_release_ledger.h"

#define SHARD 0
#define ARENA_PAGES (8 * HZ3_PAGES_PER_SEG)

// --- the kernel, with faults and with a look at the page map at the moment of the madvise ---

static bool purge_refused;
static uint32_t purges_seen;
static uint32_t purged_while_free;

bool __real_hz3_os_purge(void *addr, size_t bytes);
bool __wrap_hz3_os_purge(void *addr, size_t bytes);
bool __wrap_hz3_os_purge(void *addr, size_t bytes)
{
    if (hz3_arena_owns(addr)) {
        uint32_t page = hz3_page_of(addr);
        purges_seen++;
        purged_while_free += hz3_segment_any_free(&hz3_arena.seg[page / HZ3_PAGES_PER_SEG], page % HZ3_PAGES_PER_SEG,
                                                  (uint32_t)(bytes / HZ3_PAGE_SIZE));
    }
    return !purge_refused && __real_hz3_os_purge(addr, bytes);
}

static uint32_t tries_on_closed_slots;

uint32_t __real_hz3_segment_claim(Hz3SegMeta *meta, uint32_t pages, uint32_t align_pages, bool *rolled_back);
uint32_t __wrap_hz3_segment_claim(Hz3SegMeta *meta, uint32_t pages, uint32_t align_pages, bool *rolled_back);
uint32_t __wrap_hz3_segment_claim(Hz3SegMeta *meta, uint32_t pages, uint32_t align_pages, bool *rolled_back)
{
    tries_on_closed_slots += !hz3_arena_slot_is_open((uint32_t)(meta - hz3_arena.seg));
    return __real_hz3_segment_claim(meta, pages, align_pages, rolled_back);
}

// --- claims in bulk ---

static uint32_t held[ARENA_PAGES];

static uint32_t claim_while_possible(uint32_t pages, uint32_t from, uint32_t at_most)
{
    uint32_t n = from;
    while (n < at_most && (held[n] = hz3_pack_claim(SHARD, pages, 1)) != HZ3_PAGE_NONE) {
        n++;
    }
    return n;
}

static void release_held(uint32_t from, uint32_t to, uint32_t pages)
{
    for (uint32_t i = from; i < to; i++) {
        hz3_release_pages(held[i], pages, HZ3_RELEASE_LARGE);
    }
}

static Hz3SegMeta *segment_of(uint32_t page)
{
    return &hz3_arena.seg[page / HZ3_PAGES_PER_SEG];
}

static bool is_clean(uint32_t page, uint32_t pages)
{
    return hz3_segment_is_clean(segment_of(page), page % HZ3_PAGES_PER_SEG, pages);
}

static bool is_zero(uint32_t page, uint32_t pages)
{
    const uint64_t *word = hz3_page_addr(page);
    for (size_t i = 0; i < pages * HZ3_PAGE_SIZE / sizeof *word; i++) {
        if (word[i] != 0) {
            return false;
        }
    }
    return true;
}

// Every test begins with all empty segments closed and the first one, which this program's mallocs keep open, in use.
static int set_up(void **state)
{
    (void)state;
    hz3_span_cache_drain_all();
    hz3_release_purge_all();
    uint32_t page = hz3_pack_claim(SHARD, 1, 1);
    assert_true(page < HZ3_PAGES_PER_SEG);
    hz3_release_pages(page, 1, HZ3_RELEASE_LARGE);
    return 0;
}

// --- packing ---

static void slots_hold_what_the_arena_has(void **state)
{
    (void)state;
    assert_int_equal(hz3_arena.slots, 8);
    assert_int_equal(hz3_arena.size, 8 * HZ3_SEG_SIZE);
    assert_int_equal(hz3_arena.base % HZ3_SEG_SIZE, 0);
    for (uint32_t page = 0; page < ARENA_PAGES; page += 511) {
        char *last_byte = (char *)hz3_page_addr(page) + HZ3_PAGE_SIZE - 1;
        assert_true(hz3_arena_owns(last_byte));
        assert_int_equal(hz3_page_of(last_byte), page);
        assert_ptr_equal(hz3_segmap_get(last_byte), &hz3_arena.seg[page / 512]);
    }
    assert_false(hz3_arena_owns((char *)hz3_page_addr(0) - 1));
    assert_false(hz3_arena_owns(hz3_page_addr(ARENA_PAGES)));
    assert_null(hz3_segmap_get(hz3_page_addr(ARENA_PAGES)));
}

// From end to end with runs of one length, the rest with single pages; then everything comes back.
static void fill_and_release(uint32_t pages)
{
    uint32_t taken_before = taken_pages();
    uint32_t runs = claim_while_possible(pages, 0, ARENA_PAGES);
    uint32_t total = claim_while_possible(1, runs, ARENA_PAGES);
    assert_int_equal(hz3_pack_claim(SHARD, 1, 1), HZ3_PAGE_NONE);
    assert_int_equal(open_slots(), hz3_arena.slots);
    assert_int_equal(free_pages_of_open_slots(), 0);
    assert_int_equal(runs * pages + (total - runs), ARENA_PAGES - taken_before);
    for (uint32_t i = 0; i < runs; i++) {
        assert_true(held[i] % HZ3_PAGES_PER_SEG + pages <= HZ3_PAGES_PER_SEG);
    }
    release_held(runs, total, 1);
    release_held(0, runs, pages);
    assert_int_equal(taken_pages(), taken_before);
    uint32_t again = claim_while_possible(pages, 0, ARENA_PAGES);
    release_held(0, again, pages);
    assert_int_equal(again, runs);
}

static void arena_can_be_filled_with_every_length(void **state)
{
    (void)state;
    for (uint32_t pages = 1; pages <= 64; pages++) {
        fill_and_release(pages);
    }
    static const uint32_t long_spans[] = {65, 100, 127, 128, 129, 200, 255, 256, 257, 300, 511, 512};
    for (size_t i = 0; i < COUNT_OF(long_spans); i++) {
        fill_and_release(long_spans[i]);
    }
    hz3_release_purge_all(); // closes the slots again
}

// Hints: whatever was released in used segments is found there, before a new slot is opened.
static void released_pages_come_before_a_new_slot(void **state)
{
    (void)state;
    for (uint32_t pages = 1; pages <= HZ3_WORD_RUN_MAX; pages++) {
        hz3_release_purge_all();
        uint32_t runs = claim_while_possible(pages, 0, 3 * HZ3_PAGES_PER_SEG / pages);
        uint32_t slots = open_slots();
        assert_true(slots < hz3_arena.slots);
        for (uint32_t i = 0; i < runs; i += 2) {
            hz3_release_pages(held[i], pages, HZ3_RELEASE_LARGE);
        }
        for (uint32_t i = 0; i < runs; i += 2) {
            held[i] = hz3_pack_claim(SHARD, pages, 1);
            assert_int_not_equal(held[i], HZ3_PAGE_NONE);
        }
        assert_int_equal(open_slots(), slots);
        release_held(0, runs, pages);
        uint32_t free_pages = free_pages_of_open_slots();
        runs = claim_while_possible(1, 0, free_pages);
        assert_int_equal(runs, free_pages);
        assert_int_equal(open_slots(), slots);
        release_held(0, runs, 1);
    }
}

static void claim_more_stays_in_one_segment(void **state)
{
    (void)state;
    uint32_t page[8];
    page[0] = hz3_pack_claim(SHARD, 5, 1);
    uint32_t n = 1 + hz3_pack_claim_more(SHARD, 5, page + 1, 7);
    assert_true(n > 1);
    for (uint32_t i = 0; i < n; i++) {
        assert_ptr_equal(segment_of(page[i]), segment_of(page[0]));
        hz3_release_pages(page[i], 5, HZ3_RELEASE_LARGE);
    }
    assert_int_equal(hz3_pack_claim_more(SHARD, 5, page, 0), 0);
}

// --- boundary ---

static void release_clears_tags_and_counts(void **state)
{
    (void)state;
    uint32_t page = hz3_pack_claim(SHARD, 40, 1);
    hz3_tag_set(page, 40, HZ3_TAG_SPAN_CONT);
    uint64_t calls = hz3_stat_sum(boundary_calls);
    uint64_t pages = hz3_stat_sum(boundary_pages);
    hz3_release_pages(page, 40, HZ3_RELEASE_LARGE);
    for (uint32_t i = 0; i < 40; i++) {
        assert_int_equal(hz3_tag_of(page + i), HZ3_TAG_NONE);
        assert_false(is_clean(page + i, 1));
    }
    assert_int_equal(hz3_stat_sum(boundary_calls), calls + 1);
    assert_int_equal(hz3_stat_sum(boundary_pages), pages + 40);
}

static void first_page_of_a_segment_is_ordinary(void **state)
{
    (void)state;
    uint32_t page = hz3_pack_claim(SHARD, HZ3_PAGES_PER_SEG, 1);
    assert_int_equal(page % HZ3_PAGES_PER_SEG, 0);
    memset(hz3_page_addr(page), 0xA5, HZ3_PAGE_SIZE);
    Hz3SegMeta *meta = segment_of(page);
    for (uint32_t idx = 0; idx < 2; idx++) {
        assert_int_equal(hz3_release_range_definitely_free_meta(meta, idx, 1, HZ3_RELEASE_LARGE), 1);
    }
    assert_int_equal(hz3_segment_free_pages(meta), 2);
    assert_int_equal(hz3_release_range_definitely_free_meta(meta, 2, 510, HZ3_RELEASE_SMALL_RUN_RETIRE), 510);
}

typedef struct Range {
    Hz3SegMeta *meta;
    uint32_t page_idx;
    uint32_t pages;
    int reason;
} Range;

static void release_range(void *arg)
{
    const Range *r = arg;
    hz3_release_range_definitely_free_meta(r->meta, r->page_idx, r->pages, (Hz3ReleaseReason)r->reason);
}

static void ranges_outside_of_a_segment_abort(void **state)
{
    (void)state;
    Hz3SegMeta *meta = hz3_arena.seg;
    Range ranges[] = {
        {NULL, 0, 1, 0},          {meta + hz3_arena.slots, 0, 1, 0},
        {meta - 1, 0, 1, 0},      {meta, 0, 0, 0},
        {meta, 0, 513, 0},        {meta, 512, 1, 0},
        {meta, 500, 13, 0},       {meta, 0, 1, HZ3_RELEASE_REASON_COUNT},
        {meta, UINT32_MAX, 1, 0}, {meta, 1, UINT32_MAX, 0},
    };
    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        unit_expect_abort(release_range, &ranges[i], "no range of a segment");
    }
}

static void double_release_aborts(void **state)
{
    (void)state;
    uint32_t page = hz3_pack_claim(SHARD, 3, 1);
    hz3_release_pages(page, 3, HZ3_RELEASE_LARGE);
    Range whole = {segment_of(page), page % HZ3_PAGES_PER_SEG, 3, HZ3_RELEASE_LARGE};
    unit_expect_abort(release_range, &whole, "free already");
    uint32_t first = hz3_pack_claim(SHARD, 1, 1);
    Range half_free = {segment_of(first), first % HZ3_PAGES_PER_SEG, 2, HZ3_RELEASE_LARGE};
    unit_expect_abort(release_range, &half_free, "free already");
    hz3_release_pages(first, 1, HZ3_RELEASE_LARGE);
}

// --- purge ---

static void purged_pages_are_clean_and_zero(void **state)
{
    (void)state;
    uint32_t page = hz3_pack_claim(SHARD, 100, 1);
    memset(hz3_page_addr(page), 0xA5, 100 * HZ3_PAGE_SIZE);
    hz3_release_pages(page, 100, HZ3_RELEASE_LARGE);
    purges_seen = 0;
    purged_while_free = 0;
    uint64_t purged = hz3_stat_sum(purged_pages);
    assert_true(hz3_release_purge_all() >= 100);
    assert_true(hz3_stat_sum(purged_pages) >= purged + 100);
    assert_true(purges_seen > 0);
    assert_int_equal(purged_while_free, 0); // claim before madvise, publish after
    assert_int_equal(hz3_pack_claim(SHARD, 100, 1), page);
    assert_true(is_clean(page, 100));
    assert_true(is_zero(page, 100));
    hz3_release_pages(page, 100, HZ3_RELEASE_LARGE);
}

// Pages released one by one in any order are one range again, across words.
static void purge_makes_one_call_per_range(void **state)
{
    (void)state;
    uint32_t page = hz3_pack_claim(SHARD, 200, 1);
    hz3_release_purge_all();
    for (uint32_t i = 0; i < 200; i++) {
        if (i != 150) {
            hz3_release_pages(page + i * 77 % 200, 1, HZ3_RELEASE_LARGE);
        }
    }
    uint64_t calls = hz3_stat_sum(madvise_calls);
    assert_int_equal(hz3_release_purge_all(), 199);
    assert_int_equal(hz3_stat_sum(madvise_calls) - calls, 2);
    hz3_release_pages(page + 150 * 77 % 200, 1, HZ3_RELEASE_LARGE);
    assert_int_equal(hz3_release_purge_all(), 1);
    assert_int_equal(hz3_release_purge_all(), 0);
}

static void refused_purge_loses_nothing(void **state)
{
    (void)state;
    uint32_t page = hz3_pack_claim(SHARD, 50, 1);
    memset(hz3_page_addr(page), 0xA5, 50 * HZ3_PAGE_SIZE);
    hz3_release_pages(page, 50, HZ3_RELEASE_LARGE);
    uint32_t taken = taken_pages();
    uint64_t failures = hz3_stat_sum(madvise_failures);
    purge_refused = true;
    size_t purged = hz3_release_purge_all();
    purge_refused = false;
    assert_int_equal(purged, 0);
    assert_true(hz3_stat_sum(madvise_failures) > failures);
    assert_int_equal(taken_pages(), taken);
    assert_int_equal(hz3_pack_claim(SHARD, 50, 1), page);
    assert_false(is_clean(page, 50));
    assert_false(is_zero(page, 50));
    hz3_release_pages(page, 50, HZ3_RELEASE_LARGE);
    assert_true(hz3_release_purge_all() >= 50);
}

static void empty_slots_close_and_open_as_new(void **state)
{
    (void)state;
    uint32_t page = hz3_pack_claim(SHARD, HZ3_PAGES_PER_SEG, 1);
    uint32_t slots = open_slots();
    memset(hz3_page_addr(page), 0xA5, HZ3_SEG_SIZE);
    memset(&hz3_arena.run[page], 0xA5, HZ3_PAGES_PER_SEG * sizeof hz3_arena.run[0]);
    memset(&hz3_arena.bits[page], 0xA5, HZ3_PAGES_PER_SEG * sizeof hz3_arena.bits[0]);
    hz3_release_pages(page, HZ3_PAGES_PER_SEG, HZ3_RELEASE_LARGE);
    uint64_t retired = hz3_stat_sum(segments_retired);
    uint32_t left = hz3_arena_slots_left();
    hz3_release_purge_all();
    assert_int_equal(open_slots(), slots - 1);
    assert_int_equal(hz3_arena_slots_left(), left + 1);
    assert_int_equal(hz3_stat_sum(segments_retired), retired + 1);
    assert_int_equal(hz3_segment_free_pages(segment_of(page)), 0); // nobody can claim in a closed slot
    assert_int_equal(hz3_pack_claim(SHARD, HZ3_PAGES_PER_SEG, 1), page);
    assert_true(is_clean(page, HZ3_PAGES_PER_SEG));
    assert_true(is_zero(page, HZ3_PAGES_PER_SEG));
    for (uint32_t i = page; i < page + HZ3_PAGES_PER_SEG; i++) {
        assert_int_equal(hz3_arena.run[i].pages | hz3_arena.run[i].head_delta | hz3_arena.run[i].next, 0);
        assert_int_equal(hz3_arena.bits[i].word[0] | hz3_arena.bits[i].word[3], 0);
    }
    hz3_release_pages(page, HZ3_PAGES_PER_SEG, HZ3_RELEASE_LARGE);
}

static void closed_slots_are_not_tried(void **state)
{
    (void)state;
    uint32_t n = claim_while_possible(HZ3_PAGES_PER_SEG, 0, 6);
    release_held(0, n, HZ3_PAGES_PER_SEG);
    uint32_t slots = open_slots();
    hz3_release_purge_all();
    assert_int_equal(open_slots(), slots - n);
    tries_on_closed_slots = 0;
    assert_int_equal(claim_while_possible(HZ3_PAGES_PER_SEG, 0, 1), 1);
    assert_int_equal(tries_on_closed_slots, 0);
    release_held(0, 1, HZ3_PAGES_PER_SEG);
}

static void refused_purge_keeps_the_slot_open(void **state)
{
    (void)state;
    hz3_release_purge_all();
    uint32_t page = hz3_pack_claim(SHARD, HZ3_PAGES_PER_SEG, 1);
    hz3_release_pages(page, HZ3_PAGES_PER_SEG, HZ3_RELEASE_LARGE);
    uint32_t slots = open_slots();
    purge_refused = true;
    hz3_release_purge_all();
    purge_refused = false;
    assert_int_equal(open_slots(), slots);
    hz3_release_purge_all();
    assert_int_equal(open_slots(), slots - 1);
}

// --- what calloc builds on ---

static void spans_are_zero_when_they_say_so(void **state)
{
    (void)state;
    static struct {
        unsigned char *p;
        size_t bytes;
    } span[16];
    uint32_t zero = 0;
    uint32_t reused = 0;
    uint64_t rng = 3;
    for (int step = 0; step < 600; step++) {
        uint32_t i = unit_random_below(&rng, COUNT_OF(span));
        if (span[i].p != NULL) {
            hz3_span_free(span[i].p);
        }
        bool says_zero = false;
        span[i].bytes = HZ3_MEDIUM_MAX + 1 + unit_random_below(&rng, 300000);
        span[i].p = hz3_large_alloc(span[i].bytes, HZ3_MIN_ALIGN, &says_zero);
        assert_non_null(span[i].p);
        assert_true(hz3_arena_owns(span[i].p));
        uint32_t pages = (uint32_t)(hz3_span_usable_size(span[i].p) / HZ3_PAGE_SIZE);
        zero += says_zero;
        reused += !says_zero;
        assert_true(!says_zero || is_zero(hz3_page_of(span[i].p), pages));
        memset(span[i].p, 0xA5, pages * HZ3_PAGE_SIZE);
        if (unit_random_below(&rng, 4) == 0) {
            hz3_span_cache_drain_all(); // their pages go back as they are
        }
        if (unit_random_below(&rng, 8) == 0) {
            hz3_release_purge_all();
        }
    }
    for (uint32_t i = 0; i < COUNT_OF(span); i++) {
        hz3_span_free(span[i].p);
    }
    assert_true(zero > 0 && reused > 0);
}

static void calloc_is_zero_after_dirty_reuse(void **state)
{
    (void)state;
    uint64_t rng = 4;
    for (int round = 0; round < 300; round++) {
        size_t bytes = 1 + unit_random_below(&rng, 1u << (4 + unit_random_below(&rng, 17)));
        unsigned char *p = calloc(1, bytes);
        assert_non_null(p);
        for (size_t i = 0; i < bytes; i++) {
            assert_int_equal(p[i], 0);
        }
        memset(p, 0xA5, bytes);
        free(p);
        if (round % 32 == 0) {
            hz3_release_purge_all();
        }
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=16M", "HZ3_SHARDS=1", "HZ3_EPOCH_TICK_MS=0",
                                              "HZ3_S65_BATCH=0", NULL}); // one call a range is counted below
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(slots_hold_what_the_arena_has, set_up),
        cmocka_unit_test_setup(arena_can_be_filled_with_every_length, set_up),
        cmocka_unit_test_setup(released_pages_come_before_a_new_slot, set_up),
        cmocka_unit_test_setup(claim_more_stays_in_one_segment, set_up),
        cmocka_unit_test_setup(release_clears_tags_and_counts, set_up),
        cmocka_unit_test_setup(first_page_of_a_segment_is_ordinary, set_up),
        cmocka_unit_test_setup(ranges_outside_of_a_segment_abort, set_up),
        cmocka_unit_test_setup(double_release_aborts, set_up),
        cmocka_unit_test_setup(purged_pages_are_clean_and_zero, set_up),
        cmocka_unit_test_setup(purge_makes_one_call_per_range, set_up),
        cmocka_unit_test_setup(refused_purge_loses_nothing, set_up),
        cmocka_unit_test_setup(empty_slots_close_and_open_as_new, set_up),
        cmocka_unit_test_setup(closed_slots_are_not_tried, set_up),
        cmocka_unit_test_setup(refused_purge_keeps_the_slot_open, set_up),
        cmocka_unit_test_setup(spans_are_zero_when_they_say_so, set_up),
        cmocka_unit_test_setup(calloc_is_zero_after_dirty_reuse, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
