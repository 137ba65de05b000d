#include "hz3_mem_budget.h"

#include "hz3_central.h"
#include "hz3_front.h"
#include "hz3_knobs.h"
#include "hz3_lock.h"
#include "hz3_log.h"
#include "hz3_segment_packing.h"
#include "hz3_size_class.h"
#include "hz3_stats.h"

static Hz3Lock leader = HZ3_LOCK_INIT(HZ3_RANK_BUDGET);

// The events counted when the last reclaim ended in vain. While nothing has moved since, another one would be in vain
// too, and a program that runs into the wall must not pay for it on every call.
static _Atomic uint64_t events_at_failure = UINT64_MAX;

static _Atomic bool oom_reported;

// Moves with everything that can make pages free.
static uint64_t events_now(void)
{
    return hz3_stat_sum(flushes) + hz3_stat_sum(boundary_calls) + hz3_stat_sum(madvise_calls) +
           hz3_stat_sum(segments_retired);
}

void hz3_mem_budget_emergency_flush(void)
{
    hz3_front_drain(HZ3_FRONT_ALL);
}

size_t hz3_mem_budget_reclaim_medium_runs(void)
{
    return hz3_central_drain(HZ3_DRAIN_ALL, true, UINT64_MAX);
}

static HZ3_COLD void report_full(uint32_t pages, uint32_t class)
{
    hz3_stat_add(arena_full, 1);
    if (!hz3_knobs.OOM_SHOT || atomic_exchange_explicit(&oom_reported, true, memory_order_relaxed)) {
        return;
    }
    int sc = hz3_class_is_medium(class) ? (int)(class - HZ3_CLASS_MEDIUM_FIRST) : -1;
    size_t size = class != 0 ? hz3_classes[class].size : (size_t)pages << HZ3_PAGE_SHIFT;
    hz3_log("[HZ3_OOM] where=arena_alloc_full sc=%d size=%zu pages=%u", sc, size, pages);
}

static uint32_t reclaim_and_claim(uint32_t shard, uint32_t pages, uint32_t align_pages)
{
    hz3_lock_acquire(&leader);
    uint32_t page = hz3_pack_claim(shard, pages, align_pages); // the leader before us may have made room
    if (page == HZ3_PAGE_NONE) {
        hz3_stat_add(reclaim_calls, 1);
        hz3_stat_add(reclaim_pages, hz3_mem_budget_reclaim_medium_runs());
        page = hz3_pack_claim_unhinted(shard, pages, align_pages);
        atomic_store_explicit(&events_at_failure, page == HZ3_PAGE_NONE ? events_now() : UINT64_MAX,
                              memory_order_relaxed);
    }
    hz3_lock_release(&leader);
    return page;
}

uint32_t hz3_mem_budget_claim(uint32_t shard, uint32_t pages, uint32_t align_pages, uint32_t class)
{
    if (hz3_arena.slots == 0) {
        return HZ3_PAGE_NONE;
    }
    hz3_mem_budget_emergency_flush(); // an event, unless there is nothing in our front
    uint32_t page = HZ3_PAGE_NONE;
    if (events_now() != atomic_load_explicit(&events_at_failure, memory_order_relaxed)) {
        page = reclaim_and_claim(shard, pages, align_pages);
    }
    if (page == HZ3_PAGE_NONE) {
        report_full(pages, class);
    }
    return page;
}

// Not taken before the fork (hz3_lock.h): it orders reclaims and protects no data.
void hz3_mem_budget_fork_child(void)
{
    hz3_lock_fork_child(&leader);
}
