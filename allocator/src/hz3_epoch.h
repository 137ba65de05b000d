// An epoch: what the middle layer did not need since the last one goes back to the page maps, and free resident pages
// go back to the kernel. One at a time. hz3_epoch_force() in hz3.h runs one now.
#ifndef HZ3_EPOCH_H
#define HZ3_EPOCH_H

#include "hz3_types.h"

// Everything that can go back, now: this thread's front, all transfer arrays and inboxes, freed mappings, dirty pages.
// Returns the pages given to the kernel.
size_t hz3_epoch_trim_all(void);

// The child's epoch is not the parent's: nobody runs one there.
void hz3_epoch_fork_child(void);

#endif
