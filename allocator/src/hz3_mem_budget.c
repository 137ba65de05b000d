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

// Under the leader's lock: the events counted when the last reclaim ended in vain. While nothing has moved since,
// another reclaim would be in vain too, and a program that runs into the wall must not pay for it on every call.
static uint64_t events_at_failure = UINT64_MAX;

static _Atomic bool oom_reported;

static uint64_t events_now(void)
{
    return hz3_stat_sum(flushes) + hz3_stat_sum(boundary_calls) + hz3_stat_sum(segments_retired);
}

void hz3_mem_budget_emergency_flush(void)
{
    hz3_front_flush_self();
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

uint32_t hz3_mem_budget_claim(uint32_t shard, uint32_t pages, uint32_t align_pages, uint32_t class)
{
    if (hz3_arena.slots == 0) {
        return HZ3_PAGE_NONE;
    }
    hz3_lock_acquire(&leader);
    uint32_t page = hz3_pack_claim(shard, pages, align_pages);
    if (page == HZ3_PAGE_NONE && events_now() != events_at_failure) {
        hz3_stat_add(reclaim_calls, 1);
        hz3_mem_budget_emergency_flush();
        hz3_stat_add(reclaim_pages, hz3_mem_budget_reclaim_medium_runs());
        page = hz3_pack_claim(shard, pages, align_pages);
        events_at_failure = page == HZ3_PAGE_NONE ? events_now() : UINT64_MAX;
    }
    hz3_lock_release(&leader);
    if (page == HZ3_PAGE_NONE) {
        report_full(pages, class);
    }
    return page;
}

void hz3_mem_budget_fork_prepare(void)
{
    hz3_lock_fork_prepare(&leader);
}

void hz3_mem_budget_fork_parent(void)
{
    hz3_lock_fork_parent(&leader);
}

void hz3_mem_budget_fork_child(uint32_t parent_tid)
{
    hz3_lock_fork_child(&leader, parent_tid);
}
