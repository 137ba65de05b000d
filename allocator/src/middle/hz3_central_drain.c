// What an epoch or a reclaim takes out of the middle layer: what waits in depots goes back to its runs, empty runs and
// medium runs to the boundary.
#include "base/hz3_shard.h"
#include "middle/hz3_central.h"

#include "base/hz3_stats.h"
#include "middle/hz3_central_state.h"
#include "middle/hz3_partial_news.h"
#include "middle/hz3_small.h"
#include "pages/hz3_arena.h"

// Puts objects of the depot back into their runs, as many as `pop` takes and at most a batch; returns how many.
typedef uint32_t Pop(Hz3Depot *depot, void **out, uint32_t max, Hz3Magazine **emptied);
static uint32_t settle(Central *c, uint32_t cls, uint32_t max, Pop *pop)
{
    void *objects[HZ3_BATCH_MAX];
    Hz3Magazine *emptied = NULL;
    hz3_lock_acquire(&c->lock);
    uint32_t n = pop(&c->depot, objects, max < HZ3_BATCH_MAX ? max : HZ3_BATCH_MAX, &emptied);
    hz3_central_unlock(c);
    hz3_magazine_put(emptied);
    hz3_central_settle(cls, objects, n);
    return n;
}

// The mark starts anew. An empty depot needs no magazine.
static void begin_anew(Central *c)
{
    Hz3Magazine *spare = NULL;
    hz3_lock_acquire(&c->lock);
    const uint32_t count = hz3_depot_count(&c->depot);
    c->depot.low = HZ3_DEPOT_MARK ? count : 0;
    if (count == 0) {
        spare = c->depot.spare;
        c->depot.spare = NULL;
        atomic_store_explicit(&c->has_news, false, memory_order_relaxed);
        atomic_store_explicit(&c->streak, 0, memory_order_relaxed);
    }
    hz3_central_unlock(c);
    if (spare != NULL) {
        spare->below = NULL;
        hz3_magazine_put(spare);
    }
}

static uint32_t drain_depot(uint32_t shard, uint32_t cls, Hz3DrainDepth depth, uint64_t max_objects)
{
    Central *c = &hz3_central[shard][cls];
    if (!atomic_load_explicit(&c->has_news, memory_order_relaxed)) {
        return 0;
    }
    hz3_lock_acquire(&c->lock);
    uint32_t surplus = depth == HZ3_DRAIN_ALL ? hz3_depot_count(&c->depot) : c->depot.low;
    hz3_central_unlock(c);
    if (surplus > max_objects) {
        surplus = (uint32_t)max_objects;
    }
    uint32_t drained = 0;
    // The oldest: what was given last is still warm.
    for (uint32_t n; drained < surplus && (n = settle(c, cls, surplus - drained, hz3_depot_pop_oldest)) != 0;) {
        drained += n;
    }
    begin_anew(c);
    return drained;
}

uint32_t hz3_central_drain_class(uint32_t shard, uint32_t cls, uint32_t max_objects)
{
    return drain_depot(shard, cls, HZ3_DRAIN_ALL, max_objects);
}

// An empty run is alone on its list (C3), so the list's count tells whether there may be one.
static void retire_last_empty_run(Central *c, uint32_t cls)
{
    if (atomic_load_explicit(&hz3_news_of(c)->free_objs, memory_order_relaxed) != hz3_classes[cls].objs) {
        return;
    }
    hz3_lock_acquire(&c->lock);
    uint32_t run = c->partial;
    if (run != HZ3_PAGE_NONE && hz3_arena.run[run].free_objs == hz3_classes[cls].objs) {
        hz3_partial_retire(c, run, cls);
    }
    hz3_central_unlock(c);
}

void hz3_central_drain_small(Hz3DrainDepth depth)
{
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        if (!hz3_class_is_medium(cls)) {
            drain_depot(shard, cls, depth, UINT64_MAX);
        }
    }
    // A second round: a shard's depot may hold what empties the run of a shard that came before it.
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        if (!hz3_class_is_medium(cls)) {
            retire_last_empty_run(&hz3_central[shard][cls], cls);
        }
    }
}

uint64_t hz3_central_drain_medium(Hz3DrainDepth depth, uint64_t max_runs)
{
    static _Atomic uint32_t first_of_next; // so that a busy shard keeps no other from its turn
    const uint32_t classes = HZ3_CLASS_LAST - HZ3_CLASS_MEDIUM_FIRST + 1;
    uint32_t first = atomic_load_explicit(&first_of_next, memory_order_relaxed);
    uint32_t n = hz3_shard_count() * classes;
    uint64_t left = max_runs;
    for (uint32_t i = 0; i < n && left > 0; i++) {
        uint32_t at = (first + i) % n;
        uint32_t cls = HZ3_CLASS_MEDIUM_FIRST + at % classes;
        uint32_t runs = drain_depot(at / classes, cls, depth, left);
        left -= runs;
        hz3_stat_add(reclaim_runs, runs);
        hz3_stat_add(reclaim_medium_pages, (uint64_t)runs * hz3_classes[cls].pages);
        atomic_store_explicit(&first_of_next, at + 1, memory_order_relaxed);
    }
    return max_runs - left;
}

size_t hz3_central_drain_medium_of(uint32_t shard, uint32_t shards, uint64_t max_pages)
{
    uint64_t pages = 0;
    for (uint32_t i = 0; i < shards; i++) {
        for (uint32_t cls = HZ3_CLASS_MEDIUM_FIRST; cls <= HZ3_CLASS_LAST; cls++) {
            uint32_t run_pages = hz3_classes[cls].pages;
            uint64_t max_runs = (max_pages - pages) / run_pages;
            uint32_t at = (shard + i) % hz3_shard_count();
            uint32_t runs = max_runs != 0 ? drain_depot(at, cls, HZ3_DRAIN_ALL, max_runs) : 0;
            pages += (uint64_t)runs * run_pages;
            hz3_stat_add(reclaim_runs, runs);
            hz3_stat_add(reclaim_medium_pages, (uint64_t)runs * run_pages);
        }
    }
    return pages;
}

size_t hz3_central_drain(Hz3DrainDepth depth, bool medium, uint64_t max_medium_runs)
{
    uint64_t pages_before = hz3_stat_sum(boundary_pages);
    hz3_central_drain_small(depth);
    if (medium) {
        hz3_central_drain_medium(depth, max_medium_runs);
    }
    uint64_t pages_after = hz3_stat_sum(boundary_pages);
    return pages_after > pages_before ? pages_after - pages_before : 0; // sums may fall for a moment
}

void hz3_central_check_newest(void)
{
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        uint32_t n = HZ3_BATCH_MAX;
        uint32_t newest = hz3_classes[cls].front_cap * hz3_nodes; // a CPU of each node may have brought a bin
        for (uint32_t settled = 0; n == HZ3_BATCH_MAX && settled < newest; settled += n) {
            n = settle(&hz3_central[shard][cls], cls, HZ3_BATCH_MAX, hz3_depot_pop);
        }
    }
}

size_t hz3_central_waiting_objects(bool medium)
{
    size_t objects = 0;
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        bool counts = medium || !hz3_class_is_medium(cls);
        objects += counts ? hz3_depot_count(&hz3_central[shard][cls].depot) : 0;
    }
    return objects;
}
