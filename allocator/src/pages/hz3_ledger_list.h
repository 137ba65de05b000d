// The ledger: which segments may hold free dirty pages. An entry is a segment and not a range, and the list is global:
// any thread can drain it, its maker may sleep, it cannot overflow, and ranges coalesce by being bits.
//
// Invariant: a segment with a page that is free and dirty is in the ledger (is_queued), or a drainer has it in its
// hands. A releaser publishes the page and then reads the flag; a drainer clears the flag and then reads the bits
// (seq_cst on both sides). So a release is seen by this drainer or enters the segment anew.
//
// An entry is in one of four places. Any thread links it to the list of fresh entries. The others are queues of whoever
// runs the epoch, and all entries of a queue wait equally long, so that the first one is due first:
//   WAITING  its pages must lie untouched until it is due
//   KEPT     the program came back to such pages soon after they had gone, so these wait longer
//   REFUSED  the kernel refused some of its pages
// A walk ends at the first entry that is not due, and what it has no budget for keeps its place. So an epoch costs what
// is fresh or due, and nobody's turn comes twice before another's.
#ifndef HZ3_LEDGER_LIST_H
#define HZ3_LEDGER_LIST_H

#include "base/hz3_types.h"

typedef enum Hz3LedgerQueue {
    HZ3_LEDGER_WAITING,
    HZ3_LEDGER_KEPT,
    HZ3_LEDGER_REFUSED,
    HZ3_LEDGER_QUEUES,
} Hz3LedgerQueue;

// After free dirty pages of the slot were published. Two loads when the segment is in the ledger already.
void hz3_ledger_enter(uint32_t slot);

bool hz3_ledger_is_empty(void);
bool hz3_ledger_queue_is_empty(Hz3LedgerQueue queue);

// Segments that hold free dirty pages and are not in the ledger: 0 while nobody drains it.
uint32_t hz3_ledger_drops(void);

// For asserts: what the two words of a segment may hold.
bool hz3_ledger_entry_is_valid(const Hz3SegMeta *meta);

// A walk, by one thread at a time. begin returns the fresh entries, oldest first. next: the entry after this one, or
// HZ3_PAGE_NONE; read it before the entry is appended. An entry that was taken from the fresh ones or popped is
// appended to a queue, or leaves the ledger unless it is dirty.
uint32_t hz3_ledger_walk_begin(void);
uint32_t hz3_ledger_next(uint32_t slot);
void hz3_ledger_append(Hz3LedgerQueue queue, uint32_t slot, uint32_t due_epoch);
void hz3_ledger_leave(uint32_t slot);
void hz3_ledger_walk_end(void);

// During a walk. first, last: HZ3_PAGE_NONE when the queue is empty. pop takes the first one.
uint32_t hz3_ledger_first(Hz3LedgerQueue queue);
uint32_t hz3_ledger_last(Hz3LedgerQueue queue);
void hz3_ledger_pop(Hz3LedgerQueue queue);
// After pages of the slot were published although they are dirty.
void hz3_ledger_append_if_absent(Hz3LedgerQueue queue, uint32_t slot, uint32_t due_epoch);

// The same outside of a walk: enters the slot among the fresh ones.
void hz3_ledger_requeue_if_dirty(uint32_t slot);

// The child's ledger is made anew: fork may have copied it half changed. At once, or when the forking thread,
// interrupted by the handler that forked, is through with what it is doing to the ledger. Costs nothing by itself: the
// first walk in the child looks for the segments that belong in it.
void hz3_ledger_fork_child(void);

#endif
