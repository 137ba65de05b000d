#include "release/hz3_release_ledger.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_stats.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_in_purging.h"
#include "pages/hz3_ledger_list.h"
#include "pages/hz3_segment.h"
#include "pages/hz3_segment_packing.h"
#include "release/hz3_release_boundary.h"

// Ranges are collected up to this many pages, 4 MiB: a fifth of a millisecond. For so long they are taken from the
// others, and whoever opens a slot waits for the kernel's lock, and page faults behind him.
#define BATCH_PAGES 1024u

// Epochs before pages that the kernel has refused are offered again.
#define REFUSED_AGE 64u

typedef struct Batch {
    const Hz3PurgeLimits *limits; // of the epoch, or NULL
    bool is_stopped;              // the program needs its memory again
    uint32_t refused_slot;        // that of the last range which the kernel has refused
    uint32_t n;
    uint32_t pages;
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

// True: all pages of the slot are the caller's, counted as in purging until it gives them back or closes the slot.
static bool claim_whole(uint32_t slot)
{
    bool rolled_back = false;
    hz3_in_purging_add(HZ3_PAGES_PER_SEG); // before the claim: who misses pages must see where they are
    if (hz3_segment_claim_whole(&hz3_arena.seg[slot], &rolled_back)) {
        return true;
    }
    if (rolled_back) {
        hz3_pack_rolled_back(slot);
    }
    hz3_in_purging_sub(HZ3_PAGES_PER_SEG);
    return false;
}

// All pages clean: the slot holds nothing and goes back to the arena. A dirty page keeps it open for the next time.
static void close_if_empty(uint32_t slot)
{
    Hz3SegMeta *meta = &hz3_arena.seg[slot];
    if (hz3_segment_free_pages(meta) != HZ3_PAGES_PER_SEG || !claim_whole(slot)) {
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

// A refusal leaves the pages dirty, and so in the ledger: nothing is lost, a later purge tries again.
static void publish_range(Batch *batch, const Hz3OsRange *range, bool is_purged)
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
    if (!is_purged && batch->limits != NULL) {
        batch->refused_slot = slot;
        hz3_ledger_append_if_absent(HZ3_LEDGER_REFUSED, slot, batch->limits->epoch + REFUSED_AGE);
    } else if (!is_purged) {
        hz3_ledger_requeue_if_dirty(slot);
    }
}

// The kernel zeroes the pages inside the call, so they must not be takeable before it returns.
static void flush_batch(Batch *batch)
{
    hz3_assert(batch->n <= HZ3_PURGE_BATCH && batch->pages >= batch->n);
    Hz3RangesGiven given;
    batch->purged += hz3_release_to_kernel(batch->range, batch->n, &given);
    for (uint32_t i = 0; i < batch->n; i++) {
        publish_range(batch, &batch->range[i], hz3_range_given(&given, i));
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
    batch->is_stopped = batch->limits != NULL && batch->limits->may_go_on != NULL && !batch->limits->may_go_on();
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

static bool has_young_pages(const Hz3SegMeta *meta)
{
    uint64_t young = 0;
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        young |= atomic_load_explicit(&meta->young_bits[w], memory_order_relaxed);
    }
    return young != 0;
}

// HZ3_HUGE_SEGMENTS: all of the segment or nothing, its clean pages too, for a piece of a huge page gives back nothing.
static uint32_t claim_whole_segment(Batch *batch, uint32_t slot, bool young_too)
{
    Hz3SegMeta *meta = &hz3_arena.seg[slot];
    if (hz3_segment_free_pages(meta) != HZ3_PAGES_PER_SEG || hz3_segment_is_clean(meta, 0, HZ3_PAGES_PER_SEG) ||
        (!young_too && has_young_pages(meta)) || !claim_whole(slot)) {
        return 0;
    }
    add_range(batch, slot, 0, HZ3_PAGES_PER_SEG);
    return HZ3_PAGES_PER_SEG;
}

// One range for each maximal run of claimed pages, across words. Returns the pages.
static uint32_t claim_segment(Batch *batch, uint32_t slot, bool young_too)
{
    if (HZ3_UNLIKELY(hz3_knobs.HUGE_SEGMENTS)) {
        return claim_whole_segment(batch, slot, young_too);
    }
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

typedef struct Purge {
    const Hz3PurgeLimits *limits;
    uint64_t start_us;
    uint64_t claimed;
    Batch batch;
} Purge;

static bool has_budget(const Purge *p)
{
    const Hz3PurgeLimits *limits = p->limits;
    return p->claimed < limits->pages && !p->batch.is_stopped &&
           (limits->us == UINT64_MAX || hz3_os_now_us() - p->start_us < limits->us);
}

static void make_all_old(Hz3SegMeta *meta)
{
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        if (atomic_load_explicit(&meta->young_bits[w], memory_order_relaxed) != 0) {
            atomic_store_explicit(&meta->young_bits[w], 0, memory_order_relaxed);
        }
    }
}

// Whether the program soon used again what the segment gave back. When exactly, nobody knows; not while it was idle.
static bool came_back(Hz3SegMeta *meta, const Hz3PurgeLimits *limits)
{
    uint32_t kept = atomic_load_explicit(&meta->kept_epoch, memory_order_relaxed);
    uint32_t purged = atomic_load_explicit(&meta->purged_pages, memory_order_relaxed);
    if (kept != 0 || purged == 0) {
        return kept != 0 && (int32_t)(kept - limits->epoch) >= 0;
    }
    uint32_t at = atomic_load_explicit(&meta->purged_epoch, memory_order_relaxed);
    bool was_idle = (int32_t)(limits->resumed_epoch - at) > 0;
    uint32_t epochs = (was_idle ? limits->resumed_epoch : limits->epoch) - at;
    uint32_t used = HZ3_PAGES_PER_SEG - hz3_segment_clean_pages(meta);
    uint32_t used_before = atomic_load_explicit(&meta->used_pages, memory_order_relaxed);
    bool is_soon = limits->kept_age != 0 && epochs * 3 <= limits->kept_age * 2;
    bool are_back = used > used_before && (used - used_before) * 2 >= purged;
    if (!is_soon || are_back) {
        atomic_store_explicit(&meta->purged_pages, 0, memory_order_relaxed);
    }
    return is_soon && are_back;
}

// Of what has been kept, nothing is noted: it lay untouched for too long to come back soon.
static void note_purge(Hz3SegMeta *meta, uint32_t pages, uint32_t epoch)
{
    uint32_t used = HZ3_PAGES_PER_SEG - hz3_segment_clean_pages(meta);
    atomic_store_explicit(&meta->purged_epoch, epoch, memory_order_relaxed);
    atomic_store_explicit(&meta->purged_pages, (uint16_t)pages, memory_order_relaxed);
    atomic_store_explicit(&meta->used_pages, (uint16_t)(used > pages ? used - pages : 0), memory_order_relaxed);
}

// From now on its pages must lie untouched. In twice the longest pause a program that comes back has used them again,
// wherever in its work the look at them has come.
static void append(Hz3LedgerQueue queue, uint32_t slot, const Hz3PurgeLimits *limits)
{
    uint32_t age = queue == HZ3_LEDGER_REFUSED ? REFUSED_AGE
                   : queue == HZ3_LEDGER_KEPT  ? 2 * limits->kept_age
                                               : limits->min_age;
    make_all_old(&hz3_arena.seg[slot]);
    hz3_ledger_append(queue, slot, limits->epoch + age);
}

static void look_at_fresh(uint32_t slot, const Hz3PurgeLimits *limits)
{
    while (slot != HZ3_PAGE_NONE) {
        uint32_t next = hz3_ledger_next(slot);
        hz3_assert(next != slot);
        bool is_kept = came_back(&hz3_arena.seg[slot], limits);
        if (limits->min_age != 0 || is_kept) {
            append(is_kept ? HZ3_LEDGER_KEPT : HZ3_LEDGER_WAITING, slot, limits);
        } else {
            hz3_ledger_append(HZ3_LEDGER_WAITING, slot, limits->epoch);
        }
        slot = next;
    }
}

static void serve_segment(Purge *p, Hz3LedgerQueue queue, uint32_t slot)
{
    const Hz3PurgeLimits *limits = p->limits;
    Hz3SegMeta *meta = &hz3_arena.seg[slot];
    bool is_kept = came_back(meta, limits) || (queue == HZ3_LEDGER_KEPT && limits->kept_age != 0);
    uint32_t claimed = claim_segment(&p->batch, slot, limits->min_age == 0 && (!is_kept || limits->kept_too));
    p->claimed += claimed;
    bool stays_kept = is_kept && !(limits->min_age == 0 && limits->kept_too); // also when it leaves: it is all in use
    atomic_store_explicit(&meta->kept_epoch, stays_kept ? limits->epoch + limits->kept_age : 0, memory_order_relaxed);
    if (claimed != 0 && queue == HZ3_LEDGER_WAITING) {
        note_purge(meta, claimed, limits->epoch);
    }
    bool is_refused = p->batch.refused_slot == slot;
    if (hz3_segment_has_dirty_pages(meta)) {
        append(is_refused ? HZ3_LEDGER_REFUSED : is_kept ? HZ3_LEDGER_KEPT : HZ3_LEDGER_WAITING, slot, limits);
    } else {
        hz3_ledger_leave(slot);
    }
}

static bool is_due(Hz3LedgerQueue queue, uint32_t slot, const Hz3PurgeLimits *limits)
{
    uint32_t due = atomic_load_explicit(&hz3_arena.seg[slot].due_epoch, memory_order_relaxed);
    if (queue == HZ3_LEDGER_REFUSED || limits->min_age != 0) {
        return (int32_t)(limits->epoch - due) >= 0;
    }
    return queue == HZ3_LEDGER_WAITING || limits->kept_too || limits->kept_age == 0;
}

// Ends with the entry that is the last one now: the others are ours.
static void serve(Purge *p, Hz3LedgerQueue queue)
{
    uint32_t last = hz3_ledger_last(queue);
    for (uint32_t slot = HZ3_PAGE_NONE; slot != last && has_budget(p);) {
        slot = hz3_ledger_first(queue);
        if (!is_due(queue, slot, p->limits)) {
            break;
        }
        hz3_ledger_pop(queue);
        serve_segment(p, queue, slot);
    }
}

size_t hz3_ledger_purge(const Hz3PurgeLimits *limits)
{
    Purge p = {
        .limits = limits, .start_us = hz3_os_now_us(), .batch = {.limits = limits, .refused_slot = HZ3_PAGE_NONE}};
    look_at_fresh(hz3_ledger_walk_begin(), limits);
    serve(&p, HZ3_LEDGER_WAITING);
    serve(&p, HZ3_LEDGER_KEPT);
    serve(&p, HZ3_LEDGER_REFUSED);
    flush_batch(&p.batch);
    hz3_ledger_walk_end();
    return p.batch.purged;
}

size_t hz3_release_purge_all(void)
{
    Batch batch = {.refused_slot = HZ3_PAGE_NONE};
    HZ3_FOR_EACH_SLOT(slot)
    {
        if (claim_segment(&batch, slot, true) == 0) {
            close_if_empty(slot);
        }
    }
    flush_batch(&batch);
    return batch.purged;
}
