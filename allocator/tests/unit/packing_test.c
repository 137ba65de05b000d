// Which segments a claim looks at. Whoever walks all segments pays for the size of the heap.
#include "support.h"

#include "pages/hz3_arena.h"
#include "pages/hz3_segment.h"
#include "pages/hz3_segment_packing.h"
#include "release/hz3_release_boundary.h"

#define SHARD 0
#define SEGMENTS 200u
#define CLAIMS 300u
// A few for each claim, and two for each hint that a full segment has left: it is cleared then.
#define TRIES_MAX (2 * CLAIMS + 2 * SEGMENTS)

static uint32_t tries;

uint32_t __real_hz3_segment_claim(Hz3SegMeta *meta, uint32_t pages, uint32_t align_pages, bool *rolled_back);
uint32_t __wrap_hz3_segment_claim(Hz3SegMeta *meta, uint32_t pages, uint32_t align_pages, bool *rolled_back);
uint32_t __wrap_hz3_segment_claim(Hz3SegMeta *meta, uint32_t pages, uint32_t align_pages, bool *rolled_back)
{
    tries++;
    return __real_hz3_segment_claim(meta, pages, align_pages, rolled_back);
}

static uint32_t half[2 * SEGMENTS];

static uint32_t claim(uint32_t pages, uint32_t align_pages)
{
    uint32_t page = hz3_pack_claim(SHARD, pages, align_pages);
    assert_int_not_equal(page, HZ3_PAGE_NONE);
    assert_int_equal(page % align_pages, 0);
    return page;
}

// Each segment has one hole of 16 pages, none of which begins where a multiple of 16 is.
static int make_odd_holes(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2 * SEGMENTS; i++) {
        half[i] = claim(HZ3_PAGES_PER_SEG / 2, 1);
    }
    for (uint32_t i = 0; i < 2 * SEGMENTS; i += 2) {
        hz3_release_pages(half[i] + 8, 16, HZ3_RELEASE_LARGE);
    }
    return 0;
}

static int fill_holes(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2 * SEGMENTS; i++) {
        bool has_hole = i % 2 == 0;
        hz3_release_pages(half[i], has_hole ? 8 : HZ3_PAGES_PER_SEG / 2, HZ3_RELEASE_LARGE);
        if (has_hole) {
            hz3_release_pages(half[i] + 24, HZ3_PAGES_PER_SEG / 2 - 24, HZ3_RELEASE_LARGE);
        }
    }
    return 0;
}

static void an_aligned_claim_looks_at_a_few(void **state)
{
    (void)state;
    uint32_t page[CLAIMS];
    tries = 0;
    for (uint32_t i = 0; i < CLAIMS; i++) {
        page[i] = claim(16, 16);
    }
    assert_true(tries <= TRIES_MAX);
    for (uint32_t i = 0; i < CLAIMS; i++) {
        hz3_release_pages(page[i], 16, HZ3_RELEASE_LARGE);
    }
}

// A run that is long enough whatever its start is found among them, before a slot is opened. Others may be there, too.
static void a_run_that_holds_any_alignment_is_found(void **state)
{
    (void)state;
    uint32_t page[CLAIMS];
    uint32_t n = 0;
    tries = 0;
    uint32_t slots_left = hz3_arena_slots_left();
    hz3_release_pages(half[301] + 7, 32, HZ3_RELEASE_LARGE);
    do {
        assert_true(n < CLAIMS);
        page[n] = claim(16, 16);
        assert_true(tries <= TRIES_MAX);
        assert_int_equal(hz3_arena_slots_left(), slots_left);
    } while (page[n++] / (HZ3_PAGES_PER_SEG / 2) != half[301] / (HZ3_PAGES_PER_SEG / 2));
    for (uint32_t i = 0; i < n; i++) {
        hz3_release_pages(page[i], 16, HZ3_RELEASE_LARGE);
    }
    bool rolled_back = false; // as fill_holes expects it
    assert_true(hz3_segment_claim_at(&hz3_arena.seg[half[301] / HZ3_PAGES_PER_SEG], half[301] % HZ3_PAGES_PER_SEG + 7,
                                     32, &rolled_back));
}

// A program that frees and allocates again takes the same pages, not those of the segment that it came to last.
static void pages_freed_lower_down_serve_first(void **state)
{
    (void)state;
    uint32_t a = claim(HZ3_PAGES_PER_SEG, 1);
    uint32_t b = claim(HZ3_PAGES_PER_SEG, 1);
    uint32_t low = a < b ? a : b;
    uint32_t high = a < b ? b : a;
    hz3_release_pages(high + 7, 1, HZ3_RELEASE_LARGE);
    assert_int_equal(claim(1, 1), high + 7); // from here on the segment it looks at first
    hz3_release_pages(high + 7, 1, HZ3_RELEASE_LARGE);
    hz3_release_pages(low + 9, 1, HZ3_RELEASE_LARGE);
    assert_int_equal(claim(1, 1), low + 9);
    hz3_release_pages(high, 7, HZ3_RELEASE_LARGE);
    hz3_release_pages(high + 8, HZ3_PAGES_PER_SEG - 8, HZ3_RELEASE_LARGE);
    hz3_release_pages(low, HZ3_PAGES_PER_SEG, HZ3_RELEASE_LARGE);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=2G", "HZ3_EPOCH_TICK_MS=0", "HZ3_SHARDS=1", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_freed_lower_down_serve_first),
        cmocka_unit_test_setup_teardown(a_run_that_holds_any_alignment_is_found, make_odd_holes, fill_holes),
        cmocka_unit_test_setup_teardown(an_aligned_claim_looks_at_a_few, make_odd_holes, fill_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
