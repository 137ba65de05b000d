// The kernel below the ledger and its purge, for ledger_test and purge_test: a test sees what is asked of it, and it
// refuses on demand. Epochs run only when a test calls for one.
//
// A program that links this replaces the calls of UNIT_WRAP_PURGES (unit.mk).
#ifndef HZ3_UNIT_PURGE_KERNEL_H
#define HZ3_UNIT_PURGE_KERNEL_H

#include "support.h"

#include "arena_support.h"

#define SHARD 0
#define FOR_EVER UINT64_MAX

// Ranges that begin in these pages are refused.
void refuse(uint32_t page, uint32_t pages);
extern uint64_t us_a_call; // by the clock that the allocator reads
extern bool forks_inside;  // as in a child of a signal handler that comes amid the next call

extern uint32_t ranges_seen;
extern uint32_t purged_while_free;  // ranges with a page that somebody could claim
extern uint32_t seen_in_purging;    // pages, in the last call
extern uint32_t seen_while_closing; // the same, as a slot was closed
extern size_t longest_call;         // bytes

// Pages with something in them.
uint32_t claim(uint32_t pages);
Hz3SegMeta *segment_of(uint32_t page);
bool is_clean(uint32_t page, uint32_t pages);

size_t purge_everything(void);
size_t purge_what_was_refused(void);
void fork_child(void);

// Before all tests: as long as this page is held its segment stays open, whoever else allocates.
int hold_a_page(void **state);
// Before each test: the ledger is empty, and nothing is refused.
int purge_set_up(void **state);

#endif
