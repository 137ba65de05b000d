#include "policy/hz3_mem_budget.h"

#include "base/hz3_knobs.h"
#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_shard.h"
#include "base/hz3_stats.h"
#include "front/hz3_front_drain.h"
#include "large/hz3_mapping.h"
#include "large/hz3_span_cache.h"
#include "middle/hz3_central.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_in_purging.h"
#include "pages/hz3_segment.h"
#include "pages/hz3_segment_packing.h"
#include "policy/hz3_epoch.h"
#include "policy/hz3_oom_report.h"
#include "release/hz3_release_ledger.h"

// A purger that lost its CPU inside a madvise is waited for this long: a few yields, then about 0.2 s of sleep.
#define PURGE_WAIT_YIELDS 16
#define PURGE_WAIT_YIELD_US 20
#define PURGE_WAIT_SLEEPS 200
#define PURGE_WAIT_SLEEP_US 1000

static Hz3Lock leader = HZ3_LOCK_INIT(HZ3_RANK_BUDGET);

// While set, page requests go to the leader's lock at once.
static _Atomic bool is_led;

// What had happened when the last reclaim ended in vain. While nothing has moved since, another one would be in vain
// too, and so would be a search of the whole arena for as many pages as one has not found since or more. A program that
// runs into the wall must not pay for either on every call.
static _Atomic uint64_t generation_at_failure = UINT64_MAX;
static _Atomic uint32_t pages_at_failure;

static bool reclaims_all(void)
{
    return hz3_knobs.RECLAIM_SCOPE == HZ3_RECLAIM_ALL;
}

// Moves with everything that makes pages or objects available: it is the sum of counters that are kept anyway, so that
// a release pays nothing for it.
static uint64_t generation_now(void)
{
    return hz3_stat_sum(flushes) + hz3_stat_sum(spans_cached) + hz3_stat_sum(boundary_calls) +
           hz3_stat_sum(madvise_calls) + hz3_stat_sum(segments_retired);
}

// --- steps -------------------------------------------------------------------------------------------------------

size_t hz3_mem_budget_emergency_flush(void)
{
    return hz3_front_drain(reclaims_all() ? HZ3_FRONT_ALL : HZ3_FRONT_OWN);
}

static uint64_t max_reclaim_pages(void)
{
    return hz3_knobs.MEM_BUDGET_MAX_RECLAIM_PAGES != 0 ? hz3_knobs.MEM_BUDGET_MAX_RECLAIM_PAGES : UINT64_MAX;
}

size_t hz3_mem_budget_reclaim_medium_runs(uint32_t shard)
{
    return reclaims_all() ? hz3_central_drain_medium_of(0, hz3_shard_count(), max_reclaim_pages())
                          : hz3_central_drain_medium_of(shard, 1, max_reclaim_pages());
}

size_t hz3_mem_budget_reclaim_small_runs(void)
{
    return reclaims_all() ? hz3_central_drain(HZ3_DRAIN_ALL, false, 0) : 0;
}

// A free segment serves every shard as it is; only shards that keep to their own segments need it as a slot.
size_t hz3_mem_budget_reclaim_segments(void)
{
    uint32_t before = hz3_arena_slots_left();
    if (!hz3_knobs.PAGE_STEAL) {
        hz3_release_purge_all();
    }
    uint32_t now = hz3_arena_slots_left();
    return now > before ? now - before : 0;
}

static void wait_for_purging(void)
{
    for (int i = 0; i < PURGE_WAIT_YIELDS + PURGE_WAIT_SLEEPS && hz3_in_purging_pages() != 0; i++) {
        hz3_os_pause(i < PURGE_WAIT_YIELDS ? PURGE_WAIT_YIELD_US : PURGE_WAIT_SLEEP_US);
    }
}

// --- the chain; by the leader ------------------------------------------------------------------------------------

// What one shard does not find another may, where pages serve the shard that opened them.
static uint32_t shortest_in_vain(uint32_t pages, uint32_t align_pages)
{
    return align_pages == 1 && hz3_knobs.PAGE_STEAL ? pages : UINT32_MAX;
}

static uint32_t search(uint32_t shard, uint32_t pages, uint32_t align_pages)
{
    hz3_stat_add(arena_searches, 1);
    return hz3_pack_claim_unhinted(shard, pages, align_pages);
}

static uint32_t claim_anywhere(uint32_t shard, uint32_t pages, uint32_t align_pages)
{
    uint32_t page = hz3_pack_claim(shard, pages, align_pages);
    return page != HZ3_PAGE_NONE ? page : search(shard, pages, align_pages);
}

static bool nothing_has_moved_since_failure(void)
{
    return generation_now() == atomic_load_explicit(&generation_at_failure, memory_order_relaxed) &&
           hz3_in_purging_pages() == 0;
}

static uint32_t search_again(uint32_t shard, uint32_t pages, uint32_t align_pages)
{
    uint32_t in_vain = atomic_load_explicit(&pages_at_failure, memory_order_relaxed);
    if (pages >= in_vain) {
        return HZ3_PAGE_NONE;
    }
    uint32_t page = search(shard, pages, align_pages);
    if (page == HZ3_PAGE_NONE && shortest_in_vain(pages, align_pages) < in_vain) {
        atomic_store_explicit(&pages_at_failure, pages, memory_order_relaxed);
    }
    return page;
}

// What a pass put into page maps. A budget that stopped it short counts as movement: there may be more.
static size_t reclaim_pages(uint32_t shard)
{
    size_t pages = hz3_mem_budget_reclaim_medium_runs(shard) + hz3_mem_budget_reclaim_small_runs();
    pages += reclaims_all() ? hz3_span_cache_drain_all() : hz3_span_cache_drain(shard, 1, true);
    hz3_mem_budget_reclaim_segments();
    wait_for_purging();
    hz3_stat_add(reclaim_pages, pages);
    return pages;
}

// Not full, and still no slot: the kernel refuses one, and freed mappings hold what it lacks.
static bool has_given_back_mappings(void)
{
    return hz3_arena_slots_left() != 0 && hz3_mapping_trim(true) != 0;
}

static uint32_t reclaim_and_claim(uint32_t shard, uint32_t pages, uint32_t align_pages, size_t *front_bytes)
{
    hz3_assert(hz3_lock_is_held(&leader));
    if (has_given_back_mappings()) {
        uint32_t page = hz3_pack_claim(shard, pages, align_pages);
        if (page != HZ3_PAGE_NONE) {
            return page;
        }
    }
    *front_bytes = hz3_mem_budget_emergency_flush();
    if (nothing_has_moved_since_failure()) {
        return search_again(shard, pages, align_pages);
    }
    uint64_t generation = generation_now();
    hz3_stat_add(reclaim_calls, 1);
    for (uint64_t pass = 1;; pass++) {
        size_t freed = reclaim_pages(shard);
        uint32_t page = claim_anywhere(shard, pages, align_pages);
        uint64_t now = generation_now();
        bool has_moved = freed != 0 || now != generation || hz3_in_purging_pages() != 0;
        if (page != HZ3_PAGE_NONE || !has_moved || pass >= hz3_knobs.RECLAIM_PASSES) {
            atomic_store_explicit(&pages_at_failure, shortest_in_vain(pages, align_pages), memory_order_relaxed);
            atomic_store_explicit(&generation_at_failure, page == HZ3_PAGE_NONE ? now : UINT64_MAX,
                                  memory_order_relaxed);
            return page;
        }
        generation = now;
        *front_bytes += hz3_mem_budget_emergency_flush();
    }
}

static HZ3_NOINLINE uint32_t claim_as_leader(uint32_t shard, uint32_t pages, uint32_t align_pages, uint32_t cls)
{
    size_t front_bytes = 0;
    hz3_lock_acquire(&leader);
    uint32_t page = HZ3_PAGE_NONE;
    if (!nothing_has_moved_since_failure()) {
        page = hz3_pack_claim(shard, pages, align_pages); // the leader before us may have made room
    }
    if (page == HZ3_PAGE_NONE) {
        atomic_store_explicit(&is_led, true, memory_order_relaxed);
        page = reclaim_and_claim(shard, pages, align_pages, &front_bytes);
        atomic_store_explicit(&is_led, false, memory_order_relaxed);
    }
    hz3_lock_release(&leader);
    if (page == HZ3_PAGE_NONE) {
        hz3_stat_add(arena_full, 1);
        hz3_oom_report(pages, cls, front_bytes);
    }
    return page;
}

// --- one side pays for the other -------------------------------------------------------------------------------------

#define PAY_STEP_PAGES 1024u // each time, the ledger and all depots may be walked

void hz3_mem_budget_pay(size_t pages)
{
    static _Atomic size_t owed;
    if (atomic_fetch_add_explicit(&owed, pages, memory_order_relaxed) + pages >= PAY_STEP_PAGES) {
        hz3_epoch_purge_dirty(atomic_exchange_explicit(&owed, 0, memory_order_relaxed));
    }
}

// After a claim, which may have opened slots: nothing in them is resident yet.
static void pay_for_slots(void)
{
    static _Atomic uint32_t left_before;
    uint32_t left = hz3_arena_slots_left();
    if (HZ3_LIKELY(left == atomic_load_explicit(&left_before, memory_order_relaxed))) {
        return;
    }
    uint32_t before = atomic_exchange_explicit(&left_before, left, memory_order_relaxed);
    if (left < before) {
        hz3_mapping_make_room((size_t)(before - left) << HZ3_SEG_SHIFT);
    }
}

uint32_t hz3_mem_budget_claim(uint32_t shard, uint32_t pages, uint32_t align_pages, uint32_t cls)
{
    hz3_assert(shard < hz3_shard_count() && cls <= HZ3_CLASS_LAST);
    hz3_assert(pages >= 1 && pages <= HZ3_SPAN_MAX >> HZ3_PAGE_SHIFT);
    if (HZ3_UNLIKELY(!hz3_arena_exists())) {
        return HZ3_PAGE_NONE;
    }
    if (!HZ3_S45) {
        return hz3_pack_claim(shard, pages, align_pages);
    }
    hz3_mem_budget_charge(pages);
    uint32_t page = HZ3_PAGE_NONE;
    if (HZ3_LIKELY(!atomic_load_explicit(&is_led, memory_order_relaxed))) {
        page = hz3_pack_claim(shard, pages, align_pages);
    }
    pay_for_slots();
    if (HZ3_UNLIKELY(page == HZ3_PAGE_NONE)) {
        return claim_as_leader(shard, pages, align_pages, cls);
    }
    hz3_epoch_note_claimed(pages);
    return page;
}

uint32_t hz3_mem_budget_claim_more(uint32_t shard, uint32_t pages, uint32_t *page, uint32_t want)
{
    uint32_t runs = hz3_pack_claim_more(shard, pages, page, want);
    hz3_mem_budget_charge((size_t)runs * pages);
    if (HZ3_S45) {
        hz3_epoch_note_claimed((uint64_t)runs * pages);
    }
    return runs;
}

bool hz3_mem_budget_give_back(void)
{
    static _Atomic uint64_t generation_in_vain = UINT64_MAX;
    uint64_t generation = generation_now();
    if (generation == atomic_load_explicit(&generation_in_vain, memory_order_relaxed)) {
        return false;
    }
    uint32_t slots_left = hz3_arena_slots_left();
    hz3_epoch_empty_caches();
    hz3_release_purge_all();
    bool has_given = hz3_mapping_trim(true) != 0 || hz3_arena_slots_left() > slots_left;
    atomic_store_explicit(&generation_in_vain, has_given ? UINT64_MAX : generation_now(), memory_order_relaxed);
    return has_given;
}

// --- the limit on resident memory --------------------------------------------------------------------------------

static struct {
    _Atomic int64_t headroom; // pages that may be charged before resident pages are counted again
    _Atomic bool runs;        // a flag and no lock: it stays set across madvise calls, and nobody waits for it
    size_t step;              // by whoever set `runs`: charged at least between two reclaims
} budget;

size_t hz3_mem_budget_resident_pages(void)
{
    Hz3MappingFigures mapped = hz3_mapping_figures();
    size_t pages = (mapped.live_bytes + mapped.cached_bytes) >> HZ3_PAGE_SHIFT;
    HZ3_FOR_EACH_SLOT(slot)
    {
        pages += hz3_arena_slot_is_open(slot) ? HZ3_PAGES_PER_SEG - hz3_segment_clean_pages(&hz3_arena.seg[slot]) : 0;
    }
    return pages;
}

// A reclaim that found little is not repeated before more was charged, up to a quarter of the limit: the program simply
// uses that much.
static void keep_below(size_t limit, size_t wanted)
{
    hz3_assert(atomic_load_explicit(&budget.runs, memory_order_relaxed));
    size_t margin = limit / 64 + 1;
    size_t resident = hz3_mem_budget_resident_pages() + wanted;
    if (resident + margin > limit) {
        size_t before = resident;
        hz3_stat_add(budget_reclaims, 1);
        hz3_epoch_empty_caches();
        hz3_mapping_trim(true);
        hz3_release_purge_all();
        resident = hz3_mem_budget_resident_pages() + wanted;
        bool was_worth_it = before > resident && before - resident >= margin;
        budget.step = was_worth_it ? margin : budget.step * 2 < limit / 4 ? budget.step * 2 + margin : limit / 4 + 1;
    }
    size_t room = resident + margin < limit ? limit - margin - resident : 0;
    size_t headroom = room > budget.step ? room : budget.step > margin ? budget.step : margin;
    atomic_store_explicit(&budget.headroom, (int64_t)headroom, memory_order_relaxed);
}

void hz3_mem_budget_charge(size_t pages)
{
    size_t limit = (size_t)hz3_knobs.MEM_BUDGET >> HZ3_PAGE_SHIFT;
    if (HZ3_LIKELY(limit == 0)) {
        return;
    }
    int64_t before = atomic_fetch_sub_explicit(&budget.headroom, (int64_t)pages, memory_order_relaxed);
    if (before > (int64_t)pages || atomic_exchange_explicit(&budget.runs, true, memory_order_acquire)) {
        return;
    }
    keep_below(limit, pages);
    atomic_store_explicit(&budget.runs, false, memory_order_release);
}

// Not taken before the fork (hz3_lock.h): the lock orders reclaims and protects no data.
void hz3_mem_budget_fork_child(void)
{
    hz3_lock_fork_child(&leader);
    atomic_store_explicit(&is_led, false, memory_order_relaxed);
    atomic_store_explicit(&budget.runs, false, memory_order_relaxed);
}
