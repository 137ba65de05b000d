// The runs' side of a central: the list of small runs that have objects to give, and objects on their way back to their
// runs. All of it happens under the central's lock but the functions at the end, which take it.
#include <string.h>

#include "base/hz3_log.h"
#include "base/hz3_stats.h"
#include "middle/hz3_central.h"
#include "middle/hz3_central_state.h"
#include "middle/hz3_partial_news.h"
#include "middle/hz3_small.h"
#include "pages/hz3_arena.h"
#include "release/hz3_release_boundary.h"

// Runs of a list that its validator looks at: it may have thousands, and its head is where it changes.
#define RUNS_LOOKED_AT_MAX 4u

// From the run before it, or the head, and from the run after it.
static bool is_linked(const Central *c, uint32_t run)
{
    const Hz3RunMeta *meta = &hz3_arena.run[run];
    bool is_next = meta->prev == HZ3_PAGE_NONE ? c->partial == run : hz3_arena.run[meta->prev].next == run;
    bool is_prev = meta->next == HZ3_PAGE_NONE || hz3_arena.run[meta->next].prev == run;
    return meta->is_partial && is_next && is_prev;
}

static void partial_remove(Central *c, uint32_t run)
{
    hz3_assert(hz3_lock_is_held(&c->lock));
    hz3_assert(is_linked(c, run));
    Hz3RunMeta *meta = &hz3_arena.run[run];
    if (c->next_scanned == run) {
        c->next_scanned = meta->next;
    }
    if (meta->prev != HZ3_PAGE_NONE) {
        hz3_arena.run[meta->prev].next = meta->next;
    } else {
        c->partial = meta->next;
    }
    if (meta->next != HZ3_PAGE_NONE) {
        hz3_arena.run[meta->next].prev = meta->prev;
    }
    meta->is_partial = 0;
    c->partial_runs--;
    hz3_news_count(c, -(int64_t)meta->free_objs);
}

void hz3_partial_retire(Central *c, uint32_t run, uint32_t cls)
{
    hz3_assert(hz3_arena.run[run].free_objs == hz3_classes[cls].objs);
    partial_remove(c, run);
    hz3_news_forget(c, run);
    hz3_stat_add(small_runs_retired, 1);
    hz3_release_pages(run, hz3_classes[cls].pages, HZ3_RELEASE_SMALL_RUN_RETIRE);
}

// Invariant: an empty run on the list is the only run on it. A refill would carve it again at once if it were released,
// but two would be waste.
void hz3_partial_insert(Central *c, uint32_t run, uint32_t cls)
{
    if (c->partial != HZ3_PAGE_NONE && hz3_arena.run[c->partial].free_objs == hz3_classes[cls].objs) {
        hz3_partial_retire(c, c->partial, cls);
    }
    Hz3RunMeta *meta = &hz3_arena.run[run];
    hz3_assert(hz3_lock_is_held(&c->lock));
    hz3_assert(!meta->is_partial && meta->free_objs != 0);
    meta->prev = HZ3_PAGE_NONE;
    meta->next = c->partial;
    meta->is_partial = 1;
    if (c->partial != HZ3_PAGE_NONE) {
        hz3_arena.run[c->partial].prev = run;
    }
    c->partial = run;
    c->partial_runs++;
    hz3_news_count(c, meta->free_objs);
}

uint32_t hz3_partial_take(Central *c, uint32_t cls, void **out, uint32_t want)
{
    uint32_t taken = 0;
    while (taken < want && c->partial != HZ3_PAGE_NONE) {
        uint32_t run = c->partial;
        uint32_t n = hz3_run_take(run, cls, out + taken, want - taken);
        hz3_news_count(c, -(int64_t)n);
        taken += n;
        if (hz3_arena.run[run].free_objs == 0) {
            partial_remove(c, run);
        }
    }
    return taken;
}

void hz3_partial_settle(Central *c, uint32_t run, uint32_t cls)
{
    Hz3RunMeta *meta = &hz3_arena.run[run];
    hz3_assert(&hz3_central[meta->shard][cls] == c);
    hz3_assert(meta->free_objs != 0 && meta->free_objs <= hz3_classes[cls].objs);
    if (!meta->is_partial) {
        hz3_partial_insert(c, run, cls);
    }
    bool is_only = c->partial == run && meta->next == HZ3_PAGE_NONE;
    if (meta->free_objs == hz3_classes[cls].objs && !is_only) {
        hz3_partial_retire(c, run, cls);
    }
}

// As hz3_run_put(), and once for all of them what follows from it. A run that stays on the list has nothing to settle.
static inline uint32_t put_into(Central *c, uint32_t run, uint32_t cls, void *const *objects, uint32_t n,
                                bool is_in_order)
{
    Hz3RunMeta *meta = &hz3_arena.run[run];
    uint32_t put = is_in_order ? hz3_run_put_in_order(run, cls, objects, n) : hz3_run_put(run, cls, objects, n);
    if (meta->is_partial) {
        hz3_news_count(c, put);
    }
    hz3_news_note(c, run);
    if (!meta->is_partial || meta->free_objs == hz3_classes[cls].objs) {
        hz3_partial_settle(c, run, cls);
    }
    return put;
}

static uint32_t run_of(const void *object)
{
    return hz3_run_of_page(hz3_page_of(object));
}

// Blocks that were freed at random lie one in each run, which is on the list and stays there. Puts such blocks, as many
// as follow each other, and returns how many. It ends before whatever needs more: the last block, two blocks of one
// page, a run that comes to the list or leaves it, another owner, a fault. What all blocks need is loaded once. Of a
// run whose owner is another, whose lock is not held, only what is constant may be read: so `shard` is compared first.
static HZ3_NOINLINE uint32_t put_strewn(const Central *c, uint32_t cls, void *const *objects, uint32_t n)
{
    const uintptr_t base = hz3_arena.base;
    Hz3RunMeta *const metas = hz3_arena.run;
    Hz3PageBits *const bits = hz3_arena.bits;
    _Atomic uint8_t *const tags = hz3_arena.sc_tag;
    const Hz3Class class = hz3_classes[cls];
    const uint8_t now = hz3_run_now();
    uintptr_t offset = (uintptr_t)objects[0] - base;
    const uint32_t owner = metas[run_of(objects[0])].shard;
    uint32_t put = 0;
    for (; put + 1 < n; put++) {
        const uintptr_t next = (uintptr_t)objects[put + 1] - base;
        const size_t page = offset >> HZ3_PAGE_SHIFT;
        const size_t run = page - metas[page].head_delta;
        Hz3RunMeta *meta = &metas[run];
        uint32_t remainder;
        const uint32_t index = hz3_index_of(&class, (uint32_t)(offset - (run << HZ3_PAGE_SHIFT)), &remainder);
        uint64_t *word = &bits[run].word[index / 64];
        const uint64_t bit = 1ull << (index % 64);
        if (next >> HZ3_PAGE_SHIFT == page || meta->shard != owner || !meta->is_partial ||
            meta->touched == HZ3_RUN_LOOKED_AT || meta->free_objs + 1u == class.objs ||
            atomic_load_explicit(&tags[page], memory_order_relaxed) != cls || remainder != 0 || (*word & bit) != 0) {
            break;
        }
        *word |= bit;
        meta->free_objs++;
        meta->touched = now;
        offset = next;
    }
    hz3_news_count(c, put);
    return put;
}

bool hz3_partial_is_valid(const Central *c, uint32_t shard, uint32_t cls)
{
    if (!HZ3_DEBUG) {
        return true;
    }
    if (hz3_class_is_medium(cls)) {
        return c->partial == HZ3_PAGE_NONE && c->next_scanned == HZ3_PAGE_NONE;
    }
    uint64_t free_objs = 0;
    uint32_t before = HZ3_PAGE_NONE;
    uint32_t run = c->partial;
    for (uint32_t i = 0; run != HZ3_PAGE_NONE && i < RUNS_LOOKED_AT_MAX; i++) {
        const Hz3RunMeta *meta = &hz3_arena.run[run];
        if (run >= hz3_arena.slots * HZ3_PAGES_PER_SEG || meta->prev != before || !is_linked(c, run)) {
            return false;
        }
        bool is_alone = i == 0 && meta->next == HZ3_PAGE_NONE;
        bool is_empty = meta->free_objs == hz3_classes[cls].objs;
        if (meta->shard != shard || !hz3_run_is_valid(run, cls) || (is_empty && !is_alone)) {
            return false;
        }
        free_objs += meta->free_objs;
        before = run;
        run = meta->next;
    }
    uint64_t counted = atomic_load_explicit(&hz3_news_of(c)->free_objs, memory_order_relaxed);
    bool is_counted = run == HZ3_PAGE_NONE ? counted == free_objs : counted >= free_objs;
    return is_counted && (c->next_scanned == HZ3_PAGE_NONE || is_linked(c, c->next_scanned));
}

// --- without a lock ----------------------------------------------------------------------------------------------

// Returns whether all have one owner. Objects come from everywhere in the heap: all cache lines that they need are
// asked for before the first is used.
static bool find_owners(void *const *objects, uint32_t n, uint8_t *owner)
{
    for (uint32_t i = 0; i < n; i++) {
        __builtin_prefetch(&hz3_arena.run[hz3_page_of(objects[i])]);
    }
    uint32_t differ = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t run = run_of(objects[i]);
        __builtin_prefetch(&hz3_arena.bits[run], 1);
        owner[i] = hz3_arena.run[run].shard;
        differ |= owner[i] ^ owner[0];
    }
    return differ == 0;
}

static void sort_by_owner(void **objects, uint32_t n, const uint8_t *owner)
{
    void *sorted[HZ3_BATCH_MAX];
    uint32_t place[HZ3_SHARDS_MAX + 1] = {0}; // of the next object of each owner
    for (uint32_t i = 0; i < n; i++) {
        place[owner[i] + 1]++;
    }
    for (uint32_t shard = 1; shard < hz3_shard_count(); shard++) {
        place[shard] += place[shard - 1];
    }
    for (uint32_t i = 0; i < n; i++) {
        sorted[place[owner[i]]++] = objects[i];
    }
    memcpy(objects, sorted, n * sizeof *objects);
}

// Programs often free in the order in which they allocated, or in the opposite one.
static bool is_in_order(void *const *objects, uint32_t n, ptrdiff_t step)
{
    ptrdiff_t to_next = n > 1 ? (char *)objects[1] - (char *)objects[0] : 0;
    return to_next == step || to_next == -step;
}

typedef enum Which { ANY, ONLY_IN_ORDER } Which;

// From the first one on as many as have its owner, under one lock; returns how many. Called without locks: a thread
// that waits for one lock while it holds another could make fork() in a signal handler wait for ever (hz3_lock.h).
static uint32_t settle_one_owner(uint32_t cls, void *const *objects, uint32_t n, Which which)
{
    uint32_t owner = hz3_arena.run[run_of(objects[0])].shard;
    Central *c = &hz3_central[owner][cls];
    const ptrdiff_t step = hz3_run_step(cls);
    uint32_t i = 0;
    hz3_lock_acquire(&c->lock);
    for (uint32_t run; i < n && hz3_arena.run[run = run_of(objects[i])].shard == owner;) {
        bool in_order = is_in_order(objects + i, n - i, step);
        if (which == ONLY_IN_ORDER && !in_order) {
            break;
        }
        uint32_t strewn = in_order ? 0 : put_strewn(c, cls, objects + i, n - i);
        i += strewn != 0 ? strewn : put_into(c, run, cls, objects + i, n - i, in_order);
    }
    hz3_central_unlock(c);
    return i;
}

// Blocks in order are many to a run. Where they begin the batch, none of its cache lines are asked for ahead until they
// end.
static void settle_small(uint32_t cls, void **objects, uint32_t n)
{
    uint8_t owner[HZ3_BATCH_MAX];
    hz3_assert(n <= HZ3_BATCH_MAX);
    bool in_order = is_in_order(objects, n, hz3_run_step(cls));
    uint32_t i = in_order ? settle_one_owner(cls, objects, n, ONLY_IN_ORDER) : 0;
    if (!find_owners(objects + i, n - i, owner)) {
        sort_by_owner(objects + i, n - i, owner);
    }
    while (i < n) {
        i += settle_one_owner(cls, objects + i, n - i, ANY);
    }
}

void hz3_central_settle(uint32_t cls, void **objects, uint32_t n)
{
    if (!hz3_class_is_medium(cls)) {
        settle_small(cls, objects, n);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        hz3_object_require(cls, objects[i]);
        hz3_release_pages(hz3_page_of(objects[i]), hz3_classes[cls].pages, HZ3_RELEASE_MEDIUM_RUN_RECLAIM);
    }
}
