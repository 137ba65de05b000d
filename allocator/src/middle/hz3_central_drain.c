// What an epoch or a reclaim takes out of the middle layer: transfer arrays go back to their runs, empty runs and
// medium runs to the boundary.
#include "base/hz3_shard.h"
#include "middle/hz3_central.h"

#include <string.h>

#include "base/hz3_stats.h"
#include "middle/hz3_central_state.h"
#include "middle/hz3_small.h"
#include "pages/hz3_arena.h"

// The oldest: what was given last is still warm.
static uint32_t take_surplus(Central *c, uint32_t *surplus, void **out)
{
    hz3_lock_acquire(&c->lock);
    uint32_t count = hz3_transfer_count(c);
    uint32_t n = *surplus < count ? *surplus : count;
    n = n < HZ3_BATCH_MAX ? n : HZ3_BATCH_MAX;
    hz3_transfer_set_count(c, count - n);
    memcpy(out, c->transfer, n * sizeof *out);
    memmove(c->transfer, c->transfer + n, (count - n) * sizeof *out);
    hz3_central_unlock(c);
    *surplus -= n;
    return n;
}

static uint32_t drain_transfer(uint32_t shard, uint32_t cls, Hz3DrainDepth depth, uint64_t max_objects)
{
    Central *c = &hz3_central[shard][cls];
    void *objects[HZ3_BATCH_MAX];
    hz3_lock_acquire(&c->lock);
    uint32_t surplus = depth == HZ3_DRAIN_ALL ? hz3_transfer_count(c) : c->low;
    hz3_central_unlock(c);
    if (surplus > max_objects) {
        surplus = (uint32_t)max_objects;
    }
    uint32_t drained = 0;
    for (uint32_t n; (n = take_surplus(c, &surplus, objects)) != 0; drained += n) {
        if (hz3_class_is_medium(cls)) {
            hz3_central_release_medium(cls, objects, n);
        } else {
            hz3_central_give_to_runs(cls, objects, n, false);
        }
    }
    hz3_lock_acquire(&c->lock);
    c->low = hz3_transfer_count(c);
    hz3_central_unlock(c);
    return drained;
}

static void retire_last_empty_run(Central *c, uint32_t cls)
{
    hz3_central_settle_inbox(c, cls);
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
            drain_transfer(shard, cls, depth, UINT64_MAX);
        }
    }
    // A second round: a shard's transfer array may hold what empties the run of a shard that came before it.
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        if (!hz3_class_is_medium(cls)) {
            retire_last_empty_run(&hz3_central[shard][cls], cls);
        }
    }
}

uint64_t hz3_central_drain_medium(Hz3DrainDepth depth, uint64_t max_runs)
{
    uint64_t left = max_runs;
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        if (hz3_class_is_medium(cls) && left > 0) {
            uint32_t runs = drain_transfer(shard, cls, depth, left);
            left -= runs;
            hz3_stat_add(reclaim_runs, runs);
            hz3_stat_add(reclaim_medium_pages, (uint64_t)runs * hz3_classes[cls].pages);
        }
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
            uint32_t runs = max_runs != 0 ? drain_transfer(at, cls, HZ3_DRAIN_ALL, max_runs) : 0;
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

size_t hz3_central_waiting_objects(bool medium)
{
    size_t objects = 0;
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        Central *c = &hz3_central[shard][cls];
        hz3_lock_acquire(&c->lock);
        bool counts = medium || !hz3_class_is_medium(cls);
        objects += counts ? hz3_transfer_count(c) + atomic_load_explicit(&c->inbox.count, memory_order_relaxed) : 0;
        hz3_lock_release(&c->lock);
    }
    return objects;
}
