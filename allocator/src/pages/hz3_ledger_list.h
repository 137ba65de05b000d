// The ledger: which segments may hold free dirty pages. An entry is a segment and not a range, and the list is global:
// any thread can drain it, its maker may sleep, it cannot overflow, and ranges coalesce by being bits.
//
// Invariant: a segment with a page that is free and dirty is in the list (is_queued), or a drainer has it in its hands.
// A releaser publishes the page and then reads the flag; a drainer clears the flag and then reads the bits (seq_cst on
// both sides). So a release is seen by this drainer or enters the segment anew.
#ifndef HZ3_LEDGER_LIST_H
#define HZ3_LEDGER_LIST_H

#include "base/hz3_types.h"

// After free dirty pages of the slot were published. One load when the segment is in the ledger already.
void hz3_ledger_enter(uint32_t slot);

bool hz3_ledger_is_empty(void);

// Segments that hold free dirty pages and are not in the ledger: 0 while nobody drains it.
uint32_t hz3_ledger_drops(void);

// A walk takes the whole list, oldest entry first, and does one of two things with each entry: puts it back as it is,
// or takes it out and looks at its pages. next: the entry after this one, or HZ3_PAGE_NONE; read it first.
uint32_t hz3_ledger_walk_begin(void);
uint32_t hz3_ledger_next(uint32_t slot);
void hz3_ledger_put_back(uint32_t slot);
void hz3_ledger_take_out(uint32_t slot);
void hz3_ledger_walk_end(void);

// After pages of the slot were claimed, or published although they are dirty.
void hz3_ledger_requeue_if_dirty(uint32_t slot);

// The child's list is made anew: fork may have copied it half changed. At once, or when the forking thread, interrupted
// by the handler that forked, is through with what it is doing to the list.
void hz3_ledger_fork_child(void);

#endif
