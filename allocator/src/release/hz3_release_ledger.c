#include "release/hz3_release_ledger.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_stats.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_in_purging.h"
#include "pages/hz3_ledger_list.h"
#include "pages/hz3_segment.h"
#include "pages/hz3_segment_packing.h"
#include "release/hz3_release_boundary.h"

// What one call takes from the others for a moment: 16 MiB, some milliseconds.
#define BATCH_PAGES 4096u

typedef struct Batch {
    uint32_t n;
    uint32_t pages;
    uint32_t calls;
    size_t purged;
    Hz3OsRange range[HZ3_PURGE_BATCH];
} Batch;

static uint64_t claim_dirty_word(Hz3SegMeta *meta, uint32_t w, bool young_too)
{
    uint64_t word = atomic_load_explicit(&meta->free_bits[w], memory_order_acquire);
    uint64_t claim;
    do {
        claim = word & atomic_load_explicit(&meta->dirty_bits[w], memory_order_relaxed);
        if (!young_too) {
            claim &= ~atomic_load_explicit(&meta->young_bits[w], memory_order_relaxed);
        }
        if (claim == 0) {
            return 0;
        }
    } while (!atomic_compare_exchange_weak_explicit(&meta->free_bits[w], &word, word & ~claim, memory_order_acquire,
                                                    memory_order_acquire));
    return claim;
}

// All pages clean: the slot holds nothing and goes back to the arena. A dirty page keeps it open for the next time.
static void close_if_empty(uint32_t slot)
{
    Hz3SegMeta *meta = &hz3_arena.seg[slot];
    if (hz3_segment_free_pages(meta) != HZ3_PAGES_PER_SEG) {
        return;
    }
    bool rolled_back = false;
    hz3_in_purging_add(HZ3_PAGES_PER_SEG);
    if (!hz3_segment_claim_whole(meta, &rolled_back)) {
        if (rolled_back) {
            hz3_pack_rolled_back(slot);
        }
        hz3_in_purging_sub(HZ3_PAGES_PER_SEG);
        return;
    }
    if (hz3_segment_is_clean(meta, 0, HZ3_PAGES_PER_SEG)) {
        hz3_arena_slot_close(slot);
    } else {
        hz3_segment_publish(meta, 0, HZ3_PAGES_PER_SEG);
        hz3_pack_on_free(slot, 0, HZ3_PAGES_PER_SEG);
        hz3_ledger_requeue_if_dirty(slot);
    }
    hz3_in_purging_sub(HZ3_PAGES_PER_SEG);
}

// A refusal leaves the pages dirty, and so in the ledger: nothing is lost, the next purge tries again.
static void publish_range(const Hz3OsRange *range, bool is_purged)
{
    uint32_t page = hz3_page_of(range->addr);
    uint32_t slot = page / HZ3_PAGES_PER_SEG;
    uint32_t page_idx = page % HZ3_PAGES_PER_SEG;
    uint32_t pages = (uint32_t)(range->bytes >> HZ3_PAGE_SHIFT);
    Hz3SegMeta *meta = &hz3_arena.seg[slot];
    if (is_purged) {
        HZ3_FOR_EACH_WORD(w, page_idx, pages)
        {
            atomic_fetch_and_explicit(&meta->dirty_bits[w], ~hz3_word_mask(w, page_idx, pages), memory_order_relaxed);
        }
    }
    hz3_segment_publish(meta, page_idx, pages);
    hz3_pack_on_free(slot, page_idx, pages);
    hz3_in_purging_sub(pages);
    if (!is_purged) {
        hz3_ledger_requeue_if_dirty(slot);
    }
}

// The kernel zeroes the pages inside the call, so they must not be takeable before it returns.
static void flush_batch(Batch *batch)
{
    hz3_assert(batch->n <= HZ3_PURGE_BATCH && batch->pages >= batch->n);
    Hz3RangesGiven given;
    batch->purged += hz3_release_to_kernel(batch->range, batch->n, &given);
    batch->calls += given.calls;
    for (uint32_t i = 0; i < batch->n; i++) {
        publish_range(&batch->range[i], hz3_range_given(&given, i));
    }
    uint32_t last = HZ3_PAGE_NONE;
    for (uint32_t i = 0; i < batch->n; i++) {
        uint32_t slot = hz3_page_of(batch->range[i].addr) / HZ3_PAGES_PER_SEG;
        if (slot != last) {
            close_if_empty(slot);
        }
        last = slot;
    }
    batch->n = 0;
    batch->pages = 0;
}

static void add_range(Batch *batch, uint32_t slot, uint32_t page_idx, uint32_t pages)
{
    if (batch->n == HZ3_PURGE_BATCH || batch->pages >= BATCH_PAGES) {
        flush_batch(batch);
    }
    hz3_assert_slow(hz3_segment_is_valid(&hz3_arena.seg[slot], page_idx, pages));
    batch->pages += pages;
    batch->range[batch->n++] =
        (Hz3OsRange){hz3_page_addr(slot * HZ3_PAGES_PER_SEG + page_idx), (size_t)pages << HZ3_PAGE_SHIFT};
}

// One range for each maximal run of claimed pages, across words. Returns the pages.
static size_t claim_segment(Batch *batch, uint32_t slot, bool young_too)
{
    uint64_t claimed[HZ3_WORDS_PER_SEG];
    uint32_t pages = 0;
    hz3_in_purging_add(HZ3_PAGES_PER_SEG); // before the claims: who misses pages must see where they are
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        claimed[w] = claim_dirty_word(&hz3_arena.seg[slot], w, young_too);
        pages += (uint32_t)__builtin_popcountl(claimed[w]);
    }
    hz3_assert(pages <= HZ3_PAGES_PER_SEG);
    hz3_in_purging_sub(HZ3_PAGES_PER_SEG - pages);
    uint32_t start = 0;
    for (uint32_t idx = 0; pages != 0 && idx <= HZ3_PAGES_PER_SEG; idx++) {
        bool is_claimed = idx < HZ3_PAGES_PER_SEG && (claimed[idx / 64] >> (idx % 64) & 1) != 0;
        if (!is_claimed) {
            if (idx > start) {
                add_range(batch, slot, start, idx - start);
            }
            start = idx + 1;
        }
    }
    return pages;
}

// --- an epoch's share --------------------------------------------------------------------------------------------

// True once in min_age epochs. A page that is not young then was free and untouched all the time since the last look.
static bool look_is_due(Hz3SegMeta *meta, const Hz3PurgeLimits *limits)
{
    if (limits->min_age == 0) {
        return true;
    }
    uint32_t looked = atomic_load_explicit(&meta->looked_epoch, memory_order_relaxed);
    if (limits->epoch - looked < limits->min_age) {
        return false;
    }
    atomic_store_explicit(&meta->looked_epoch, limits->epoch, memory_order_relaxed);
    return true;
}

static void make_all_old(Hz3SegMeta *meta)
{
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        if (atomic_load_explicit(&meta->young_bits[w], memory_order_relaxed) != 0) {
            atomic_store_explicit(&meta->young_bits[w], 0, memory_order_relaxed);
        }
    }
}

size_t hz3_ledger_purge(const Hz3PurgeLimits *limits)
{
    Batch batch = {.n = 0};
    size_t claimed = 0;
    uint32_t slot = hz3_ledger_walk_begin();
    while (slot != HZ3_PAGE_NONE) {
        Hz3SegMeta *meta = &hz3_arena.seg[slot];
        uint32_t next = hz3_ledger_next(slot);
        hz3_assert(next != slot);
        if (claimed >= limits->pages || batch.calls >= limits->calls || !look_is_due(meta, limits)) {
            hz3_ledger_put_back(slot);
            slot = next;
            continue;
        }
        hz3_ledger_take_out(slot);
        claimed += claim_segment(&batch, slot, limits->min_age == 0);
        make_all_old(meta);
        hz3_ledger_requeue_if_dirty(slot);
        slot = next;
    }
    hz3_ledger_walk_end();
    flush_batch(&batch);
    return batch.purged;
}

size_t hz3_release_purge_all(void)
{
    Batch batch = {.n = 0};
    HZ3_FOR_EACH_SLOT(slot)
    {
        if (claim_segment(&batch, slot, true) == 0) {
            close_if_empty(slot);
        }
    }
    flush_batch(&batch);
    return batch.purged;
}
