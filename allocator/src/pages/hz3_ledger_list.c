#include "pages/hz3_ledger_list.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_stats.h"
#include "pages/hz3_arena.h"

static _Atomic uint32_t head = HZ3_PAGE_NONE; // newest entry

// By whoever has set is_queued. Where the head was taken and has come back meanwhile (ABA), linking to it is right all
// the same: nobody takes single entries off.
static void push(uint32_t slot)
{
    hz3_assert(atomic_load_explicit(&hz3_arena.seg[slot].is_queued, memory_order_relaxed) == 1);
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
    hz3_assert(steps_begun > 0);
    atomic_signal_fence(memory_order_seq_cst);
    steps_begun--;
    atomic_signal_fence(memory_order_seq_cst);
    if (steps_begun == 0 && HZ3_UNLIKELY(list_is_half_copied)) {
        make_anew();
    }
}

static bool enter(uint32_t slot)
{
    hz3_assert(slot < atomic_load_explicit(&hz3_arena.slots_touched, memory_order_relaxed));
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

static bool has_dirty_pages(const Hz3SegMeta *meta)
{
    uint64_t dirty = 0;
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        dirty |= atomic_load_explicit(&meta->free_bits[w], memory_order_seq_cst) &
                 atomic_load_explicit(&meta->dirty_bits[w], memory_order_seq_cst);
    }
    return dirty != 0;
}

void hz3_ledger_requeue_if_dirty(uint32_t slot)
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
        hz3_ledger_requeue_if_dirty(slot);
    }
}

void hz3_ledger_fork_child(void)
{
    list_is_half_copied = true;
    if (steps_begun == 0) {
        make_anew();
    }
}

// --- the walk ----------------------------------------------------------------------------------------------------

uint32_t hz3_ledger_walk_begin(void)
{
    begin_steps(); // until the end of the walk some entries are in nobody's list
    uint32_t slot = atomic_exchange_explicit(&head, HZ3_PAGE_NONE, memory_order_seq_cst);
    uint32_t oldest = HZ3_PAGE_NONE;
    while (slot != HZ3_PAGE_NONE) {
        _Atomic uint32_t *next = &hz3_arena.seg[slot].next_queued;
        uint32_t older = atomic_load_explicit(next, memory_order_relaxed);
        hz3_assert(atomic_load_explicit(&hz3_arena.seg[slot].is_queued, memory_order_relaxed) == 1);
        atomic_store_explicit(next, oldest, memory_order_relaxed);
        oldest = slot;
        slot = older;
    }
    return oldest;
}

void hz3_ledger_walk_end(void)
{
    end_steps();
}

uint32_t hz3_ledger_next(uint32_t slot)
{
    hz3_assert(steps_begun > 0);
    return atomic_load_explicit(&hz3_arena.seg[slot].next_queued, memory_order_relaxed);
}

void hz3_ledger_put_back(uint32_t slot)
{
    push(slot);
}

void hz3_ledger_take_out(uint32_t slot)
{
    atomic_exchange_explicit(&hz3_arena.seg[slot].is_queued, 0, memory_order_seq_cst);
}
