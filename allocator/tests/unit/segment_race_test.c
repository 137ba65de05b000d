// Threads on one page map. Every page carries an ownership word (0 → thread on claim) and a plain payload, so that two
// owners of a page are seen at once, and ThreadSanitizer sees a claim that does not follow its publish.
#include "support.h"

#include <stdio.h>
#include <time.h>

#include "pages/hz3_arena.h"
#include "pages/hz3_segment.h"

#define PAGES HZ3_PAGES_PER_SEG
#define THREADS 8
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define STEPS 4000
#else
#define STEPS 30000
#endif
#define PLAY_S 20 // beside busy processes the threads stop here, if they have met in every way by then

static struct {
    Hz3SegMeta *meta; // of the arena's last slot: in this build nobody else opens any
    _Atomic uint32_t owner[PAGES];
    uint32_t payload[PAGES]; // its owner only
    _Atomic uint32_t claims_of_kind[4];
    _Atomic uint32_t roll_backs;
} shared;

static time_t end;

static bool have_met_in_every_way(void)
{
    bool have_met = atomic_load(&shared.roll_backs) > 0;
    for (uint32_t kind = 0; kind < COUNT_OF(shared.claims_of_kind); kind++) {
        have_met = have_met && atomic_load(&shared.claims_of_kind[kind]) > 0;
    }
    return have_met;
}

static bool goes_on(int step)
{
    return step < STEPS && !unit_has_failed() && (time(NULL) < end || !have_met_in_every_way());
}

static void reset(void)
{
    end = time(NULL) + PLAY_S;
    shared.meta = &hz3_arena.seg[hz3_arena.slots - 1];
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        atomic_store(&shared.meta->free_bits[w], UINT64_MAX);
        atomic_store(&shared.meta->dirty_bits[w], 0);
    }
}

static void own(uint32_t page, uint32_t self)
{
    uint32_t nobody = 0;
    bool is_mine = atomic_compare_exchange_strong_explicit(&shared.owner[page], &nobody, self, memory_order_relaxed,
                                                           memory_order_relaxed);
    UNIT_REQUIRE(is_mine, "page %u was given to thread %u while thread %u has it", page, self, nobody);
    shared.payload[page] = self ^ page;
}

static void disown(uint32_t page, uint32_t self)
{
    uint32_t payload = shared.payload[page];
    UNIT_REQUIRE(payload == (self ^ page), "page %u of thread %u holds %u", page, self, payload);
    uint32_t was = atomic_exchange_explicit(&shared.owner[page], 0, memory_order_relaxed);
    UNIT_REQUIRE(was == self, "page %u of thread %u belongs to %u", page, self, was);
}

static void own_run(uint32_t page, uint32_t pages, uint32_t self)
{
    for (uint32_t i = 0; i < pages; i++) {
        own(page + i, self);
    }
}

static void give_run(uint32_t page, uint32_t pages, uint32_t self, bool dirty)
{
    for (uint32_t i = 0; i < pages; i++) {
        disown(page + i, self);
    }
    if (dirty) {
        hz3_segment_mark_dirty(shared.meta, page, pages);
    }
    hz3_segment_publish(shared.meta, page, pages);
}

static void claim_and_give(uint32_t pages, uint32_t align, uint32_t self, uint64_t *rng)
{
    bool rolled_back = false;
    uint32_t page = hz3_segment_claim(shared.meta, pages, align, &rolled_back);
    atomic_fetch_add(&shared.roll_backs, rolled_back);
    if (page == HZ3_PAGE_NONE) {
        return;
    }
    UNIT_REQUIRE(page % align == 0 && page + pages <= PAGES, "%u pages at %u, aligned to %u", pages, page, align);
    own_run(page, pages, self);
    give_run(page, pages, self, unit_random_below(rng, 2) != 0);
    atomic_fetch_add(&shared.claims_of_kind[pages > HZ3_WORD_RUN_MAX], 1);
}

static void claim_many_and_give(uint32_t pages, uint32_t self)
{
    uint32_t page[8];
    uint32_t n = hz3_segment_claim_many(shared.meta, pages, page, COUNT_OF(page));
    for (uint32_t i = 0; i < n; i++) {
        own_run(page[i], pages, self);
    }
    for (uint32_t i = 0; i < n; i++) {
        give_run(page[i], pages, self, true);
    }
}

// Takes what is free and dirty in one word, as the purger does, and gives it back clean.
static void purge_word(uint32_t w, uint32_t self)
{
    uint64_t word = atomic_load(&shared.meta->free_bits[w]);
    uint64_t claim = word & atomic_load(&shared.meta->dirty_bits[w]);
    if (claim == 0 || !atomic_compare_exchange_strong(&shared.meta->free_bits[w], &word, word & ~claim)) {
        return;
    }
    for (uint64_t rest = claim; rest != 0; rest &= rest - 1) {
        own(w * 64 + (uint32_t)__builtin_ctzl(rest), self);
    }
    atomic_fetch_and(&shared.meta->dirty_bits[w], ~claim);
    for (uint64_t rest = claim; rest != 0; rest &= rest - 1) {
        uint32_t page = w * 64 + (uint32_t)__builtin_ctzl(rest);
        disown(page, self);
        hz3_segment_publish(shared.meta, page, 1);
    }
    atomic_fetch_add(&shared.claims_of_kind[2], 1);
}

static void claim_whole_and_give(uint32_t self)
{
    bool rolled_back = false;
    bool is_mine = hz3_segment_claim_whole(shared.meta, &rolled_back);
    atomic_fetch_add(&shared.roll_backs, rolled_back);
    UNIT_REQUIRE(!is_mine || !rolled_back, "a claim of the whole segment succeeded and was rolled back");
    if (is_mine) {
        own_run(0, PAGES, self);
        give_run(0, PAGES, self, false);
        atomic_fetch_add(&shared.claims_of_kind[3], 1);
    }
}

static void mixed_worker(uint32_t index, void *arg)
{
    (void)arg;
    uint32_t self = index + 1;
    uint64_t rng = self;
    for (int step = 0; goes_on(step); step++) {
        switch (unit_random_below(&rng, 16)) {
        case 0:
            claim_whole_and_give(self);
            break;
        case 1:
        case 2:
            purge_word(unit_random_below(&rng, HZ3_WORDS_PER_SEG), self);
            break;
        case 3:
        case 4:
            claim_and_give(17 + unit_random_below(&rng, 300), 1u << unit_random_below(&rng, 6), self, &rng);
            break;
        case 5:
            claim_many_and_give(1 + unit_random_below(&rng, HZ3_WORD_RUN_MAX), self);
            break;
        default:
            claim_and_give(1 + unit_random_below(&rng, HZ3_WORD_RUN_MAX), 1u << unit_random_below(&rng, 4), self, &rng);
        }
    }
    claim_whole_and_give(self); // the last thread to come here is alone, so at least one gets the whole
}

static void no_page_has_two_owners(void **state)
{
    (void)state;
    reset();
    unit_run_threads(THREADS, mixed_worker, NULL);
    assert_int_equal(hz3_segment_free_pages(shared.meta), PAGES);
    printf("# short %u, long %u, purged words %u, whole %u, rolled back %u\n", shared.claims_of_kind[0],
           shared.claims_of_kind[1], shared.claims_of_kind[2], shared.claims_of_kind[3], shared.roll_backs);
    assert_true(shared.roll_backs > 0);
    for (uint32_t kind = 0; kind < COUNT_OF(shared.claims_of_kind); kind++) {
        assert_true(shared.claims_of_kind[kind] > 0);
    }
}

// The others take one page at a time, resident or lowest first, so that they never come beyond those that the long
// claim makes resident: more than 300 pages in a row are free all along.
static void long_claim_worker(uint32_t index, void *arg)
{
    (void)arg;
    uint64_t rng = index + 1;
    for (int step = 0; goes_on(step); step++) {
        if (index != 0) {
            claim_and_give(1, 1, index + 1, &rng);
            continue;
        }
        uint32_t pages = 200;
        bool rolled_back = false;
        uint32_t page = hz3_segment_claim(shared.meta, pages, 1, &rolled_back);
        UNIT_REQUIRE(page != HZ3_PAGE_NONE, "no %u pages found although 300 in a row are free (step %d)", pages, step);
        own_run(page, pages, index + 1);
        give_run(page, pages, index + 1, true);
    }
}

static void long_claim_finds_room_that_nobody_touches(void **state)
{
    (void)state;
    reset();
    unit_run_threads(3, long_claim_worker, NULL);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=126M", NULL}); // whose last slot has its tables
    unit_watchdog(100);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_page_has_two_owners),
        cmocka_unit_test(long_claim_finds_room_that_nobody_touches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
