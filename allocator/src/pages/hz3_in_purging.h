// How many pages look taken because somebody purges them, or opens or closes their slot. They will be free again in a
// moment, so a thread that finds no pages may wait for them. Rather too many than too few.
#ifndef HZ3_IN_PURGING_H
#define HZ3_IN_PURGING_H

#include "base/hz3_types.h"

uint32_t hz3_in_purging_pages(void);

// For a thread that takes pages for a moment: it adds them before they look taken, and subtracts them itself when they
// are free again.
void hz3_in_purging_add(uint32_t pages);
void hz3_in_purging_sub(uint32_t pages);

// The child's count is the forking thread's share alone: the other threads are not there to take theirs off. At once,
// or when that share is 0, where the handler that forked has interrupted a purge.
void hz3_in_purging_fork_child(void);

#endif
