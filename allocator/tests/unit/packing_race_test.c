// Hints against releases: a claimer that fails clears them, a releaser that just published sets them. When all are
// quiet again, a segment that has the pages must be found by its hint. Segment 0 is taken but for what two threads
// release in each round while two others look for pages there in vain; then another shard must find the pages in
// segment 0 and not in a higher one. Not run under ThreadSanitizer, which knows nothing of fences; linked a second time
// with weak_atomics.h, where the fence in clear_hints counts.
#include "support.h"

#include <sched.h>
#include <stdio.h>
#include <time.h>

#include "arena_support.h"
#include "pages/hz3_ledger_list.h"
#include "pages/hz3_segment_packing.h"
#include "release/hz3_release_boundary.h"
#include "release/hz3_release_ledger.h"
#include "yield_point.h"

#if defined(__SANITIZE_ADDRESS__)
#define ROUNDS 2000
#elif !defined(ROUNDS)
#define ROUNDS 12000
#endif
// Nobody sleeps at the barriers, so beside other busy processes a round takes as long as their time slices.
#define PLAY_S 15
#define CLAIMERS 2
#define RELEASERS 2
#define CHECKER (CLAIMERS + RELEASERS)
#define CHECK_SHARD 8
#define LAST_SLOT 7

__attribute__((weak)) void weak_fence(void);

static struct {
    _Atomic uint32_t arrived;
    bool is_broken; // the checker found no hint; everybody stops
    bool is_over;   // PLAY_S have passed; everybody stops
    uint32_t rounds;
    uint32_t released[RELEASERS]; // lengths of this round
    uint32_t asked[CLAIMERS];
    uint32_t found_in_race;
} game;

// Nobody sleeps: who has to be woken comes too late to meet the others.
static void wait_for_all(uint32_t *barriers_passed)
{
    if (weak_fence != NULL) {
        weak_fence();
    }
    uint32_t wanted = ++*barriers_passed * (CHECKER + 1);
    atomic_fetch_add(&game.arrived, 1);
    while (atomic_load(&game.arrived) < wanted) {
        sched_yield();
    }
}

static void dawdle(uint64_t *rng)
{
    for (uint32_t i = unit_random_below(rng, 300); i > 0; i--) {
        atomic_signal_fence(memory_order_seq_cst);
    }
}

// Always inside one word, far from each other.
static uint32_t place_of(uint32_t releaser)
{
    return 2 * 64 + 8 + releaser * 3 * 64;
}

static void release(uint32_t page, uint32_t pages)
{
    hz3_release_pages(page, pages, HZ3_RELEASE_LARGE);
}

static uint32_t longest_released(void)
{
    return game.released[0] > game.released[1] ? game.released[0] : game.released[1];
}

// Hints that say yes in vain: somebody had these pages and took them again.
static void set_vain_hints(uint64_t *rng)
{
    hz3_pack_on_free(0, 0, 1 + unit_random_below(rng, HZ3_WORD_RUN_MAX));
    for (uint32_t i = 0; i < RELEASERS; i++) {
        game.released[i] = 1 + unit_random_below(rng, HZ3_WORD_RUN_MAX);
    }
    for (uint32_t i = 0; i < CLAIMERS; i++) {
        game.asked[i] = 1 + unit_random_below(rng, HZ3_WORD_RUN_MAX);
    }
}

static void take_all_of(uint32_t slot)
{
    bool rolled_back = false;
    while (hz3_segment_claim(&hz3_arena.seg[slot], 1, 1, &rolled_back) != HZ3_PAGE_NONE) {
    }
}

static bool check_and_take_back(uint64_t *rng)
{
    uint32_t pages = 1 + unit_random_below(rng, longest_released());
    release(LAST_SLOT * HZ3_PAGES_PER_SEG, 16); // what it gets when the hint of segment 0 is lost
    bool is_hinted = hz3_pack_claim(CHECK_SHARD, pages, 1) < HZ3_PAGES_PER_SEG;
    take_all_of(0);
    take_all_of(LAST_SLOT);
    // Makes segment 1 the checker's current one, where it looks without a hint.
    release(HZ3_PAGES_PER_SEG, 16);
    return hz3_pack_claim(CHECK_SHARD, 16, 1) == HZ3_PAGES_PER_SEG && is_hinted;
}

static void act(uint32_t index, uint64_t *rng)
{
    dawdle(rng);
    if (index < CLAIMERS) {
        uint32_t page = hz3_pack_claim(index, game.asked[index], 1);
        if (page != HZ3_PAGE_NONE) {
            release(page, game.asked[index]);
        }
        game.found_in_race += index == 0 && page < HZ3_PAGES_PER_SEG;
    } else if (index < CHECKER) {
        release(place_of(index - CLAIMERS), game.released[index - CLAIMERS]);
    }
}

static void player(uint32_t index, void *arg)
{
    (void)arg;
    uint64_t rng = index + 1;
    uint32_t barriers_passed = 0;
    time_t end = time(NULL) + PLAY_S;
    for (int round = 0; round < ROUNDS && !game.is_broken && !game.is_over; round++) {
        act(index, &rng);
        wait_for_all(&barriers_passed);
        if (index == CHECKER) {
            game.is_broken = !check_and_take_back(&rng);
            game.is_over = time(NULL) >= end;
            game.rounds++;
            set_vain_hints(&rng);
        }
        wait_for_all(&barriers_passed);
        UNIT_REQUIRE(!game.is_broken, "round %d: pages of segment 0 are free, but nobody finds them there", round);
    }
}

static void play(void)
{
    release(HZ3_PAGES_PER_SEG, 16);
    assert_int_equal(hz3_pack_claim(CHECK_SHARD, 16, 1), HZ3_PAGES_PER_SEG);
    game.arrived = 0;
    game.found_in_race = 0;
    game.is_over = false;
    game.rounds = 0;
    uint64_t rng = 1;
    set_vain_hints(&rng);
    unit_run_threads(CHECKER + 1, player, NULL);
    printf("# found while it was released: %u of %u\n", game.found_in_race, game.rounds);
    assert_true(game.found_in_race > 0 && game.found_in_race < game.rounds);
}

static void hints_survive_failed_claims_of_the_tightest_fit(void **state)
{
    (void)state;
    play();
}

// Every slot is open, so that none can be opened instead, but the count says that there are plenty.
static void hints_survive_failed_claims_in_address_order(void **state)
{
    (void)state;
    atomic_store(&hz3_arena.slots_left, hz3_arena.slots);
    play();
    atomic_store(&hz3_arena.slots_left, 0);
}

// --- a claim that is rolled back ---
// One thread claims free pages of several words in segment 0. Before each of its atomic operations in turn the others
// act: the pages of the last word are taken, a claimer looks for many pages and finds none, a drainer comes. Whenever
// that was, the pages that are free in the end are hinted, and their segment is in the ledger if they are dirty.

typedef struct Claim {
    uint32_t first;
    uint32_t pages; // free
    void (*make)(void);
} Claim;

static struct {
    const Claim *claim;
    uint32_t left; // operations until they act
    bool met_it;   // when the first word's pages were taken and the last word's were not
} others;

static uint64_t pages_in_word(uint32_t page)
{
    return hz3_word_mask(page / 64, others.claim->first, others.claim->pages);
}

static void others_act(void)
{
    if (others.left-- != 0) {
        return;
    }
    unit_at_yield_point = NULL;
    uint32_t first = others.claim->first;
    uint32_t last = first + others.claim->pages - 1;
    _Atomic uint64_t *free_bits = hz3_arena.seg[0].free_bits;
    if ((atomic_load(&free_bits[last / 64]) & pages_in_word(last)) == pages_in_word(last)) {
        others.met_it = (atomic_load(&free_bits[first / 64]) & pages_in_word(first)) == 0;
        atomic_fetch_and(&free_bits[last / 64], ~pages_in_word(last));
        hz3_pack_claim(0, others.claim->pages / 2, 1);
        hz3_ledger_purge(&(Hz3PurgeLimits){.pages = UINT64_MAX, .us = UINT64_MAX});
    }
}

// False: the claim was over before the others' turn.
static bool claim_while_others_act(uint32_t at)
{
    others.left = at;
    others.met_it = false;
    unit_at_yield_point = others_act;
    others.claim->make();
    bool they_came = unit_at_yield_point == NULL;
    unit_at_yield_point = NULL;
    return they_came;
}

static void play_roll_backs(const Claim *claim)
{
    others.claim = claim;
    uint32_t meetings = 0;
    bool they_came = true;
    for (uint32_t at = 0; they_came; at++) {
        release(claim->first, claim->pages);
        they_came = claim_while_others_act(at);
        meetings += others.met_it;
        assert_int_equal(hz3_ledger_drops(), 0);
        uint32_t longest = hz3_segment_longest_run(&hz3_arena.seg[0]);
        if (longest != 0 && hz3_pack_claim(CHECK_SHARD, longest, 1) >= HZ3_PAGES_PER_SEG) {
            fail_msg("operation %u: %u pages of segment 0 are free, but nobody finds them there", at, longest);
        }
        if (!hz3_arena_slot_is_open(0)) {
            assert_int_equal(hz3_pack_claim(CHECK_SHARD, HZ3_PAGES_PER_SEG, 1), 0);
        }
        take_all_of(0);
    }
    assert_true(meetings > 0);
}

static void claim_25_pages(void)
{
    hz3_pack_claim(1, 25, 1);
}

static void purge_and_close(void)
{
    hz3_release_purge_all();
}

static const Claim claim_across_words = {2 * 64 - 20, 30, claim_25_pages};
static const Claim claim_to_close = {0, HZ3_PAGES_PER_SEG, purge_and_close};

static void pages_of_a_tightest_claim_that_is_rolled_back_are_found(void **state)
{
    (void)state;
    play_roll_backs(&claim_across_words);
}

static void pages_of_a_lowest_claim_that_is_rolled_back_are_found(void **state)
{
    (void)state;
    atomic_store(&hz3_arena.slots_left, hz3_arena.slots);
    play_roll_backs(&claim_across_words);
    atomic_store(&hz3_arena.slots_left, 0);
}

static void pages_of_a_slot_that_does_not_close_are_found(void **state)
{
    (void)state;
    play_roll_backs(&claim_to_close);
}

// So that no slot can be opened.
static int take_all_slots(void **state)
{
    (void)state;
    for (uint32_t slot = 0; slot <= LAST_SLOT; slot++) {
        assert_int_equal(hz3_pack_claim(CHECK_SHARD, HZ3_PAGES_PER_SEG, 1), slot * HZ3_PAGES_PER_SEG);
    }
    assert_int_equal(open_slots(), hz3_arena.slots);
    return 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=16M", "HZ3_SHARDS=16", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_a_tightest_claim_that_is_rolled_back_are_found),
        cmocka_unit_test(pages_of_a_lowest_claim_that_is_rolled_back_are_found),
        cmocka_unit_test(pages_of_a_slot_that_does_not_close_are_found),
        cmocka_unit_test(hints_survive_failed_claims_of_the_tightest_fit),
        cmocka_unit_test(hints_survive_failed_claims_in_address_order),
    };
    return cmocka_run_group_tests(tests, take_all_slots, NULL);
}
