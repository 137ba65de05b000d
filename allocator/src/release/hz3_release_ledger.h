// The ledger: which segments may hold free dirty pages. An entry is a segment and not a range, and the list is global:
// whoever ticks can drain it, its maker may sleep, it cannot overflow, and ranges coalesce by being bits.
//
// Invariant: a segment with a page that is free and dirty is in the list (is_queued), or in the hands of somebody who
// drains it. A releaser publishes the page and then reads the flag; a drainer clears the flag and then reads the bits
// (seq_cst on both sides), so a release is seen by this drainer or enters the segment anew.
//
// Purging: claim the bits, tell the kernel, publish. A claimed page looks taken to everybody.
#ifndef HZ3_RELEASE_LEDGER_H
#define HZ3_RELEASE_LEDGER_H

#include "base/hz3_types.h"

// After free dirty pages of the slot were published. One load when the segment is in the ledger already.
void hz3_ledger_enter(uint32_t slot);

// How much one epoch may purge.
typedef struct Hz3PurgeLimits {
    uint32_t epoch;   // its number
    uint32_t min_age; // epochs that a page must have been free and untouched; 0: whatever is dirty goes
    uint64_t pages;   // checked between segments, so both may be passed by one segment's worth
    uint64_t calls;
} Hz3PurgeLimits;

// Purges what the ledger holds, within the limits; what is left stays in it. Returns the pages purged. Segments that
// are free and clean as a whole are closed. One caller at a time.
size_t hz3_ledger_purge(const Hz3PurgeLimits *limits);

// Purges every free dirty page of the arena, past the ledger and any limit. Concurrent calls share the work: each page
// is claimed by one of them. Returns the pages purged.
size_t hz3_release_purge_all(void);

bool hz3_ledger_is_empty(void);

// Segments that hold free dirty pages and are not in the ledger: 0 while nobody drains it.
uint32_t hz3_ledger_drops(void);

// Pages that look taken because somebody purges them, or opens or closes their slot; they will be free again in a
// moment. Rather too many than too few.
uint32_t hz3_release_pages_in_purging(void);

// By who takes pages for a moment: add before they look taken, sub after they are free again. In one thread.
void hz3_release_purging_add(uint32_t pages);
void hz3_release_purging_sub(uint32_t pages);

// The child's list is made anew: fork may have copied it half changed. At once, or when the forking thread, interrupted
// by the handler that forked, is through with what it is doing to the list.
void hz3_ledger_fork_child(void);

#endif
