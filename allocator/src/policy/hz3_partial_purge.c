#include "policy/hz3_partial_purge.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_shard.h"
#include "base/hz3_stats.h"
#include "middle/hz3_central_state.h"
#include "middle/hz3_partial_news.h"
#include "middle/hz3_small.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_in_purging.h"
#include "release/hz3_release_boundary.h"

// Runs looked at under one lock; ranges of one run: every second of its pages.
#define RUNS_PER_LOCK 32u
#define RUN_RANGES_MAX ((HZ3_SMALL_RUN_PAGES_MAX + 1) / 2)

typedef struct Claim {
    uint32_t run;
    uint32_t pages; // bits
} Claim;

typedef struct Batch {
    uint32_t claims;
    uint32_t n;
    uint32_t pages;
    uint32_t looked_at;
    Claim claim[RUNS_PER_LOCK];
    Hz3OsRange range[HZ3_PURGE_BATCH]; // of the claims, in their order
} Batch;

static void add_ranges(Batch *b, uint32_t run, uint32_t pages)
{
    hz3_assert(pages != 0 && b->claims < RUNS_PER_LOCK && b->n + RUN_RANGES_MAX <= HZ3_PURGE_BATCH);
    b->claim[b->claims++] = (Claim){run, pages};
    b->pages += (uint32_t)__builtin_popcount(pages);
    while (pages != 0) {
        uint32_t first = (uint32_t)__builtin_ctz(pages);
        uint32_t count = (uint32_t)__builtin_ctz(~(pages >> first));
        b->range[b->n++] = (Hz3OsRange){hz3_page_addr(run + first), (size_t)count << HZ3_PAGE_SHIFT};
        pages &= ~(((1u << count) - 1) << first);
    }
}

// Claimed objects are out of the bitmap, and so of the count, until they are published.
static void count_claimed(const Central *c, uint32_t run, uint64_t before)
{
    if (hz3_arena.run[run].is_partial) {
        hz3_news_count(c, (int64_t)hz3_arena.run[run].free_objs - (int64_t)before);
    }
}

static bool has_room(const Batch *b, uint64_t max_runs)
{
    return b->looked_at < RUNS_PER_LOCK && b->looked_at < max_runs && b->n + RUN_RANGES_MAX <= HZ3_PURGE_BATCH;
}

// Claims what is free of a run that is old enough. False: it must be looked at again.
static bool look_at(uint32_t run, uint32_t cls, uint32_t min_age, Batch *b)
{
    b->looked_at++;
    if (hz3_run_age(hz3_arena.run[run].touched) < min_age) {
        return false;
    }
    uint32_t pages = hz3_run_claim_free_pages(run, cls);
    if (pages != 0) {
        add_ranges(b, run, pages);
    }
    return true;
}

// Under the lock: goes on with the notes from `at` downwards; the ones above it were looked at, or are new. Returns
// where it stopped.
static uint32_t collect_noted(Central *c, uint32_t cls, uint32_t min_age, uint64_t max_runs, uint32_t at, Batch *b)
{
    const Hz3PartialNews *news = hz3_news_of(c);
    uint32_t notes = atomic_load_explicit(&news->notes, memory_order_relaxed);
    at = at < notes ? at : notes;
    while (at > 0 && has_room(b, max_runs)) {
        at--;
        uint32_t run = news->run[at];
        uint64_t before = hz3_arena.run[run].free_objs;
        if (look_at(run, cls, min_age, b)) {
            hz3_news_drop(c, at);
        }
        count_claimed(c, run, before);
    }
    return at;
}

// Under the lock: goes on with the walk.
static void collect_walked(Central *c, uint32_t cls, uint32_t min_age, uint64_t max_runs, Batch *b)
{
    while (c->next_scanned != HZ3_PAGE_NONE && has_room(b, max_runs)) {
        uint32_t run = c->next_scanned;
        uint64_t before = hz3_arena.run[run].free_objs;
        c->next_scanned = hz3_arena.run[run].next;
        if (hz3_arena.run[run].touched == HZ3_RUN_LOOKED_AT) {
            b->looked_at++;
        } else if (look_at(run, cls, min_age, b)) {
            hz3_news_forget(c, run);
        } else {
            hz3_news_keep(c, run);
        }
        count_claimed(c, run, before);
    }
    if (c->next_scanned == HZ3_PAGE_NONE) {
        hz3_news_set_walk(c, hz3_news_walk(c) & ~(uint32_t)HZ3_WALK_UNDER_WAY);
    }
}

static uint32_t pages_given(const Batch *b, const Hz3RangesGiven *given, uint32_t *range, const Claim *claim)
{
    uint32_t purged = 0;
    uint32_t left = claim->pages;
    for (; left != 0; (*range)++) {
        uint32_t first = hz3_page_of(b->range[*range].addr) - claim->run;
        uint32_t bits = ((1u << (b->range[*range].bytes >> HZ3_PAGE_SHIFT)) - 1) << first;
        left &= ~bits;
        purged |= hz3_range_given(given, *range) ? bits : 0;
    }
    return purged;
}

static size_t purge_and_publish(Central *c, uint32_t cls, Batch *b)
{
    Hz3RangesGiven given;
    hz3_in_purging_add(b->pages);
    hz3_central_unlock(c);
    size_t purged = hz3_release_to_kernel(b->range, b->n, &given);
    uint32_t range = 0;
    hz3_lock_acquire(&c->lock);
    for (uint32_t i = 0; i < b->claims; i++) {
        const Claim *claim = &b->claim[i];
        uint32_t bits = pages_given(b, &given, &range, claim);
        hz3_assert(range <= b->n && (bits & ~claim->pages) == 0);
        uint64_t before = hz3_arena.run[claim->run].free_objs;
        hz3_run_publish_pages(claim->run, cls, claim->pages, bits);
        count_claimed(c, claim->run, before);
        if (bits != claim->pages) {
            hz3_news_note(c, claim->run); // refused: try again
        }
        hz3_partial_settle(c, claim->run, cls);
    }
    hz3_in_purging_sub(b->pages);
    hz3_stat_add(partial_pages, purged);
    return purged;
}

// Under the lock. First what is noted, then the walk, from the list's head or from where the last call stopped.
static uint32_t collect(Central *c, uint32_t cls, uint32_t min_age, uint64_t max_runs, uint32_t at, Batch *b)
{
    b->claims = 0;
    b->n = 0;
    b->pages = 0;
    b->looked_at = 0;
    at = collect_noted(c, cls, min_age, max_runs, at, b);
    collect_walked(c, cls, min_age, max_runs, b);
    return at;
}

// Returns the runs looked at.
static uint64_t scan_central(Central *c, uint32_t cls, uint32_t min_age, uint64_t max_runs, size_t *purged)
{
    uint64_t looked_at = 0;
    uint32_t at = HZ3_NOTES_MAX;
    bool goes_on = true;
    hz3_lock_acquire(&c->lock);
    if (hz3_news_begin_walk(c, min_age)) {
        c->next_scanned = c->partial;
    }
    while (goes_on && looked_at < max_runs) {
        Batch b; // its arrays need no zeros
        at = collect(c, cls, min_age, max_runs - looked_at, at, &b);
        looked_at += b.looked_at;
        goes_on = at != 0 || c->next_scanned != HZ3_PAGE_NONE;
        if (b.claims != 0) {
            *purged += purge_and_publish(c, cls, &b);
        } else if (goes_on) { // others have their turn
            hz3_central_unlock(c);
            hz3_lock_acquire(&c->lock);
        }
    }
    hz3_central_unlock(c);
    hz3_stat_add(partial_looks, looked_at);
    return looked_at;
}

// A page is a piece of a huge one where segments are that.
static bool is_on(void)
{
    return hz3_knobs.S65_PARTIAL_PURGE && !hz3_knobs.HUGE_SEGMENTS;
}

// Where malloc_trim runs one beside an epoch, the two may count as one.
static void begin_scan(void)
{
    uint8_t now = hz3_run_now();
    atomic_store_explicit(&hz3_run_time, (uint8_t)((now + 1u) % HZ3_RUN_LOOKED_AT), memory_order_relaxed);
}

size_t hz3_partial_purge(uint32_t min_age, uint64_t max_runs)
{
    size_t purged = 0;
    if (!is_on() || max_runs == 0) {
        return 0;
    }
    begin_scan();
    // This call begins where the last one ran out of budget, so that a busy class keeps no other from its turn.
    static _Atomic uint32_t first_of_next;
    uint32_t first = atomic_load_explicit(&first_of_next, memory_order_relaxed);
    uint32_t n = hz3_shard_count() * HZ3_CLASS_SMALL_LAST;
    for (uint32_t i = 0; i < n && max_runs > 0; i++) {
        uint32_t at = (first + i) % n;
        uint32_t cls = HZ3_CLASS_FIRST + at % HZ3_CLASS_SMALL_LAST;
        Central *c = &hz3_central[at / HZ3_CLASS_SMALL_LAST][cls];
        if (hz3_news_exist(c)) {
            max_runs -= scan_central(c, cls, min_age, max_runs, &purged);
            atomic_store_explicit(&first_of_next, at, memory_order_relaxed);
        }
    }
    return purged;
}

bool hz3_partial_purge_is_pending(void)
{
    bool pending = false;
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        pending |= hz3_news_exist(&hz3_central[shard][cls]);
    }
    return pending && is_on();
}
