#include "middle/hz3_central.h"

#include <string.h>

#include "base/hz3_knobs.h"
#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_shard.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"
#include "middle/hz3_bulk_free.h"
#include "middle/hz3_central_state.h"
#include "middle/hz3_partial_news.h"
#include "middle/hz3_small.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_segment_packing.h"
#include "policy/hz3_mem_budget.h"
#include "release/hz3_release_boundary.h"

// One refill opens at most this many fresh medium runs: they cost address space only until they are touched, but each
// keeps a page run from the others.
#define FRESH_MEDIUM_MAX 8u

Central hz3_central[HZ3_SHARDS_MAX][HZ3_CLASS_COUNT];

// By class: bit s is set while shard s has more objects of it than it needs soon. A hint; each bit is written under the
// lock of that shard's central.
typedef struct Offers {
    _Alignas(64) _Atomic uint64_t shards;
} Offers;
static Offers offers[HZ3_CLASS_COUNT];
_Static_assert(HZ3_SHARDS_MAX <= 64, "a bit for each shard");

// A shard keeps one partial run to itself: it is carving it.
#define PARTIAL_RUNS_KEPT 1u

void hz3_central_init(void)
{
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        Central *c = &hz3_central[shard][cls];
        c->lock.rank = HZ3_RANK_LEAF;
        c->partial = HZ3_PAGE_NONE;
        c->next_scanned = HZ3_PAGE_NONE;
    }
    hz3_magazine_init();
}

static uint32_t shard_of(const Central *c)
{
    return (uint32_t)(c - hz3_central[0]) / HZ3_CLASS_COUNT;
}

static uint32_t cls_of(const Central *c)
{
    return (uint32_t)(c - hz3_central[0]) % HZ3_CLASS_COUNT;
}

void hz3_central_offer(const Central *c)
{
    uint32_t shard = shard_of(c);
    uint32_t cls = cls_of(c);
    uint64_t bit = 1ull << shard;
    uint32_t count = hz3_depot_count(&c->depot);
    bool is_offered = (atomic_load_explicit(&offers[cls].shards, memory_order_relaxed) & bit) != 0;
    // Between the two bounds it stays as it is, so that a depot that swings around one batch writes no shared line.
    bool offers_much = count >= HZ3_MAGAZINE_OBJECTS || c->partial_runs > PARTIAL_RUNS_KEPT;
    bool offers_none = count == 0 && c->partial_runs <= PARTIAL_RUNS_KEPT;
    if (offers_much && !is_offered) {
        atomic_fetch_or_explicit(&offers[cls].shards, bit, memory_order_relaxed);
    } else if (offers_none && is_offered) {
        atomic_fetch_and_explicit(&offers[cls].shards, ~bit, memory_order_relaxed);
    }
}

// --- take --------------------------------------------------------------------------------------------------------

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
    uint32_t opened = 1 + hz3_mem_budget_claim_more(shard, pages, page + 1, more);
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
    Hz3Magazine *emptied = NULL;
    hz3_lock_acquire(&c->lock);
    atomic_store_explicit(&c->streak, 0, memory_order_relaxed);
    uint32_t taken = hz3_depot_pop(&c->depot, out, want, &emptied);
    if (taken == 0) {
        taken = hz3_partial_take(c, cls, out, want); // medium classes have no partial runs
    }
    hz3_central_unlock(c);
    hz3_magazine_put(emptied);
    return taken;
}

// The newest objects of a magazine that another shard had; the rest of it waits in our depot.
static uint32_t take_from_magazine(Central *mine, Hz3Magazine *magazine, void **out, uint32_t want)
{
    uint32_t n = want < magazine->count ? want : magazine->count;
    magazine->count -= n;
    memcpy(out, magazine->object + magazine->count, n * sizeof *out);
    if (magazine->count != 0) {
        hz3_lock_acquire(&mine->lock);
        atomic_store_explicit(&mine->has_news, true, memory_order_relaxed);
        hz3_depot_attach_top(&mine->depot, magazine);
        hz3_central_unlock(mine);
    } else {
        magazine->below = NULL;
        hz3_magazine_put(magazine);
    }
    return n;
}

// Of one shard that offers something, what it freed longest ago: the newest objects are in that CPU's cache, and it
// will ask for them itself.
static uint32_t take_from(uint32_t other, uint32_t shard, uint32_t cls, void **out, uint32_t want, bool waits)
{
    Central *c = &hz3_central[other][cls];
    if (waits) {
        hz3_lock_acquire(&c->lock);
    } else if (!hz3_lock_try(&c->lock)) {
        return 0;
    }
    atomic_store_explicit(&c->streak, 0, memory_order_relaxed);
    Hz3Magazine *magazine = hz3_depot_detach_bottom(&c->depot);
    uint32_t taken = 0;
    if (magazine == NULL && hz3_knobs.RECLAIM_SCOPE == HZ3_RECLAIM_ALL) {
        taken = hz3_partial_take(c, cls, out, want);
    }
    hz3_central_unlock(c);
    return magazine != NULL ? take_from_magazine(&hz3_central[shard][cls], magazine, out, want) : taken;
}

// What another shard has and does not need soon, before fresh pages: a thread that is moved to another CPU finds what
// it left behind, and where one CPU allocates what another frees, magazines go back this way. Shards whose lock is free
// come first. The others are waited for: the CPU that frees is at its depot most of the time, and fresh pages would be
// opened each time that it is.
static uint32_t take_offered(uint32_t shard, uint32_t cls, void **out, uint32_t want)
{
    uint32_t taken = 0;
    uint64_t asked = (hz3_has_nodes() ? hz3_pack_shards_for(shard) : UINT64_MAX) & ~(1ull << shard);
    for (int waits = 0; waits <= 1 && taken == 0; waits++) {
        uint64_t left = atomic_load_explicit(&offers[cls].shards, memory_order_relaxed) & asked;
        while (left != 0 && taken == 0) {
            uint64_t above = left & (UINT64_MAX << shard);
            uint32_t other = (uint32_t)__builtin_ctzll(above != 0 ? above : left);
            left &= ~(1ull << other);
            taken = take_from(other, shard, cls, out, want, waits != 0);
        }
    }
    return taken;
}

// The arena is full: what any shard has free of this class serves too, mine included, where a reclaim may have brought
// objects since we looked. Here locks are waited for.
static HZ3_COLD uint32_t take_from_others(uint32_t shard, uint32_t cls, void **out, uint32_t want)
{
    uint32_t taken = 0;
    uint32_t shards = hz3_knobs.RECLAIM_SCOPE == HZ3_RECLAIM_ALL ? hz3_shard_count() : 1;
    for (uint32_t i = 0; i < shards && taken == 0; i++) {
        taken = take_idle(&hz3_central[(shard + i) % hz3_shard_count()][cls], cls, out, want);
    }
    return taken;
}

static uint32_t take_anywhere(uint32_t shard, uint32_t cls, void **out, uint32_t want)
{
    hz3_stat_add(depot_misses, 1);
    uint32_t taken = take_offered(shard, cls, out, want);
    if (taken == 0) {
        hz3_bulk_note_opened(shard, cls);
        taken =
            hz3_class_is_medium(cls) ? open_medium_runs(shard, cls, out, want) : open_small_run(shard, cls, out, want);
    }
    return taken != 0 ? taken : take_from_others(shard, cls, out, want);
}

uint32_t hz3_central_take(uint32_t shard, uint32_t cls, void **out, uint32_t want)
{
    hz3_assert(cls >= HZ3_CLASS_FIRST && cls <= HZ3_CLASS_LAST && want >= 1 && want <= HZ3_BATCH_MAX);
    hz3_assert(shard < hz3_shard_count());
    uint32_t taken = take_idle(&hz3_central[shard][cls], cls, out, want);
    hz3_stat_add(refills, 1);
    if (taken == 0) {
        taken = take_anywhere(shard, cls, out, want);
    }
    if (hz3_has_nodes() && taken != 0 && hz3_pack_is_far(shard, hz3_page_of(out[0]))) {
        hz3_stat_add(refills_far, 1);
    }
    return taken;
}

// --- give --------------------------------------------------------------------------------------------------------

// How many of n objects the depot still has room for by HZ3_DEPOT_BYTES.
static uint32_t room_for(const Central *c, uint32_t cls, uint32_t n)
{
    uint32_t count = hz3_depot_count(&c->depot);
    uint32_t room = count < hz3_classes[cls].depot_cap ? hz3_classes[cls].depot_cap - count : 0;
    return n < room ? n : room;
}

static uint32_t push(Central *c, uint32_t cls, void *const *objects, uint32_t n, Hz3Magazine *fresh)
{
    uint32_t newly = fresh == NULL ? n : 0; // a fresh magazine comes with the rest of a batch that is counted already
    hz3_lock_acquire(&c->lock);
    atomic_store_explicit(&c->has_news, true, memory_order_relaxed);
    if (fresh != NULL && c->depot.spare == NULL) {
        c->depot.spare = fresh;
        fresh = NULL;
    }
    uint32_t pushed = hz3_depot_push(&c->depot, objects, room_for(c, cls, n));
    uint32_t streak = atomic_load_explicit(&c->streak, memory_order_relaxed) + newly;
    streak = streak < UINT16_MAX ? streak : UINT16_MAX;
    atomic_store_explicit(&c->streak, (uint16_t)streak, memory_order_relaxed);
    hz3_central_unlock(c);
    hz3_bulk_note_given(shard_of(c), cls, streak);
    if (HZ3_UNLIKELY(fresh != NULL)) {
        fresh->below = NULL;
        hz3_magazine_put(fresh);
    }
    return pushed;
}

static void give_to(uint32_t shard, uint32_t cls, void **objects, uint32_t n)
{
    Central *c = &hz3_central[shard][cls];
    uint32_t pushed = push(c, cls, objects, n, NULL);
    while (HZ3_UNLIKELY(pushed < n)) {
        Hz3Magazine *fresh = hz3_magazine_get(shard);
        uint32_t more = fresh != NULL ? push(c, cls, objects + pushed, n - pushed, fresh) : 0;
        if (more == 0) {
            hz3_central_settle(cls, objects + pushed, n - pushed);
            return;
        }
        pushed += more;
    }
}

// Objects of another memory node go to a depot there, so that what a depot has is near who takes from it. In place and
// node by node: first those that belong where the first one does.
static HZ3_NOINLINE void give_by_node(uint32_t shard, uint32_t cls, void **objects, uint32_t n)
{
    for (uint32_t end; n != 0; objects += end, n -= end) {
        uint32_t home = hz3_pack_home(shard, hz3_page_of(objects[0]));
        end = 1;
        for (uint32_t i = 1; i < n; i++) {
            if (hz3_pack_home(shard, hz3_page_of(objects[i])) == home) {
                void *object = objects[i];
                objects[i] = objects[end];
                objects[end++] = object;
            }
        }
        hz3_stat_add(sent_home, home != shard ? end : 0);
        give_to(home, cls, objects, end);
    }
}

void hz3_central_give(uint32_t shard, uint32_t cls, void **objects, uint32_t n)
{
    hz3_assert(cls >= HZ3_CLASS_FIRST && cls <= HZ3_CLASS_LAST && n <= HZ3_BATCH_MAX);
    hz3_assert(shard < hz3_shard_count());
    hz3_stat_add(flushes, 1);
    if (hz3_has_nodes()) {
        give_by_node(shard, cls, objects, n);
    } else {
        give_to(shard, cls, objects, n);
    }
}

// --- figures and fork --------------------------------------------------------------------------------------------

Hz3CentralFigures hz3_central_figures(void)
{
    Hz3CentralFigures figures = {0, 0};
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        const Central *c = &hz3_central[shard][cls];
        size_t size = hz3_classes[cls].size;
        figures.depot_bytes += hz3_depot_count(&c->depot) * size;
        figures.run_bytes += atomic_load_explicit(&hz3_news_of(c)->free_objs, memory_order_relaxed) * size;
    }
    return figures;
}

size_t hz3_central_cached_bytes(void)
{
    Hz3CentralFigures figures = hz3_central_figures();
    return figures.depot_bytes + figures.run_bytes;
}

bool hz3_central_fork_prepare(void)
{
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        if (!hz3_lock_fork_prepare(&hz3_central[shard][cls].lock)) {
            return false;
        }
    }
    return hz3_magazine_fork_prepare();
}

void hz3_central_fork_parent(void)
{
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        hz3_lock_fork_parent(&hz3_central[shard][cls].lock);
    }
    hz3_magazine_fork_parent();
}

void hz3_central_fork_child(void)
{
    HZ3_FOR_EACH_CENTRAL(shard, cls)
    {
        hz3_lock_fork_child(&hz3_central[shard][cls].lock);
    }
    hz3_magazine_fork_child();
}

// --- for asserts -------------------------------------------------------------------------------------------------

bool hz3_central_is_valid(const Central *c)
{
    if (!HZ3_DEBUG) {
        return true;
    }
    uint32_t shard = shard_of(c);
    uint32_t cls = cls_of(c);
    bool has_news = atomic_load_explicit(&c->has_news, memory_order_relaxed);
    bool is_known = has_news || (c->depot.top == NULL && c->depot.spare == NULL);
    return hz3_lock_is_held(&c->lock) && is_known && hz3_depot_is_valid(&c->depot) &&
           hz3_partial_is_valid(c, shard, cls);
}
