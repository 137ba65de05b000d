#include "hz3_release_boundary.h"

#include "hz3_arena.h"
#include "hz3_log.h"
#include "hz3_os.h"
#include "hz3_segment.h"
#include "hz3_segment_packing.h"
#include "hz3_stats.h"

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
    // The tag goes first: from now on a free() of the old object is seen as one of an unallocated page.
    hz3_tag_set(page, pages, HZ3_TAG_NONE);
    hz3_segment_mark_dirty(meta, page_idx, pages);
    hz3_segment_publish(meta, page_idx, pages);
    hz3_pack_on_free(slot, page_idx, pages);
    hz3_stat_add(boundary_calls, 1);
    hz3_stat_add(boundary_pages, pages);
    return (int)pages;
}

void hz3_release_pages(uint32_t page, uint32_t pages, Hz3ReleaseReason reason)
{
    hz3_release_range_definitely_free_meta(&hz3_arena.seg[page / HZ3_PAGES_PER_SEG], page % HZ3_PAGES_PER_SEG, pages,
                                           reason);
}

static _Atomic uint32_t pages_in_purging;

uint32_t hz3_release_pages_in_purging(void)
{
    return atomic_load_explicit(&pages_in_purging, memory_order_acquire);
}

static uint64_t claim_dirty_word(Hz3SegMeta *meta, uint32_t w)
{
    uint64_t word = atomic_load_explicit(&meta->free_bits[w], memory_order_relaxed);
    uint64_t claim;
    do {
        claim = word & atomic_load_explicit(&meta->dirty_bits[w], memory_order_relaxed);
        if (claim == 0) {
            return 0;
        }
    } while (!atomic_compare_exchange_weak_explicit(&meta->free_bits[w], &word, word & ~claim, memory_order_acquire,
                                                    memory_order_relaxed));
    return claim;
}

// Purges one maximal run of claimed pages, then publishes it. The kernel zeroes the pages inside the madvise, so they
// must not be takeable before it returns. A refusal leaves them dirty: nothing is lost, the next purge tries again.
static size_t purge_range(uint32_t slot, uint32_t page_idx, uint32_t pages)
{
    Hz3SegMeta *meta = &hz3_arena.seg[slot];
    bool purged = hz3_os_purge(hz3_page_addr(slot * HZ3_PAGES_PER_SEG + page_idx), pages * HZ3_PAGE_SIZE);
    hz3_stat_add(madvise_calls, 1);
    if (purged) {
        HZ3_FOR_EACH_WORD(w, page_idx, pages)
        {
            atomic_fetch_and_explicit(&meta->dirty_bits[w], ~hz3_word_mask(w, page_idx, pages), memory_order_relaxed);
        }
        hz3_stat_add(purged_pages, pages);
    } else {
        hz3_stat_add(madvise_failures, 1);
    }
    hz3_segment_publish(meta, page_idx, pages);
    hz3_pack_on_free(slot, page_idx, pages);
    atomic_fetch_sub_explicit(&pages_in_purging, pages, memory_order_release);
    return purged ? pages : 0;
}

static size_t purge_segment(uint32_t slot)
{
    uint64_t claimed[HZ3_WORDS_PER_SEG];
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        claimed[w] = claim_dirty_word(&hz3_arena.seg[slot], w);
        atomic_fetch_add_explicit(&pages_in_purging, (uint32_t)__builtin_popcountl(claimed[w]), memory_order_relaxed);
    }
    size_t purged = 0;
    uint32_t start = 0;
    for (uint32_t idx = 0; idx <= HZ3_PAGES_PER_SEG; idx++) {
        bool is_claimed = idx < HZ3_PAGES_PER_SEG && (claimed[idx / 64] >> (idx % 64) & 1) != 0;
        if (!is_claimed) {
            if (idx > start) {
                purged += purge_range(slot, start, idx - start);
            }
            start = idx + 1;
        }
    }
    return purged;
}

// All pages clean: the slot holds nothing and goes back to the arena. A dirty page keeps it open for the next time.
static void close_if_empty(uint32_t slot)
{
    Hz3SegMeta *meta = &hz3_arena.seg[slot];
    if (hz3_segment_free_pages(meta) != HZ3_PAGES_PER_SEG || !hz3_segment_claim_whole(meta)) {
        return;
    }
    if (hz3_segment_is_clean(meta, 0, HZ3_PAGES_PER_SEG)) {
        hz3_arena_slot_close(slot);
    } else {
        hz3_segment_publish(meta, 0, HZ3_PAGES_PER_SEG);
        hz3_pack_on_free(slot, 0, HZ3_PAGES_PER_SEG);
    }
}

size_t hz3_release_purge_all(void)
{
    size_t purged = 0;
    HZ3_FOR_EACH_SLOT(slot)
    {
        purged += purge_segment(slot);
        close_if_empty(slot);
    }
    return purged;
}
