#include "large/hz3_large.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_shard.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"
#include "large/hz3_mapping.h"
#include "large/hz3_span_cache.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_segment.h"
#include "pages/hz3_segment_packing.h"
#include "policy/hz3_mem_budget.h"
#include "policy/hz3_purger.h"
#include "release/hz3_release_boundary.h"

static void *span_reuse(uint32_t pages, bool *is_zero)
{
    uint32_t page = HZ3_HARDENED ? HZ3_PAGE_NONE : hz3_span_cache_take(hz3_shard_now(), pages);
    if (page == HZ3_PAGE_NONE) {
        return NULL;
    }
    *is_zero = false;
    hz3_tag_set(page, 1, HZ3_TAG_SPAN);
    return hz3_page_addr(page);
}

static void *span_open(uint32_t pages, uint32_t align_pages, bool *is_zero)
{
    uint32_t shard = hz3_shard_now();
    uint32_t page = hz3_mem_budget_claim(shard, pages, align_pages, 0);
    if (page == HZ3_PAGE_NONE) {
        return NULL;
    }
    hz3_assert(page % HZ3_PAGES_PER_SEG + pages <= HZ3_PAGES_PER_SEG && page % align_pages == 0);
    *is_zero = hz3_segment_is_clean(&hz3_arena.seg[page / HZ3_PAGES_PER_SEG], page % HZ3_PAGES_PER_SEG, pages);
    hz3_arena.run[page].pages = (uint16_t)pages;
    hz3_tag_set(page + 1, pages - 1, HZ3_TAG_SPAN_CONT);
    hz3_tag_set(page, 1, HZ3_TAG_SPAN);
    hz3_stat_add(spans_opened, 1);
    hz3_purger_poll_taken(0);
    return hz3_page_addr(page);
}

static void *map(size_t bytes, size_t align, bool *is_zero)
{
    void *p = hz3_mapping_alloc(bytes, align, is_zero);
    return p == NULL && hz3_mem_budget_give_back() ? hz3_mapping_alloc(bytes, align, is_zero) : p;
}

void *hz3_large_alloc(size_t size, size_t align, bool *is_zero)
{
    hz3_assert(size != 0 && size <= HZ3_REQUEST_MAX && align != 0 && (align & (align - 1)) == 0);
    size_t pages = hz3_large_pages(size);
    size_t align_pages = align > HZ3_PAGE_SIZE ? align >> HZ3_PAGE_SHIFT : 1;
    bool fits_segment = size <= HZ3_SPAN_MAX && align <= HZ3_SPAN_MAX;
    if (!fits_segment) {
        hz3_mem_budget_charge(pages);
        return map(pages << HZ3_PAGE_SHIFT, align, is_zero);
    }
    void *p = align_pages == 1 ? span_reuse((uint32_t)pages, is_zero) : NULL;
    if (p == NULL) {
        p = span_open((uint32_t)pages, (uint32_t)align_pages, is_zero);
    }
    return p != NULL ? p : hz3_large_fallback(pages << HZ3_PAGE_SHIFT, align, is_zero);
}

void *hz3_large_fallback(size_t size, size_t align, bool *is_zero)
{
    return hz3_knobs.ARENA_FALLBACK_MMAP ? map(hz3_page_round_up(size), align, is_zero) : NULL;
}

void hz3_span_free(void *p)
{
    hz3_require(((uintptr_t)p & (HZ3_PAGE_SIZE - 1)) == 0, "free", p, "interior pointer: not the start of its block");
    uint32_t page = hz3_page_of(p);
    // Of two threads that free the same span one takes the tag; the other must not release pages that are somebody's
    // again. So the length is read when the tag is ours.
    uint8_t span = HZ3_TAG_SPAN;
    hz3_require(atomic_compare_exchange_strong_explicit(&hz3_arena.sc_tag[page], &span, HZ3_TAG_NONE,
                                                        memory_order_acquire, memory_order_relaxed),
                "free", p, "double free: this block is free already");
    hz3_assert(hz3_arena.run[page].pages >= 1 && hz3_arena.run[page].pages <= HZ3_SPAN_MAX >> HZ3_PAGE_SHIFT);
    uint32_t shard = hz3_shard_now();
    shard = hz3_has_nodes() ? hz3_pack_home(shard, page) : shard;
    if (!HZ3_HARDENED && hz3_span_cache_put(shard, page)) {
        hz3_stat_add(spans_cached, 1);
    } else {
        hz3_release_pages(page, hz3_arena.run[page].pages, HZ3_RELEASE_LARGE);
    }
    hz3_purger_poll_freed();
}

static bool grow_span(uint32_t page, uint32_t pages, uint32_t new_pages)
{
    uint32_t idx = page % HZ3_PAGES_PER_SEG;
    uint32_t slot = page / HZ3_PAGES_PER_SEG;
    bool rolled_back = false;
    if (idx + new_pages > HZ3_PAGES_PER_SEG) {
        return false;
    }
    hz3_mem_budget_charge(new_pages - pages);
    bool is_ours = hz3_segment_claim_at(&hz3_arena.seg[slot], idx + pages, new_pages - pages, &rolled_back);
    if (HZ3_UNLIKELY(rolled_back)) {
        hz3_pack_rolled_back(slot);
    }
    if (is_ours) {
        hz3_tag_set(page + pages, new_pages - pages, HZ3_TAG_SPAN_CONT);
        hz3_arena.run[page].pages = (uint16_t)new_pages;
    }
    return is_ours;
}

bool hz3_span_resize(void *p, size_t size)
{
    uint32_t page = hz3_page_of(p);
    uint32_t pages = hz3_arena.run[page].pages;
    uint32_t new_pages = (uint32_t)hz3_large_pages(size);
    hz3_assert(hz3_tag_of(page) == HZ3_TAG_SPAN && new_pages <= HZ3_SPAN_MAX >> HZ3_PAGE_SHIFT);
    if (new_pages > pages) {
        return grow_span(page, pages, new_pages);
    }
    if (new_pages < pages) {
        hz3_arena.run[page].pages = (uint16_t)new_pages;
        hz3_release_pages(page + new_pages, pages - new_pages, HZ3_RELEASE_LARGE);
        hz3_purger_poll_freed();
    }
    return true;
}

size_t hz3_span_usable_size(const void *p)
{
    return (size_t)hz3_arena.run[hz3_page_of(p)].pages << HZ3_PAGE_SHIFT;
}
