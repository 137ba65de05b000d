#include "large/hz3_span_cache.h"

#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_shard.h"
#include "base/hz3_size_class.h"
#include "pages/hz3_arena.h"
#include "release/hz3_release_boundary.h"

// Spans are 9 to 256 pages long, in eight lengths for each doubling (hz3_large_pages).
#define LENGTHS_PER_DOUBLING 8u
#define LENGTHS 40u
#define LONGER_BY 2u // lengths
#define PAGES_MIN ((uint32_t)(HZ3_MEDIUM_MAX >> HZ3_PAGE_SHIFT) + 1)
#define PAGES_MAX ((uint32_t)(HZ3_SPAN_MAX >> HZ3_PAGE_SHIFT))
_Static_assert(PAGES_MAX == (PAGES_MIN - 1) << (LENGTHS / LENGTHS_PER_DOUBLING), "so many doublings");

// All shards together may keep this share of the open segments, or so many pages in any case, in equal parts. A part
// has room for a span of any length.
#define HEAP_SHARE 4u
#define PAGES_ALWAYS_ALLOWED 4096u

// Spans of one length. Linked by Hz3RunMeta's next (the next older one) and prev.
typedef struct SpanList {
    uint32_t newest; // HZ3_PAGE_NONE: there are none
    uint32_t oldest;
    uint32_t count;
    uint32_t low; // lowest count since the last drain of what is not needed
} SpanList;

typedef struct SpanCache {
    _Alignas(64) Hz3Lock lock;
    _Atomic uint32_t pages; // of all lists; written under the lock
    SpanList list[LENGTHS];
} SpanCache;

static SpanCache caches[HZ3_SHARDS_MAX];

#define FOR_EACH_CACHE(cache) for (SpanCache *cache = caches; cache < caches + hz3_shard_count(); cache++)

void hz3_span_cache_init(void)
{
    FOR_EACH_CACHE(cache)
    {
        cache->lock.rank = HZ3_RANK_LEAF;
        for (uint32_t i = 0; i < LENGTHS; i++) {
            cache->list[i] = (SpanList){HZ3_PAGE_NONE, HZ3_PAGE_NONE, 0, 0};
        }
    }
}

static SpanList *list_of(SpanCache *cache, uint32_t pages)
{
    hz3_assert(pages >= PAGES_MIN && pages <= PAGES_MAX);
    uint32_t doublings = 28u - (uint32_t)__builtin_clz(pages - 1); // 0 for 9 to 16 pages
    uint32_t step = (pages - 1) >> doublings;                      // 8 to 15
    return &cache->list[doublings * LENGTHS_PER_DOUBLING + step - LENGTHS_PER_DOUBLING];
}

static uint32_t pages_of(const SpanCache *cache)
{
    return atomic_load_explicit(&cache->pages, memory_order_relaxed);
}

// Under the lock. C1: a list's ends are both there or both not, and so is its count; C2: no mark is above its count;
// C3: what both ends of a list hold are spans of one length, taken and without a tag.
static bool is_valid(const SpanCache *cache)
{
    if (!HZ3_DEBUG) {
        return true;
    }
    uint64_t least = 0;
    for (const SpanList *list = cache->list; list < cache->list + LENGTHS; list++) {
        bool is_empty = list->count == 0;
        if ((list->newest == HZ3_PAGE_NONE) != is_empty || (list->oldest == HZ3_PAGE_NONE) != is_empty ||
            list->low > list->count) {
            return false;
        }
        if (is_empty) {
            continue;
        }
        const Hz3RunMeta *newest = &hz3_arena.run[list->newest];
        const Hz3RunMeta *oldest = &hz3_arena.run[list->oldest];
        if (newest->prev != HZ3_PAGE_NONE || oldest->next != HZ3_PAGE_NONE || newest->pages != oldest->pages ||
            hz3_tag_of(list->newest) != HZ3_TAG_NONE || hz3_tag_of(list->oldest) != HZ3_TAG_NONE) {
            return false;
        }
        least += (uint64_t)list->count * newest->pages;
    }
    return hz3_lock_is_held(&cache->lock) && least == pages_of(cache);
}

// --- under the lock ----------------------------------------------------------------------------------------------

static void add_pages(SpanCache *cache, int32_t pages)
{
    atomic_store_explicit(&cache->pages, pages_of(cache) + (uint32_t)pages, memory_order_relaxed);
}

static void link_newest(SpanCache *cache, SpanList *list, uint32_t page)
{
    Hz3RunMeta *meta = &hz3_arena.run[page];
    meta->prev = HZ3_PAGE_NONE;
    meta->next = list->newest;
    if (list->newest != HZ3_PAGE_NONE) {
        hz3_arena.run[list->newest].prev = page;
    } else {
        list->oldest = page;
    }
    list->newest = page;
    list->count++;
    add_pages(cache, meta->pages);
}

// The newest or the oldest.
static void unlink_end(SpanCache *cache, SpanList *list, uint32_t page)
{
    const Hz3RunMeta *meta = &hz3_arena.run[page];
    if (page == list->newest) {
        list->newest = meta->next;
    } else {
        hz3_arena.run[meta->prev].next = HZ3_PAGE_NONE;
    }
    if (page == list->oldest) {
        list->oldest = meta->prev;
    } else {
        hz3_arena.run[meta->next].prev = HZ3_PAGE_NONE;
    }
    list->count--;
    list->low = list->count < list->low ? list->count : list->low;
    add_pages(cache, -(int32_t)meta->pages);
}

static uint32_t pages_allowed(void)
{
    uint32_t share = hz3_arena_slots_open() * (HZ3_PAGES_PER_SEG / HEAP_SHARE);
    uint32_t part = (share > PAGES_ALWAYS_ALLOWED ? share : PAGES_ALWAYS_ALLOWED) / hz3_shard_count();
    return part > PAGES_MAX ? part : PAGES_MAX;
}

// --- for spans ---------------------------------------------------------------------------------------------------

// The list that serves so many pages: theirs, or the next longer ones'. What such a span has too much is a quarter at
// most, which realloc would leave, too. One out of the page map would cost more: another CPU may have its cache lines.
static SpanList *list_to_take_from(SpanCache *cache, uint32_t pages)
{
    SpanList *list = list_of(cache, pages);
    uint32_t longer = hz3_arena_is_scarce() ? 0 : LONGER_BY;
    for (; list->newest == HZ3_PAGE_NONE && longer > 0 && list < &cache->list[LENGTHS - 1]; longer--) {
        list++;
    }
    return list;
}

uint32_t hz3_span_cache_take(uint32_t shard, uint32_t pages)
{
    SpanCache *cache = &caches[shard];
    if (pages < PAGES_MIN || pages_of(cache) == 0) {
        return HZ3_PAGE_NONE;
    }
    hz3_lock_acquire(&cache->lock);
    SpanList *list = list_to_take_from(cache, pages);
    uint32_t page = list->newest;
    if (page != HZ3_PAGE_NONE) {
        unlink_end(cache, list, page);
    }
    hz3_assert_slow(is_valid(cache));
    hz3_lock_release(&cache->lock);
    return page;
}

bool hz3_span_cache_put(uint32_t shard, uint32_t page)
{
    SpanCache *cache = &caches[shard];
    uint32_t pages = hz3_arena.run[page].pages;
    if (pages < PAGES_MIN) { // it was aligned to more than a page
        return false;
    }
    hz3_lock_acquire(&cache->lock);
    bool has_room = pages_of(cache) + pages <= pages_allowed();
    if (has_room) {
        link_newest(cache, list_of(cache, pages), page);
    }
    hz3_assert_slow(is_valid(cache));
    hz3_lock_release(&cache->lock);
    return has_room;
}

// The lock is given back for each span: the boundary must not be called under it.
static size_t drain_list(SpanCache *cache, SpanList *list, bool all)
{
    size_t drained = 0;
    for (;;) {
        hz3_lock_acquire(&cache->lock);
        uint32_t page = all || list->low != 0 ? list->oldest : HZ3_PAGE_NONE;
        if (page != HZ3_PAGE_NONE) {
            list->low -= list->low != 0;
            unlink_end(cache, list, page);
        }
        if (page == HZ3_PAGE_NONE) {
            list->low = list->count;
        }
        hz3_assert_slow(is_valid(cache));
        hz3_lock_release(&cache->lock);
        if (page == HZ3_PAGE_NONE) {
            return drained;
        }
        uint32_t pages = hz3_arena.run[page].pages;
        hz3_release_pages(page, pages, HZ3_RELEASE_LARGE);
        drained += pages;
    }
}

size_t hz3_span_cache_drain(uint32_t shard, uint32_t shards, bool all)
{
    size_t drained = 0;
    for (uint32_t i = 0; i < shards; i++) {
        SpanCache *cache = &caches[(shard + i) % hz3_shard_count()];
        for (SpanList *list = cache->list; list < cache->list + LENGTHS && pages_of(cache) != 0; list++) {
            drained += drain_list(cache, list, all);
        }
    }
    return drained;
}

size_t hz3_span_cache_drain_all(void)
{
    return hz3_span_cache_drain(0, hz3_shard_count(), true);
}

size_t hz3_span_cache_bytes(void)
{
    size_t pages = 0;
    FOR_EACH_CACHE(cache)
    {
        pages += pages_of(cache);
    }
    return pages << HZ3_PAGE_SHIFT;
}

// --- fork --------------------------------------------------------------------------------------------------------

bool hz3_span_cache_fork_prepare(void)
{
    FOR_EACH_CACHE(cache)
    {
        if (!hz3_lock_fork_prepare(&cache->lock)) {
            return false;
        }
    }
    return true;
}

void hz3_span_cache_fork_parent(void)
{
    FOR_EACH_CACHE(cache)
    {
        hz3_lock_fork_parent(&cache->lock);
    }
}

void hz3_span_cache_fork_child(void)
{
    FOR_EACH_CACHE(cache)
    {
        hz3_lock_fork_child(&cache->lock);
    }
}
