#include "pages/hz3_ledger_list.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_stats.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_segment.h"

static _Atomic uint32_t head = HZ3_PAGE_NONE; // newest fresh entry

// What is_queued holds for a segment that is in the ledger. A fork's child counts up, so that none is in its own.
static _Atomic uint32_t generation = 1;
// The next walk enters every segment that has dirty pages.
static _Atomic bool must_search;

// By whoever walks. Atomic, because others ask whether there is anything at all.
typedef struct Queue {
    _Atomic uint32_t first;
    uint32_t last;
} Queue;
static Queue queues[HZ3_LEDGER_QUEUES] = {[0 ... HZ3_LEDGER_QUEUES - 1] = {HZ3_PAGE_NONE, HZ3_PAGE_NONE}};

static bool is_queued(const Hz3SegMeta *meta)
{
    return atomic_load_explicit(&meta->is_queued, memory_order_seq_cst) ==
           atomic_load_explicit(&generation, memory_order_relaxed);
}

// By whoever has set is_queued. Where the head was taken and has come back meanwhile (ABA), linking to it is right all
// the same: nobody takes single entries off.
static void push(uint32_t slot)
{
    hz3_assert(is_queued(&hz3_arena.seg[slot]));
    uint32_t next = atomic_load_explicit(&head, memory_order_relaxed);
    do {
        atomic_store_explicit(&hz3_arena.seg[slot].next_queued, next, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(&head, &next, slot, memory_order_seq_cst, memory_order_relaxed));
}

// Whether this thread is between two steps that belong together: a signal handler that forks then must not make the
// ledger anew under it. The child does so at the end of the last step.
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

// True for the one thread that may link the segment.
static bool set_queued(Hz3SegMeta *meta)
{
    uint32_t now = atomic_load_explicit(&generation, memory_order_relaxed);
    return atomic_exchange_explicit(&meta->is_queued, now, memory_order_seq_cst) != now;
}

static bool enter(uint32_t slot)
{
    hz3_assert(slot < atomic_load_explicit(&hz3_arena.slots_touched, memory_order_relaxed));
    Hz3SegMeta *meta = &hz3_arena.seg[slot];
    if (is_queued(meta)) {
        return false;
    }
    begin_steps();
    bool is_new = set_queued(meta);
    if (is_new) {
        push(slot);
    }
    end_steps();
    return is_new;
}

void hz3_ledger_enter(uint32_t slot)
{
    if (hz3_knobs.S65_RELEASE_LEDGER && enter(slot)) {
        hz3_stat_add(ledger_enq, 1);
    }
}

bool hz3_ledger_queue_is_empty(Hz3LedgerQueue queue)
{
    return atomic_load_explicit(&queues[queue].first, memory_order_relaxed) == HZ3_PAGE_NONE;
}

bool hz3_ledger_is_empty(void)
{
    bool is_empty = atomic_load_explicit(&head, memory_order_seq_cst) == HZ3_PAGE_NONE &&
                    !atomic_load_explicit(&must_search, memory_order_relaxed);
    for (uint32_t q = 0; q < HZ3_LEDGER_QUEUES; q++) {
        is_empty = is_empty && hz3_ledger_queue_is_empty((Hz3LedgerQueue)q);
    }
    return is_empty;
}

void hz3_ledger_requeue_if_dirty(uint32_t slot)
{
    if (hz3_knobs.S65_RELEASE_LEDGER && hz3_segment_has_dirty_pages(&hz3_arena.seg[slot]) && enter(slot)) {
        hz3_stat_add(ledger_requeued, 1);
    }
}

uint32_t hz3_ledger_drops(void)
{
    uint32_t drops = 0;
    HZ3_FOR_EACH_SLOT(slot)
    {
        const Hz3SegMeta *meta = &hz3_arena.seg[slot];
        drops += hz3_knobs.S65_RELEASE_LEDGER && hz3_segment_has_dirty_pages(meta) && !is_queued(meta);
    }
    return atomic_load_explicit(&must_search, memory_order_relaxed) ? 0 : drops;
}

bool hz3_ledger_entry_is_valid(const Hz3SegMeta *meta)
{
    uint32_t next = atomic_load_explicit(&meta->next_queued, memory_order_relaxed);
    return atomic_load_explicit(&meta->is_queued, memory_order_relaxed) <=
               atomic_load_explicit(&generation, memory_order_relaxed) &&
           (next < hz3_arena.slots || next == HZ3_PAGE_NONE);
}

static void make_anew(void)
{
    list_is_half_copied = false;
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
    atomic_store_explicit(&head, HZ3_PAGE_NONE, memory_order_relaxed);
    for (uint32_t q = 0; q < HZ3_LEDGER_QUEUES; q++) {
        atomic_store_explicit(&queues[q].first, HZ3_PAGE_NONE, memory_order_relaxed);
        queues[q].last = HZ3_PAGE_NONE;
    }
    atomic_store_explicit(&must_search, true, memory_order_relaxed);
}

void hz3_ledger_fork_child(void)
{
    list_is_half_copied = true;
    if (steps_begun == 0) {
        make_anew();
    }
}

// --- the walk ----------------------------------------------------------------------------------------------------

static void search(void)
{
    atomic_store_explicit(&must_search, false, memory_order_relaxed);
    HZ3_FOR_EACH_SLOT(slot)
    {
        hz3_ledger_requeue_if_dirty(slot);
    }
}

uint32_t hz3_ledger_walk_begin(void)
{
    begin_steps(); // until the end of the walk some entries are in nobody's list
    if (HZ3_UNLIKELY(atomic_load_explicit(&must_search, memory_order_relaxed))) {
        search();
    }
    uint32_t slot = atomic_exchange_explicit(&head, HZ3_PAGE_NONE, memory_order_seq_cst);
    uint32_t oldest = HZ3_PAGE_NONE;
    while (slot != HZ3_PAGE_NONE) {
        _Atomic uint32_t *next = &hz3_arena.seg[slot].next_queued;
        uint32_t older = atomic_load_explicit(next, memory_order_relaxed);
        hz3_assert(is_queued(&hz3_arena.seg[slot]));
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

void hz3_ledger_append(Hz3LedgerQueue queue, uint32_t slot, uint32_t due_epoch)
{
    hz3_assert(steps_begun > 0 && is_queued(&hz3_arena.seg[slot]));
    Queue *q = &queues[queue];
    Hz3SegMeta *meta = &hz3_arena.seg[slot];
    atomic_store_explicit(&meta->due_epoch, due_epoch, memory_order_relaxed);
    atomic_store_explicit(&meta->next_queued, HZ3_PAGE_NONE, memory_order_relaxed);
    if (hz3_ledger_queue_is_empty(queue)) {
        atomic_store_explicit(&q->first, slot, memory_order_relaxed);
    } else {
        atomic_store_explicit(&hz3_arena.seg[q->last].next_queued, slot, memory_order_relaxed);
    }
    q->last = slot;
}

void hz3_ledger_leave(uint32_t slot)
{
    hz3_assert(steps_begun > 0);
    atomic_exchange_explicit(&hz3_arena.seg[slot].is_queued, 0, memory_order_seq_cst);
    hz3_ledger_requeue_if_dirty(slot);
}

void hz3_ledger_append_if_absent(Hz3LedgerQueue queue, uint32_t slot, uint32_t due_epoch)
{
    if (hz3_knobs.S65_RELEASE_LEDGER && set_queued(&hz3_arena.seg[slot])) {
        hz3_ledger_append(queue, slot, due_epoch);
        hz3_stat_add(ledger_requeued, 1);
    }
}

uint32_t hz3_ledger_first(Hz3LedgerQueue queue)
{
    return atomic_load_explicit(&queues[queue].first, memory_order_relaxed);
}

uint32_t hz3_ledger_last(Hz3LedgerQueue queue)
{
    return hz3_ledger_queue_is_empty(queue) ? HZ3_PAGE_NONE : queues[queue].last;
}

void hz3_ledger_pop(Hz3LedgerQueue queue)
{
    uint32_t slot = hz3_ledger_first(queue);
    hz3_assert(steps_begun > 0 && slot != HZ3_PAGE_NONE);
    atomic_store_explicit(&queues[queue].first, hz3_ledger_next(slot), memory_order_relaxed);
}
