#include "release/hz3_release_boundary.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_stats.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_ledger_list.h"
#include "pages/hz3_segment.h"
#include "pages/hz3_segment_packing.h"

int hz3_release_range_definitely_free_meta(Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages, Hz3ReleaseReason reason)
{
    uint32_t slot = (uint32_t)(meta - hz3_arena.seg);
    uint32_t page = slot * HZ3_PAGES_PER_SEG + page_idx;
    hz3_require(meta != NULL && slot < hz3_arena.slots && pages > 0 && pages <= HZ3_PAGES_PER_SEG &&
                    page_idx <= HZ3_PAGES_PER_SEG - pages && reason < HZ3_RELEASE_REASON_COUNT,
                "release", meta, "internal error: pages %u+%u of slot %u are no range of a segment (reason %d)",
                page_idx, pages, slot, (int)reason);
    hz3_require(!hz3_segment_any_free(meta, page_idx, pages), "release", hz3_page_addr(page),
                "internal error: some of these %u pages are free already", pages);
    hz3_assert(hz3_arena_slot_is_open(slot));
    // The tag goes first: from now on a free() of the old object is seen as one of an unallocated page.
    hz3_tag_set(page, pages, HZ3_TAG_NONE);
    hz3_segment_mark_dirty(meta, page_idx, pages);
    hz3_segment_publish(meta, page_idx, pages);
    hz3_pack_on_release(slot, page_idx, pages);
    hz3_ledger_enter(slot);
    hz3_stat_add(boundary_calls, 1);
    hz3_stat_add(boundary_pages, pages);
    return (int)pages;
}

void hz3_release_pages(uint32_t page, uint32_t pages, Hz3ReleaseReason reason)
{
    hz3_release_range_definitely_free_meta(&hz3_arena.seg[page / HZ3_PAGES_PER_SEG], page % HZ3_PAGES_PER_SEG, pages,
                                           reason);
}

// The ranges from `first` on by one call, or the first of them by one of its own: the kernel stops at a range that it
// refuses, and what comes after it has its chance all the same. Returns how many were dealt with.
static uint32_t give_some(const Hz3OsRange *ranges, uint32_t first, uint32_t n, Hz3RangesGiven *given)
{
    uint32_t done = hz3_knobs.S65_BATCH && n - first > 1 ? hz3_os_purge_ranges(ranges + first, n - first) : 0;
    uint32_t tried = done;
    if (done == 0) {
        done = hz3_os_purge(ranges[first].addr, ranges[first].bytes);
        tried = 1;
    }
    hz3_stat_add(madvise_calls, 1);
    hz3_stat_add(madvise_failures, tried - done);
    for (uint32_t i = first; i < first + done; i++) {
        given->word[i / 64] |= 1ull << (i % 64);
    }
    return tried;
}

size_t hz3_release_to_kernel(const Hz3OsRange *ranges, uint32_t n, Hz3RangesGiven *given)
{
    hz3_assert(n <= HZ3_PURGE_BATCH);
    for (uint32_t i = 0; HZ3_DEBUG && i < n; i++) {
        hz3_assert(hz3_arena_owns(ranges[i].addr) && ranges[i].bytes != 0);
        hz3_assert((((uintptr_t)ranges[i].addr | ranges[i].bytes) & (HZ3_PAGE_SIZE - 1)) == 0);
    }
    *given = (Hz3RangesGiven){{0}};
    for (uint32_t i = 0; i < n;) {
        i += give_some(ranges, i, n, given);
    }
    size_t pages = 0;
    for (uint32_t i = 0; i < n; i++) {
        pages += hz3_range_given(given, i) ? ranges[i].bytes >> HZ3_PAGE_SHIFT : 0;
    }
    hz3_stat_add(purged_pages, pages);
    return pages;
}
