#include "release/hz3_release_ledger.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_stats.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_segment.h"
#include "pages/hz3_segment_packing.h"
#include "release/hz3_release_boundary.h"

static _Atomic uint32_t head = HZ3_PAGE_NONE; // newest entry
static _Atomic uint32_t in_purging;

// --- the list ----------------------------------------------------------------------------------------------------

// By whoever has set is_queued. Nobody takes single entries off, so the head cannot come back behind our back (ABA)
// without being right.
static void push(uint32_t slot)
{
    uint32_t next = atomic_load_explicit(&head, memory_order_relaxed);
    do {
        atomic_store_explicit(&hz3_arena.seg[slot].next_queued, next, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(&head, &next, slot, memory_order_seq_cst, memory_order_relaxed));
}

// Whether this thread is between two steps that belong together: a signal handler that forks then must not make the
// list anew under it. The child does so at the end of the last step.
static HZ3_TLS uint32_t steps_begun;
static HZ3_TLS bool list_is_half_copied;

static void make_anew(void);

static void begin_steps(void)
{
    steps_begun++;
    atomic_signal_fence(memory_order_seq_cst);
}

static void end_steps(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    steps_begun--;
    atomic_signal_fence(memory_order_seq_cst);
    if (steps_begun == 0 && HZ3_UNLIKELY(list_is_half_copied)) {
        make_anew();
    }
}

static bool enter(uint32_t slot)
{
    Hz3SegMeta *meta = &hz3_arena.seg[slot];
    if (atomic_load_explicit(&meta->is_queued, memory_order_seq_cst) != 0) {
        return false;
    }
    begin_steps();
    bool was_in = atomic_exchange_explicit(&meta->is_queued, 1, memory_order_seq_cst) != 0;
    if (!was_in) {
        push(slot);
    }
    end_steps();
    return !was_in;
}

void hz3_ledger_enter(uint32_t slot)
{
    if (hz3_knobs.S65_RELEASE_LEDGER && enter(slot)) {
        hz3_stat_add(ledger_enq, 1);
    }
}

bool hz3_ledger_is_empty(void)
{
    return atomic_load_explicit(&head, memory_order_seq_cst) == HZ3_PAGE_NONE;
}

// Takes the whole list, oldest entry first.
static uint32_t take_all(void)
{
    uint32_t slot = atomic_exchange_explicit(&head, HZ3_PAGE_NONE, memory_order_seq_cst);
    uint32_t oldest = HZ3_PAGE_NONE;
    while (slot != HZ3_PAGE_NONE) {
        _Atomic uint32_t *next = &hz3_arena.seg[slot].next_queued;
        uint32_t older = atomic_load_explicit(next, memory_order_relaxed);
        atomic_store_explicit(next, oldest, memory_order_relaxed);
        oldest = slot;
        slot = older;
    }
    return oldest;
}

static bool has_dirty_pages(const Hz3SegMeta *meta)
{
    uint64_t dirty = 0;
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        dirty |= atomic_load_explicit(&meta->free_bits[w], memory_order_seq_cst) &
                 atomic_load_explicit(&meta->dirty_bits[w], memory_order_seq_cst);
    }
    return dirty != 0;
}

static void requeue_if_dirty(uint32_t slot)
{
    if (hz3_knobs.S65_RELEASE_LEDGER && has_dirty_pages(&hz3_arena.seg[slot]) && enter(slot)) {
        hz3_stat_add(ledger_requeued, 1);
    }
}

uint32_t hz3_ledger_drops(void)
{
    uint32_t drops = 0;
    HZ3_FOR_EACH_SLOT(slot)
    {
        const Hz3SegMeta *meta = &hz3_arena.seg[slot];
        drops += hz3_knobs.S65_RELEASE_LEDGER && has_dirty_pages(meta) &&
                 atomic_load_explicit(&meta->is_queued, memory_order_seq_cst) == 0;
    }
    return drops;
}

static void make_anew(void)
{
    list_is_half_copied = false;
    atomic_store_explicit(&head, HZ3_PAGE_NONE, memory_order_relaxed);
    HZ3_FOR_EACH_SLOT(slot)
    {
        Hz3SegMeta *meta = &hz3_arena.seg[slot];
        if (atomic_load_explicit(&meta->is_queued, memory_order_relaxed) != 0) {
            atomic_store_explicit(&meta->is_queued, 0, memory_order_relaxed);
        }
        requeue_if_dirty(slot);
    }
}

// --- claim, tell the kernel, publish -----------------------------------------------------------------------------

// What one call takes from the others for a moment: 16 MiB, some milliseconds.
#define BATCH_PAGES 4096u

typedef struct Batch {
    uint32_t n;
    uint32_t pages;
    uint32_t calls;
    size_t purged;
    Hz3OsRange range[HZ3_PURGE_BATCH];
} Batch;

uint32_t hz3_release_pages_in_purging(void)
{
    return atomic_load_explicit(&in_purging, memory_order_acquire);
}

// This thread's share, and whether the rest is that of threads which a fork's child does not have. Greater than the
// share in in_purging while a handler may have come in between, so that it settles when the share is 0 for certain.
static HZ3_TLS uint32_t own_in_purging;
static HZ3_TLS bool others_have_gone;

static void settle_in_purging(void)
{
    if (own_in_purging == 0 && HZ3_UNLIKELY(others_have_gone)) {
        others_have_gone = false;
        atomic_store_explicit(&in_purging, 0, memory_order_relaxed);
    }
}

void hz3_release_purging_add(uint32_t pages)
{
    own_in_purging += pages;
    atomic_signal_fence(memory_order_seq_cst);
    atomic_fetch_add_explicit(&in_purging, pages, memory_order_relaxed);
}

void hz3_release_purging_sub(uint32_t pages)
{
    atomic_fetch_sub_explicit(&in_purging, pages, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    own_in_purging -= pages;
    settle_in_purging();
}

void hz3_ledger_fork_child(void)
{
    others_have_gone = true;
    settle_in_purging();
    list_is_half_copied = true;
    if (steps_begun == 0) {
        make_anew();
    }
}

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
    hz3_release_purging_add(HZ3_PAGES_PER_SEG);
    if (!hz3_segment_claim_whole(meta)) {
        hz3_release_purging_sub(HZ3_PAGES_PER_SEG);
        return;
    }
    if (hz3_segment_is_clean(meta, 0, HZ3_PAGES_PER_SEG)) {
        hz3_arena_slot_close(slot);
    } else {
        hz3_segment_publish(meta, 0, HZ3_PAGES_PER_SEG);
        hz3_pack_on_free(slot, 0, HZ3_PAGES_PER_SEG);
        requeue_if_dirty(slot);
    }
    hz3_release_purging_sub(HZ3_PAGES_PER_SEG);
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
    hz3_release_purging_sub(pages);
    if (!is_purged) {
        requeue_if_dirty(slot);
    }
}

// The kernel zeroes the pages inside the call, so they must not be takeable before it returns.
static void flush_batch(Batch *batch)
{
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
    batch->pages += pages;
    batch->range[batch->n++] =
        (Hz3OsRange){hz3_page_addr(slot * HZ3_PAGES_PER_SEG + page_idx), (size_t)pages << HZ3_PAGE_SHIFT};
}

// One range for each maximal run of claimed pages, across words. Returns the pages.
static size_t claim_segment(Batch *batch, uint32_t slot, bool young_too)
{
    uint64_t claimed[HZ3_WORDS_PER_SEG];
    uint32_t pages = 0;
    hz3_release_purging_add(HZ3_PAGES_PER_SEG); // before the claims: who misses pages must see where they are
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        claimed[w] = claim_dirty_word(&hz3_arena.seg[slot], w, young_too);
        pages += (uint32_t)__builtin_popcountl(claimed[w]);
    }
    hz3_release_purging_sub(HZ3_PAGES_PER_SEG - pages);
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
    begin_steps(); // what take_all took is in the list again, or on its way
    uint32_t slot = take_all();
    while (slot != HZ3_PAGE_NONE) {
        Hz3SegMeta *meta = &hz3_arena.seg[slot];
        uint32_t next = atomic_load_explicit(&meta->next_queued, memory_order_relaxed);
        if (claimed >= limits->pages || batch.calls >= limits->calls || !look_is_due(meta, limits)) {
            push(slot); // as it is, flag and all
            slot = next;
            continue;
        }
        atomic_exchange_explicit(&meta->is_queued, 0, memory_order_seq_cst);
        claimed += claim_segment(&batch, slot, limits->min_age == 0);
        make_all_old(meta);
        requeue_if_dirty(slot);
        slot = next;
    }
    end_steps();
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
