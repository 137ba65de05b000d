#include "hz3_central.h"

#include <string.h>

#include "hz3_arena.h"
#include "hz3_inbox.h"
#include "hz3_knobs.h"
#include "hz3_lock.h"
#include "hz3_log.h"
#include "hz3_mem_budget.h"
#include "hz3_os.h"
#include "hz3_release_boundary.h"
#include "hz3_segment_packing.h"
#include "hz3_size_class.h"
#include "hz3_small.h"
#include "hz3_stats.h"

// One refill opens at most this many fresh medium runs: they cost address space only until they are touched, but each
// keeps a page run from the others.
#define FRESH_MEDIUM_MAX 8u

typedef struct Central {
    _Alignas(64) Hz3Lock lock;
    uint32_t count;   // objects in transfer
    uint32_t low;     // lowest count since the last drain: what lay below it was not needed
    uint32_t partial; // first run with objects in it, or HZ3_PAGE_NONE
    void **transfer;  // transfer_cap pointers, newest last
    _Alignas(64) Hz3Inbox inbox;
} Central;

static Central central[HZ3_SHARDS_MAX][HZ3_CLASS_COUNT];
static uint32_t shard_mask;
static uint16_t shard_of_cpu[HZ3_OS_CPUS_MAX]; // dense, whatever numbers the process's CPUs have

uint32_t hz3_shard_count(void)
{
    return shard_mask + 1;
}

uint32_t hz3_shard_now(void)
{
    return shard_of_cpu[hz3_os_cpu() % HZ3_OS_CPUS_MAX];
}

#define FOR_EACH_CENTRAL(shard, class)                                                                                 \
    for (uint32_t shard = 0; shard <= shard_mask; shard++)                                                             \
        for (uint32_t class = HZ3_CLASS_FIRST; class <= HZ3_CLASS_LAST; class ++)

static uint32_t round_up_power_of_two(uint32_t n)
{
    return n <= 1 ? 1 : 1u << (32 - (uint32_t)__builtin_clz(n - 1));
}

bool hz3_central_init(void)
{
    uint32_t cpus = hz3_os_cpu_index(shard_of_cpu);
    uint32_t shards = hz3_knobs.SHARDS != 0 ? (uint32_t)hz3_knobs.SHARDS : cpus;
    shards = round_up_power_of_two(shards < HZ3_SHARDS_MAX ? shards : HZ3_SHARDS_MAX);
    for (uint32_t cpu = 0; cpu < HZ3_OS_CPUS_MAX; cpu++) {
        shard_of_cpu[cpu] &= (uint16_t)(shards - 1);
    }
    size_t pointers = 0;
    for (uint32_t c = HZ3_CLASS_FIRST; c <= HZ3_CLASS_LAST; c++) {
        pointers += hz3_classes[c].transfer_cap + HZ3_INBOX_CAP;
    }
    void **array = hz3_os_map(shards * pointers * sizeof(void *));
    if (array == NULL) {
        return false;
    }
    shard_mask = shards - 1;
    FOR_EACH_CENTRAL(shard, class)
    {
        Central *c = &central[shard][class];
        c->lock.rank = HZ3_RANK_LEAF;
        c->partial = HZ3_PAGE_NONE;
        c->transfer = array;
        array += hz3_classes[class].transfer_cap;
        c->inbox.lock.rank = HZ3_RANK_LEAF;
        c->inbox.object = array;
        array += HZ3_INBOX_CAP;
    }
    return true;
}

// --- partial runs; all under c->lock -----------------------------------------------------------------------------

static void partial_remove(Central *c, uint32_t run)
{
    Hz3RunMeta *meta = &hz3_arena.run[run];
    if (meta->prev != HZ3_PAGE_NONE) {
        hz3_arena.run[meta->prev].next = meta->next;
    } else {
        c->partial = meta->next;
    }
    if (meta->next != HZ3_PAGE_NONE) {
        hz3_arena.run[meta->next].prev = meta->prev;
    }
    meta->is_partial = 0;
}

static void retire_run(Central *c, uint32_t run, uint32_t class)
{
    partial_remove(c, run);
    hz3_stat_add(small_runs_retired, 1);
    hz3_release_pages(run, hz3_classes[class].pages, HZ3_RELEASE_SMALL_RUN_RETIRE);
}

// Invariant: an empty run on the list is the only run on it. A refill would carve it again at once if it were released,
// but two would be waste.
static void partial_insert(Central *c, uint32_t run, uint32_t class)
{
    if (c->partial != HZ3_PAGE_NONE && hz3_arena.run[c->partial].free_objs == hz3_classes[class].objs) {
        retire_run(c, c->partial, class);
    }
    Hz3RunMeta *meta = &hz3_arena.run[run];
    meta->prev = HZ3_PAGE_NONE;
    meta->next = c->partial;
    meta->is_partial = 1;
    if (c->partial != HZ3_PAGE_NONE) {
        hz3_arena.run[c->partial].prev = run;
    }
    c->partial = run;
}

static uint32_t take_from_partial(Central *c, uint32_t class, void **out, uint32_t want)
{
    uint32_t taken = 0;
    while (taken < want && c->partial != HZ3_PAGE_NONE) {
        uint32_t run = c->partial;
        taken += hz3_run_take(run, class, out + taken, want - taken);
        if (hz3_arena.run[run].free_objs == 0) {
            partial_remove(c, run);
        }
    }
    return taken;
}

// Puts an object into its run; a run that is empty now is retired unless it is the only one of the list.
static void put_in_run(Central *c, uint32_t run, uint32_t class, void *object)
{
    hz3_object_require(class, object); // again: it may have waited in a transfer array or an inbox
    hz3_run_put(run, class, object);
    Hz3RunMeta *meta = &hz3_arena.run[run];
    if (!meta->is_partial) {
        partial_insert(c, run, class);
    }
    bool is_only = c->partial == run && meta->next == HZ3_PAGE_NONE;
    if (meta->free_objs == hz3_classes[class].objs && !is_only) {
        retire_run(c, run, class);
    }
}

// --- take --------------------------------------------------------------------------------------------------------

static uint32_t pop_transfer(Central *c, void **out, uint32_t want)
{
    uint32_t n = want < c->count ? want : c->count;
    c->count -= n;
    memcpy(out, c->transfer + c->count, n * sizeof *out);
    if (c->count < c->low) {
        c->low = c->count;
    }
    return n;
}

// What other shards returned goes back into its runs. Called without locks: a thread that waits for one lock while it
// holds another could make fork() in a signal handler wait for ever (hz3_lock.h).
static void settle_inbox(Central *c, uint32_t class)
{
    void *objects[HZ3_INBOX_CAP];
    uint32_t n = hz3_inbox_take_all(&c->inbox, objects);
    if (n == 0) {
        return;
    }
    hz3_lock_acquire(&c->lock);
    for (uint32_t i = 0; i < n; i++) {
        put_in_run(c, hz3_run_of_page(hz3_page_of(objects[i])), class, objects[i]);
    }
    hz3_lock_release(&c->lock);
}

// Called without locks: opening a slot may cost a syscall, and a reclaim takes every central lock in turn.
static uint32_t open_small_run(uint32_t shard, uint32_t class, void **out, uint32_t want)
{
    uint32_t run = hz3_mem_budget_claim(shard, hz3_classes[class].pages, 1, class);
    if (run == HZ3_PAGE_NONE) {
        return 0;
    }
    hz3_run_create(run, class, shard);
    hz3_stat_add(small_runs_opened, 1);
    Central *c = &central[shard][class];
    hz3_lock_acquire(&c->lock);
    uint32_t taken = hz3_run_take(run, class, out, want);
    if (hz3_arena.run[run].free_objs != 0) {
        partial_insert(c, run, class);
    }
    hz3_lock_release(&c->lock);
    return taken;
}

static uint32_t open_medium_runs(uint32_t shard, uint32_t class, void **out, uint32_t want)
{
    uint32_t page[FRESH_MEDIUM_MAX];
    uint32_t pages = hz3_classes[class].pages;
    page[0] = hz3_mem_budget_claim(shard, pages, 1, class);
    if (page[0] == HZ3_PAGE_NONE) {
        return 0;
    }
    uint32_t more = (want < FRESH_MEDIUM_MAX ? want : FRESH_MEDIUM_MAX) - 1;
    uint32_t opened = 1 + hz3_pack_claim_more(shard, pages, page + 1, more);
    for (uint32_t i = 0; i < opened; i++) {
        hz3_tag_set(page[i] + 1, pages - 1, HZ3_TAG_MEDIUM_CONT);
        hz3_tag_set(page[i], 1, (Hz3Tag) class);
        out[i] = hz3_page_addr(page[i]);
    }
    hz3_stat_add(medium_runs_opened, opened);
    return opened;
}

static uint32_t take_idle(Central *c, uint32_t class, void **out, uint32_t want)
{
    settle_inbox(c, class);
    hz3_lock_acquire(&c->lock);
    uint32_t taken = pop_transfer(c, out, want);
    if (taken == 0) {
        taken = take_from_partial(c, class, out, want); // medium classes have no partial runs
    }
    hz3_lock_release(&c->lock);
    return taken;
}

// The arena is full: what any shard has free of this class serves too, mine included, where a reclaim may have brought
// objects since we looked.
static HZ3_COLD uint32_t take_from_others(uint32_t shard, uint32_t class, void **out, uint32_t want)
{
    uint32_t taken = 0;
    uint32_t shards = hz3_knobs.RECLAIM_SCOPE == HZ3_RECLAIM_ALL ? shard_mask + 1 : 1;
    for (uint32_t i = 0; i < shards && taken == 0; i++) {
        taken = take_idle(&central[(shard + i) & shard_mask][class], class, out, want);
    }
    return taken;
}

uint32_t hz3_central_take(uint32_t shard, uint32_t class, void **out, uint32_t want)
{
    hz3_assert(class >= HZ3_CLASS_FIRST && class <= HZ3_CLASS_LAST && want >= 1 && want <= HZ3_BATCH_MAX);
    uint32_t taken = take_idle(&central[shard][class], class, out, want);
    hz3_stat_add(refills, 1);
    if (taken == 0) {
        hz3_stat_add(transfer_misses, 1);
        taken = hz3_class_is_medium(class) ? open_medium_runs(shard, class, out, want)
                                           : open_small_run(shard, class, out, want);
    }
    return taken != 0 ? taken : take_from_others(shard, class, out, want);
}

// --- give --------------------------------------------------------------------------------------------------------

// The same pointer twice in one batch is a double free that no bitmap has seen yet. A table on the stack keyed by
// address finds it without touching the objects' metadata.
static void require_distinct(uint32_t class, void *const *objects, uint32_t n)
{
    const void *seen[2 * HZ3_BATCH_MAX];
    uint32_t mask = 2 * round_up_power_of_two(n) - 1;
    memset(seen, 0, (mask + 1) * sizeof *seen);
    for (uint32_t i = 0; i < n; i++) {
        const void *object = hz3_class_is_medium(class) ? hz3_medium_base(objects[i]) : objects[i];
        uint32_t at = (uint32_t)(((uintptr_t)object >> 4) * 0x9E3779B97F4A7C15ull >> 32) & mask;
        while (seen[at] != NULL) {
            hz3_require(seen[at] != object, "free", objects[i], "double free: the block of %u bytes is free already",
                        hz3_classes[class].size);
            at = (at + 1) & mask;
        }
        seen[at] = object;
    }
}

// Puts objects back into their runs, one lock for each group of neighbours that have the same owner. With use_inbox the
// owner's inbox comes first, for then the owner's lock is waited for only when that is full. No lock is held here.
static void give_to_runs(uint32_t class, void **objects, uint32_t n, bool use_inbox)
{
    for (uint32_t i = 0, same; i < n; i += same) {
        uint32_t owner = hz3_arena.run[hz3_run_of_page(hz3_page_of(objects[i]))].shard;
        same = 1;
        while (i + same < n && hz3_arena.run[hz3_run_of_page(hz3_page_of(objects[i + same]))].shard == owner) {
            same++;
        }
        Central *c = &central[owner][class];
        uint32_t given = use_inbox ? hz3_inbox_give(&c->inbox, objects + i, same) : 0;
        if (given != 0) {
            hz3_stat_add(inbox_objects, given);
        }
        if (given < same) {
            hz3_lock_acquire(&c->lock);
            for (uint32_t k = given; k < same; k++) {
                put_in_run(c, hz3_run_of_page(hz3_page_of(objects[i + k])), class, objects[i + k]);
            }
            hz3_lock_release(&c->lock);
        }
    }
}

// Keeps those that belong to this shard's runs and moves the others to the front of the array; returns how many.
static uint32_t put_own(Central *c, uint32_t shard, uint32_t class, void **objects, uint32_t n)
{
    uint32_t others = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t run = hz3_run_of_page(hz3_page_of(objects[i]));
        if (hz3_arena.run[run].shard == shard) {
            put_in_run(c, run, class, objects[i]);
        } else {
            objects[others++] = objects[i];
        }
    }
    return others;
}

static void release_medium(uint32_t class, void *const *objects, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        hz3_object_require(class, objects[i]); // again: it may have waited in a transfer array
        hz3_release_pages(hz3_page_of(objects[i]), hz3_classes[class].pages, HZ3_RELEASE_MEDIUM_RUN_RECLAIM);
    }
}

void hz3_central_give(uint32_t shard, uint32_t class, void **objects, uint32_t n)
{
    hz3_assert(class >= HZ3_CLASS_FIRST && class <= HZ3_CLASS_LAST && n <= HZ3_BATCH_MAX);
    for (uint32_t i = 0; i < n; i++) {
        hz3_object_require(class, objects[i]);
    }
    require_distinct(class, objects, n);
    hz3_stat_add(flushes, 1);
    Central *c = &central[shard][class];
    hz3_lock_acquire(&c->lock);
    uint32_t room = hz3_classes[class].transfer_cap - c->count;
    uint32_t moved = n < room ? n : room;
    memcpy(c->transfer + c->count, objects, moved * sizeof *objects);
    c->count += moved;
    objects += moved;
    n -= moved;
    if (!hz3_class_is_medium(class)) {
        n = put_own(c, shard, class, objects, n);
    }
    hz3_lock_release(&c->lock);
    if (n != 0 && hz3_class_is_medium(class)) {
        release_medium(class, objects, n);
    } else if (n != 0) {
        give_to_runs(class, objects, n, true);
    }
}

// --- drain -------------------------------------------------------------------------------------------------------

// The oldest: what was given last is still warm.
static uint32_t take_surplus(Central *c, uint32_t *surplus, void **out)
{
    hz3_lock_acquire(&c->lock);
    uint32_t n = *surplus < c->count ? *surplus : c->count;
    n = n < HZ3_BATCH_MAX ? n : HZ3_BATCH_MAX;
    c->count -= n;
    memcpy(out, c->transfer, n * sizeof *out);
    memmove(c->transfer, c->transfer + n, c->count * sizeof *out);
    hz3_lock_release(&c->lock);
    *surplus -= n;
    return n;
}

static uint32_t drain_transfer(uint32_t shard, uint32_t class, Hz3DrainDepth depth, uint64_t max_objects)
{
    Central *c = &central[shard][class];
    void *objects[HZ3_BATCH_MAX];
    hz3_lock_acquire(&c->lock);
    uint32_t surplus = depth == HZ3_DRAIN_ALL ? c->count : c->low;
    hz3_lock_release(&c->lock);
    if (surplus > max_objects) {
        surplus = (uint32_t)max_objects;
    }
    uint32_t drained = 0;
    for (uint32_t n; (n = take_surplus(c, &surplus, objects)) != 0; drained += n) {
        if (hz3_class_is_medium(class)) {
            release_medium(class, objects, n);
        } else {
            give_to_runs(class, objects, n, false);
        }
    }
    hz3_lock_acquire(&c->lock);
    c->low = c->count;
    hz3_lock_release(&c->lock);
    return drained;
}

static void retire_last_empty_run(Central *c, uint32_t class)
{
    settle_inbox(c, class);
    hz3_lock_acquire(&c->lock);
    uint32_t run = c->partial;
    if (run != HZ3_PAGE_NONE && hz3_arena.run[run].free_objs == hz3_classes[class].objs) {
        retire_run(c, run, class);
    }
    hz3_lock_release(&c->lock);
}

size_t hz3_central_drain(Hz3DrainDepth depth, bool medium, uint64_t max_medium_runs)
{
    uint64_t pages_before = hz3_stat_sum(boundary_pages);
    FOR_EACH_CENTRAL(shard, class)
    {
        if (!hz3_class_is_medium(class)) {
            drain_transfer(shard, class, depth, UINT64_MAX);
        } else if (medium && max_medium_runs > 0) {
            uint32_t runs = drain_transfer(shard, class, depth, max_medium_runs);
            max_medium_runs -= runs;
            hz3_stat_add(reclaim_runs, runs);
            hz3_stat_add(reclaim_medium_pages, (uint64_t)runs * hz3_classes[class].pages);
        }
    }
    // A second round: a shard's transfer array may hold what empties the run of a shard that came before it.
    FOR_EACH_CENTRAL(shard, class)
    {
        if (!hz3_class_is_medium(class)) {
            retire_last_empty_run(&central[shard][class], class);
        }
    }
    return hz3_stat_sum(boundary_pages) - pages_before;
}

size_t hz3_central_drain_medium(uint32_t shard, uint32_t shards, uint64_t max_pages)
{
    uint64_t pages = 0;
    for (uint32_t i = 0; i < shards; i++) {
        for (uint32_t class = HZ3_CLASS_MEDIUM_FIRST; class <= HZ3_CLASS_LAST; class ++) {
            uint32_t run_pages = hz3_classes[class].pages;
            uint64_t max_runs = (max_pages - pages) / run_pages;
            uint32_t runs =
                max_runs != 0 ? drain_transfer((shard + i) & shard_mask, class, HZ3_DRAIN_ALL, max_runs) : 0;
            pages += (uint64_t)runs * run_pages;
            hz3_stat_add(reclaim_runs, runs);
            hz3_stat_add(reclaim_medium_pages, (uint64_t)runs * run_pages);
        }
    }
    return pages;
}

// --- figures and fork --------------------------------------------------------------------------------------------

Hz3CentralFigures hz3_central_figures(void)
{
    Hz3CentralFigures figures = {0, 0, 0};
    FOR_EACH_CENTRAL(shard, class)
    {
        Central *c = &central[shard][class];
        size_t size = hz3_classes[class].size;
        hz3_lock_acquire(&c->lock);
        figures.transfer_bytes += c->count * size;
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
    FOR_EACH_CENTRAL(shard, class)
    {
        Central *c = &central[shard][class];
        if (!hz3_lock_fork_prepare(&c->lock) || !hz3_lock_fork_prepare(&c->inbox.lock)) {
            return false;
        }
    }
    return true;
}

void hz3_central_fork_parent(void)
{
    FOR_EACH_CENTRAL(shard, class)
    {
        hz3_lock_fork_parent(&central[shard][class].lock);
        hz3_lock_fork_parent(&central[shard][class].inbox.lock);
    }
}

void hz3_central_fork_child(void)
{
    FOR_EACH_CENTRAL(shard, class)
    {
        hz3_lock_fork_child(&central[shard][class].lock);
        hz3_lock_fork_child(&central[shard][class].inbox.lock);
    }
}
