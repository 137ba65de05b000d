// Threads and a purger on a small arena. Every page carries an ownership word, and its first and last words a pattern:
// a page that is purged while somebody has it, or given to two threads, is seen when its owner gives it back.
#include "support.h"

#include <stdio.h>
#include <time.h>

#include "arena_support.h"
#include "base/hz3_stats.h"
#include "pages/hz3_segment_packing.h"
#include "release/hz3_release_boundary.h"
#include "release/hz3_release_ledger.h"

#define SLOTS 8
#define ARENA_PAGES (SLOTS * HZ3_PAGES_PER_SEG)
#define WORKERS 6
#define SHARDS 4
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define STEPS 3000
#define DOUBLE_FREES 20
#else
#define STEPS 25000
#define DOUBLE_FREES 300
#endif
#define PLAY_S 20 // beside busy processes the workers stop here, if they have met the purger by then

void *hz3_unit_malloc(size_t size);
void hz3_unit_free(void *p);

static _Atomic uint32_t owner[ARENA_PAGES];
static _Atomic uint32_t workers_left;
static _Atomic uint32_t clean_claims;
static _Atomic uint32_t failed_claims;
static uint64_t closed_before;

static uint64_t *first_word(uint32_t page)
{
    return hz3_page_addr(page);
}

static uint64_t *last_word(uint32_t page)
{
    return first_word(page) + HZ3_PAGE_SIZE / sizeof(uint64_t) - 1;
}

static uint64_t pattern(uint32_t page, uint32_t self)
{
    return (uint64_t)self << 32 | page;
}

static void own(uint32_t page, uint32_t self, bool is_clean)
{
    uint32_t nobody = 0;
    bool is_mine = atomic_compare_exchange_strong_explicit(&owner[page], &nobody, self, memory_order_relaxed,
                                                           memory_order_relaxed);
    UNIT_REQUIRE(is_mine, "page %u was given to thread %u while thread %u has it", page, self, nobody);
    UNIT_REQUIRE(!is_clean || (*first_word(page) | *last_word(page)) == 0, "clean page %u is not zero", page);
    *first_word(page) = pattern(page, self);
    *last_word(page) = pattern(page, self);
}

static void disown(uint32_t page, uint32_t self)
{
    UNIT_REQUIRE(*first_word(page) == pattern(page, self) && *last_word(page) == pattern(page, self),
                 "page %u of thread %u lost its content", page, self);
    uint32_t was = atomic_exchange_explicit(&owner[page], 0, memory_order_relaxed);
    UNIT_REQUIRE(was == self, "page %u of thread %u belongs to %u", page, self, was);
}

static uint32_t take(uint32_t pages, uint32_t self, uint64_t *rng)
{
    uint32_t page = hz3_pack_claim(unit_random_below(rng, SHARDS), pages, 1);
    if (page == HZ3_PAGE_NONE) {
        atomic_fetch_add(&failed_claims, 1);
        return HZ3_PAGE_NONE;
    }
    bool is_clean = hz3_segment_is_clean(&hz3_arena.seg[page / HZ3_PAGES_PER_SEG], page % HZ3_PAGES_PER_SEG, pages);
    atomic_fetch_add(&clean_claims, is_clean);
    for (uint32_t i = 0; i < pages; i++) {
        own(page + i, self, is_clean);
    }
    return page;
}

static void give(uint32_t page, uint32_t pages, uint32_t self)
{
    for (uint32_t i = 0; i < pages; i++) {
        disown(page + i, self);
    }
    hz3_release_pages(page, pages, HZ3_RELEASE_LARGE);
}

#define HELD_MAX 12

static time_t end;

static bool have_met_the_purger(void)
{
    return atomic_load(&clean_claims) > 0 && hz3_stat_sum(purged_pages) > 0 &&
           hz3_stat_sum(segments_retired) > closed_before;
}

static bool goes_on(int step)
{
    return step < STEPS && !unit_has_failed() && (time(NULL) < end || !have_met_the_purger());
}

static void worker(uint32_t index)
{
    uint32_t self = index + 1;
    uint64_t rng = self;
    struct {
        uint32_t page;
        uint32_t pages;
    } held[HELD_MAX] = {{0, 0}};
    for (int step = 0; goes_on(step); step++) {
        uint32_t i = unit_random_below(&rng, HELD_MAX);
        if (held[i].pages != 0) {
            give(held[i].page, held[i].pages, self);
            held[i].pages = 0;
            continue;
        }
        uint32_t longest = unit_random_below(&rng, 8) == 0 ? 400 : HZ3_WORD_RUN_MAX;
        uint32_t pages = 1 + unit_random_below(&rng, longest);
        held[i].page = take(pages, self, &rng);
        held[i].pages = held[i].page == HZ3_PAGE_NONE ? 0 : pages;
    }
    for (uint32_t i = 0; i < HELD_MAX; i++) {
        if (held[i].pages != 0) {
            give(held[i].page, held[i].pages, self);
        }
    }
}

static void worker_or_purger(uint32_t index, void *arg)
{
    (void)arg;
    if (index < WORKERS) {
        worker(index);
        atomic_fetch_sub(&workers_left, 1);
        return;
    }
    while (atomic_load(&workers_left) > 0 && !unit_has_failed()) {
        hz3_release_purge_all();
        give_cpu_away();
    }
}

static uint32_t held[ARENA_PAGES];

static uint32_t take_single_pages(void)
{
    uint32_t n = 0;
    while (n < ARENA_PAGES && (held[n] = hz3_pack_claim(0, 1, 1)) != HZ3_PAGE_NONE) {
        n++;
    }
    return n;
}

static void purge_and_use_never_meet(void **state)
{
    (void)state;
    assert_int_equal(hz3_arena.slots, SLOTS);
    closed_before = hz3_stat_sum(segments_retired);
    atomic_store(&workers_left, WORKERS);
    end = time(NULL) + PLAY_S;
    unit_run_threads(WORKERS + 1, worker_or_purger, NULL);
    printf("# purged pages %lu, clean claims %u, slots closed %lu, claims in vain %u\n", hz3_stat_sum(purged_pages),
           clean_claims, hz3_stat_sum(segments_retired) - closed_before, failed_claims);
    assert_true(hz3_stat_sum(purged_pages) > 0);
    assert_true(hz3_stat_sum(segments_retired) > closed_before);
    assert_true(atomic_load(&clean_claims) > 0);
    hz3_release_purge_all();
    assert_int_equal(taken_pages(), 0);
    assert_int_equal(open_slots(), 0);
    assert_int_equal(take_single_pages(), ARENA_PAGES); // nothing is lost: the last pages are found without a hint
    for (uint32_t i = 0; i < ARENA_PAGES; i++) {
        hz3_release_pages(held[i], 1, HZ3_RELEASE_LARGE);
    }
    hz3_release_purge_all();
}

// --- two threads free one span ---

static void free_the_span(uint32_t index, void *span)
{
    (void)index;
    hz3_unit_free(span);
}

static void free_a_span_twice_at_once(void *unused)
{
    (void)unused;
    unit_run_threads(2, free_the_span, hz3_unit_malloc(200 * 1000));
}

// By the words for the program's fault, before pages were released that may be somebody else's.
static void one_of_two_frees_is_named(void **state)
{
    (void)state;
    for (int i = 0; i < DOUBLE_FREES; i++) {
        unit_expect_abort(free_a_span_twice_at_once, NULL, "double free");
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=16M", "HZ3_SHARDS=4", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(100);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_two_frees_is_named),
        cmocka_unit_test(purge_and_use_never_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
