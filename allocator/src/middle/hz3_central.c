#include "middle/hz3_central.h"

#include <string.h>

#include "base/hz3_knobs.h"
#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_shard.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"
#include "middle/hz3_central_state.h"
#include "middle/hz3_inbox.h"
#include "middle/hz3_small.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_segment_packing.h"
#include "policy/hz3_mem_budget.h"
#include "release/hz3_release_boundary.h"

// One refill opens at most this many fresh medium runs: they cost address space only until they are touched, but each
// keeps a page run from the others.
#define FRESH_MEDIUM_MAX 8u

Central hz3_central[HZ3_SHARDS_MAX][HZ3_CLASS_COUNT];

static bool map_arrays(void)
{
    size_t pointers = 0;
    for (uint32_t c = HZ3_CLASS_FIRST; c <= HZ3_CLASS_LAST; c++) {
        pointers += hz3_classes[c].transfer_cap + HZ3_INBOX_CAP;
    }
    void **array = hz3_os_map(hz3_shard_count() * pointers * sizeof(void *));
    if (array == NULL) {
        return false;
    }
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        Central *c = &hz3_central[shard][cls];
        c->transfer = array;
        array += hz3_classes[cls].transfer_cap;
        c->inbox.object = array;
        array += HZ3_INBOX_CAP;
    }
    return true;
}

bool hz3_central_init(void)
{
    HZ3_FOR_EACH_CENTRAL(shard, cls) // empty, also as long as there is no memory for the arrays
    {
        Central *c = &hz3_central[shard][cls];
        c->lock.rank = HZ3_RANK_LEAF;
        c->inbox.lock.rank = HZ3_RANK_LEAF;
        c->partial = HZ3_PAGE_NONE;
        c->next_scanned = HZ3_PAGE_NONE;
    }
    return map_arrays();
}

// --- take --------------------------------------------------------------------------------------------------------

static uint32_t pop_transfer(Central *c, void **out, uint32_t want)
{
    uint32_t count = hz3_transfer_count(c);
    uint32_t n = want < count ? want : count;
    count -= n;
    hz3_transfer_set_count(c, count);
    memcpy(out, c->transfer + count, n * sizeof *out);
    return n;
}

// Called without locks: opening a slot may cost a syscall, and a reclaim takes every central lock in turn.
static uint32_t open_small_run(uint32_t shard, uint32_t cls, void **out, uint32_t want)
{
    uint32_t run = hz3_mem_budget_claim(shard, hz3_classes[cls].pages, 1, cls);
    if (run == HZ3_PAGE_NONE) {
        return 0;
    }
    hz3_run_create(run, cls, shard);
    hz3_stat_add(small_runs_opened, 1);
    Central *c = &hz3_central[shard][cls];
    hz3_lock_acquire(&c->lock);
    uint32_t taken = hz3_run_take(run, cls, out, want);
    if (hz3_arena.run[run].free_objs != 0) {
        hz3_partial_insert(c, run, cls);
    }
    hz3_central_unlock(c);
    return taken;
}

static uint32_t open_medium_runs(uint32_t shard, uint32_t cls, void **out, uint32_t want)
{
    uint32_t page[FRESH_MEDIUM_MAX];
    uint32_t pages = hz3_classes[cls].pages;
    page[0] = hz3_mem_budget_claim(shard, pages, 1, cls);
    if (page[0] == HZ3_PAGE_NONE) {
        return 0;
    }
    uint32_t more = (want < FRESH_MEDIUM_MAX ? want : FRESH_MEDIUM_MAX) - 1;
    uint32_t opened = 1 + hz3_pack_claim_more(shard, pages, page + 1, more);
    hz3_mem_budget_charge((size_t)(opened - 1) * pages);
    for (uint32_t i = 0; i < opened; i++) {
        hz3_tag_set(page[i] + 1, pages - 1, HZ3_TAG_MEDIUM_CONT);
        hz3_tag_set(page[i], 1, (Hz3Tag)cls);
        out[i] = hz3_page_addr(page[i]);
    }
    hz3_stat_add(medium_runs_opened, opened);
    return opened;
}

static uint32_t take_idle(Central *c, uint32_t cls, void **out, uint32_t want)
{
    hz3_central_settle_inbox(c, cls);
    hz3_lock_acquire(&c->lock);
    uint32_t taken = pop_transfer(c, out, want);
    if (taken == 0) {
        taken = hz3_partial_take(c, cls, out, want); // medium classes have no partial runs
    }
    hz3_central_unlock(c);
    return taken;
}

// Another CPU's surplus before fresh pages: where one CPU allocates what another frees, whole batches go back this way
// and no run's metadata is touched. Its lock is not waited for.
static uint32_t take_from_other_transfer(uint32_t shard, uint32_t cls, void **out, uint32_t want)
{
    uint32_t taken = 0;
    uint32_t shards = hz3_shard_count();
    for (uint32_t i = 1; i < shards && taken == 0; i++) {
        Central *c = &hz3_central[(shard + i) % shards][cls];
        if (hz3_transfer_count(c) >= want && hz3_lock_try(&c->lock)) {
            taken = pop_transfer(c, out, want);
            hz3_central_unlock(c);
        }
    }
    return taken;
}

// The arena is full: what any shard has free of this class serves too, mine included, where a reclaim may have brought
// objects since we looked.
static HZ3_COLD uint32_t take_from_others(uint32_t shard, uint32_t cls, void **out, uint32_t want)
{
    uint32_t taken = 0;
    uint32_t shards = hz3_knobs.RECLAIM_SCOPE == HZ3_RECLAIM_ALL ? hz3_shard_count() : 1;
    for (uint32_t i = 0; i < shards && taken == 0; i++) {
        taken = take_idle(&hz3_central[(shard + i) % hz3_shard_count()][cls], cls, out, want);
    }
    return taken;
}

uint32_t hz3_central_take(uint32_t shard, uint32_t cls, void **out, uint32_t want)
{
    hz3_assert(cls >= HZ3_CLASS_FIRST && cls <= HZ3_CLASS_LAST && want >= 1 && want <= HZ3_BATCH_MAX);
    hz3_assert(shard < hz3_shard_count());
    uint32_t taken = take_idle(&hz3_central[shard][cls], cls, out, want);
    hz3_stat_add(refills, 1);
    if (taken == 0) {
        hz3_stat_add(transfer_misses, 1);
        taken = take_from_other_transfer(shard, cls, out, want);
    }
    if (taken == 0) {
        taken =
            hz3_class_is_medium(cls) ? open_medium_runs(shard, cls, out, want) : open_small_run(shard, cls, out, want);
    }
    return taken != 0 ? taken : take_from_others(shard, cls, out, want);
}

// --- give --------------------------------------------------------------------------------------------------------

// The same pointer twice in one batch is a double free that no bitmap has seen yet. A table on the stack keyed by
// address finds it without touching the objects' metadata.
static void require_distinct(uint32_t cls, void *const *objects, uint32_t n)
{
    const void *seen[2 * HZ3_BATCH_MAX];
    uint32_t mask = 2 * hz3_round_up_power_of_two(n) - 1;
    memset(seen, 0, (mask + 1) * sizeof *seen);
    for (uint32_t i = 0; i < n; i++) {
        const void *object = hz3_class_is_medium(cls) ? hz3_medium_base(objects[i]) : objects[i];
        uint32_t at = (uint32_t)(((uintptr_t)object >> 4) * 0x9E3779B97F4A7C15ull >> 32) & mask;
        while (seen[at] != NULL) {
            hz3_require(seen[at] != object, "free", objects[i], "double free: the block of %u bytes is free already",
                        hz3_classes[cls].size);
            at = (at + 1) & mask;
        }
        seen[at] = object;
    }
}

// Keeps those that belong to this shard's runs and moves the others to the front of the array; returns how many.
static uint32_t put_own(Central *c, uint32_t shard, uint32_t cls, void **objects, uint32_t n)
{
    hz3_assert(c == &hz3_central[shard][cls] && hz3_lock_is_held(&c->lock));
    uint32_t others = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t run = hz3_run_of_page(hz3_page_of(objects[i]));
        if (hz3_arena.run[run].shard == shard) {
            hz3_partial_put(c, run, cls, objects[i]);
        } else {
            objects[others++] = objects[i];
        }
    }
    return others;
}

void hz3_central_give(uint32_t shard, uint32_t cls, void **objects, uint32_t n)
{
    hz3_assert(cls >= HZ3_CLASS_FIRST && cls <= HZ3_CLASS_LAST && n <= HZ3_BATCH_MAX);
    hz3_assert(shard < hz3_shard_count());
    for (uint32_t i = 0; i < n; i++) {
        hz3_object_require(cls, objects[i]);
    }
    require_distinct(cls, objects, n);
    hz3_stat_add(flushes, 1);
    Central *c = &hz3_central[shard][cls];
    hz3_lock_acquire(&c->lock);
    uint32_t count = hz3_transfer_count(c);
    uint32_t room = hz3_classes[cls].transfer_cap - count;
    uint32_t moved = n < room ? n : room;
    memcpy(c->transfer + count, objects, moved * sizeof *objects);
    hz3_transfer_set_count(c, count + moved);
    objects += moved;
    n -= moved;
    if (!hz3_class_is_medium(cls)) {
        n = put_own(c, shard, cls, objects, n);
    }
    hz3_central_unlock(c);
    if (n != 0 && hz3_class_is_medium(cls)) {
        hz3_central_release_medium(cls, objects, n);
    } else if (n != 0) {
        hz3_central_give_to_runs(cls, objects, n, true);
    }
}

// --- figures and fork --------------------------------------------------------------------------------------------

Hz3CentralFigures hz3_central_figures(void)
{
    Hz3CentralFigures figures = {0, 0, 0};
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        Central *c = &hz3_central[shard][cls];
        size_t size = hz3_classes[cls].size;
        hz3_lock_acquire(&c->lock);
        figures.transfer_bytes += hz3_transfer_count(c) * size;
        figures.inbox_bytes += atomic_load_explicit(&c->inbox.count, memory_order_relaxed) * size;
        for (uint32_t run = c->partial; run != HZ3_PAGE_NONE; run = hz3_arena.run[run].next) {
            figures.run_bytes += hz3_arena.run[run].free_objs * size;
        }
        hz3_lock_release(&c->lock);
    }
    return figures;
}

size_t hz3_central_cached_bytes(void)
{
    Hz3CentralFigures figures = hz3_central_figures();
    return figures.transfer_bytes + figures.inbox_bytes + figures.run_bytes;
}

bool hz3_central_fork_prepare(void)
{
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        Central *c = &hz3_central[shard][cls];
        if (!hz3_lock_fork_prepare(&c->lock) || !hz3_lock_fork_prepare(&c->inbox.lock)) {
            return false;
        }
    }
    return true;
}

void hz3_central_fork_parent(void)
{
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        hz3_lock_fork_parent(&hz3_central[shard][cls].lock);
        hz3_lock_fork_parent(&hz3_central[shard][cls].inbox.lock);
    }
}

void hz3_central_fork_child(void)
{
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        hz3_lock_fork_child(&hz3_central[shard][cls].lock);
        hz3_lock_fork_child(&hz3_central[shard][cls].inbox.lock);
    }
}

// --- for asserts -------------------------------------------------------------------------------------------------

#define OBJECTS_LOOKED_AT_MAX 16u

bool hz3_central_is_valid(const Central *c)
{
    if (!HZ3_DEBUG) {
        return true;
    }
    uint32_t shard = (uint32_t)(c - hz3_central[0]) / HZ3_CLASS_COUNT;
    uint32_t cls = (uint32_t)(c - hz3_central[0]) % HZ3_CLASS_COUNT;
    uint32_t count = hz3_transfer_count(c);
    if (!hz3_lock_is_held(&c->lock) || count > hz3_classes[cls].transfer_cap || c->low > count) {
        return false;
    }
    uint16_t never_set = hz3_class_never_set(cls);
    for (uint32_t i = count > OBJECTS_LOOKED_AT_MAX ? count - OBJECTS_LOOKED_AT_MAX : 0; i < count; i++) {
        if (!hz3_arena_owns(c->transfer[i]) || ((uintptr_t)c->transfer[i] & never_set) != 0) {
            return false;
        }
    }
    return hz3_partial_is_valid(c, shard, cls);
}
