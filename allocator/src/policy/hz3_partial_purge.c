#include "policy/hz3_partial_purge.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_shard.h"
#include "base/hz3_stats.h"
#include "middle/hz3_central_state.h"
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

// Under the lock: goes on with the walk, ages what it meets and claims what is old enough.
static void collect(Central *c, uint32_t cls, uint32_t min_age, uint64_t max_runs, Batch *b)
{
    hz3_assert(hz3_lock_is_held(&c->lock));
    while (c->next_scanned != HZ3_PAGE_NONE && b->looked_at < RUNS_PER_LOCK && b->looked_at < max_runs &&
           b->n + RUN_RANGES_MAX <= HZ3_PURGE_BATCH) {
        uint32_t run = c->next_scanned;
        Hz3RunMeta *meta = &hz3_arena.run[run];
        c->next_scanned = meta->next;
        b->looked_at++;
        if (meta->idle_epochs < min_age) {
            meta->idle_epochs++;
            c->has_news = true; // come again
            continue;
        }
        uint32_t pages = hz3_run_claim_free_pages(run, cls);
        if (pages != 0) {
            add_ranges(b, run, pages);
        }
    }
    if (b->pages != 0) {
        hz3_in_purging_add(b->pages);
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
    size_t purged = hz3_release_to_kernel(b->range, b->n, &given);
    uint32_t range = 0;
    hz3_lock_acquire(&c->lock);
    bool had_news = c->has_news;
    for (uint32_t i = 0; i < b->claims; i++) {
        const Claim *claim = &b->claim[i];
        uint32_t bits = pages_given(b, &given, &range, claim);
        hz3_assert(range <= b->n && (bits & ~claim->pages) == 0);
        hz3_run_publish_pages(claim->run, cls, claim->pages, bits);
        hz3_partial_settle(c, claim->run, cls);
        had_news = had_news || bits != claim->pages; // refused: try again
    }
    c->has_news = had_news; // what we put back ourselves is none
    hz3_central_unlock(c);
    hz3_in_purging_sub(b->pages);
    hz3_stat_add(partial_pages, purged);
    return purged;
}

// One walk over the list, from its head or from where the last call stopped. Returns the runs looked at.
static uint64_t scan_central(Central *c, uint32_t cls, uint32_t min_age, uint64_t max_runs, size_t *purged)
{
    uint64_t looked_at = 0;
    bool goes_on = true;
    hz3_lock_acquire(&c->lock);
    if (c->next_scanned == HZ3_PAGE_NONE) {
        c->next_scanned = c->has_news ? c->partial : HZ3_PAGE_NONE;
        c->has_news = false;
    }
    hz3_central_unlock(c);
    while (goes_on && looked_at < max_runs) {
        Batch b; // its arrays need no zeros
        b.claims = 0;
        b.n = 0;
        b.pages = 0;
        b.looked_at = 0;
        hz3_lock_acquire(&c->lock);
        collect(c, cls, min_age, max_runs - looked_at, &b);
        goes_on = c->next_scanned != HZ3_PAGE_NONE;
        hz3_central_unlock(c);
        looked_at += b.looked_at;
        *purged += b.claims != 0 ? purge_and_publish(c, cls, &b) : 0;
    }
    return looked_at;
}

size_t hz3_partial_purge(uint32_t min_age, uint64_t max_runs)
{
    size_t purged = 0;
    if (!hz3_knobs.S65_PARTIAL_PURGE) {
        return 0;
    }
    // This call begins where the last one ran out of budget, so that a busy class keeps no other from its turn.
    static _Atomic uint32_t first_of_next;
    uint32_t first = atomic_load_explicit(&first_of_next, memory_order_relaxed);
    uint32_t n = hz3_shard_count() * HZ3_CLASS_SMALL_LAST;
    for (uint32_t i = 0; i < n && max_runs > 0; i++) {
        uint32_t at = (first + i) % n;
        uint32_t cls = HZ3_CLASS_FIRST + at % HZ3_CLASS_SMALL_LAST;
        max_runs -= scan_central(&hz3_central[at / HZ3_CLASS_SMALL_LAST][cls], cls, min_age, max_runs, &purged);
        atomic_store_explicit(&first_of_next, at, memory_order_relaxed);
    }
    return purged;
}

bool hz3_partial_purge_is_pending(void)
{
    bool pending = false;
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        Central *c = &hz3_central[shard][cls];
        hz3_lock_acquire(&c->lock);
        pending |= c->has_news || c->next_scanned != HZ3_PAGE_NONE;
        hz3_lock_release(&c->lock);
    }
    return pending && hz3_knobs.S65_PARTIAL_PURGE;
}
