// An epoch: what the caches did not need since the last one goes back to the page maps, and free resident pages go back
// to the kernel. One at a time. In this order, each step feeding the next:
//   fronts       bins in which nothing moved go into the middle layer
//   S64          small: surplus of the depots → runs, empty runs → boundary
//   S65 medium   surplus of the medium depots → boundary
//   spans        freed ones that nobody took again → boundary
//   mappings     freed ones that nobody took again → kernel
//   S65 ledger   dirty pages, within the gate → kernel
//   S65 partial  free pages inside runs that live on → kernel
// Epochs are run by the purger thread or, where there is none, by slow paths (hz3_purger.h). The program can ask for
// one by hz3_epoch_force() of hz3.h.
#ifndef HZ3_EPOCH_H
#define HZ3_EPOCH_H

#include "base/hz3_types.h"

// Runs one epoch unless one is running. Returns false when it was idle and found nothing to move: another one would be
// in vain. After hz3_init(); the caller holds no lock.
bool hz3_epoch_tick(void);

// Says that a refill or a span has just claimed so many pages. Now and then this returns to the page maps what the
// caches did not need meanwhile, as an epoch does, so that the heap does not grow while memory of other sizes lies
// idle: a program may go through many sizes between two ticks. None happens where HZ3_EPOCH_TICK_MS is 0. The caller
// holds no lock.
void hz3_epoch_note_claimed(uint64_t pages);

// Purges about so many dirty pages, out of the ledger and then of the depots' surplus, unless an epoch is running,
// which does so itself. Returns the pages.
size_t hz3_epoch_purge_dirty(uint64_t pages);

// Something is left that an epoch to come may give back. A snapshot.
bool hz3_epoch_is_pending(void);

// What all fronts, depots and caches of spans hold goes back to the page maps. The caller holds no leaf lock.
void hz3_epoch_empty_caches(void);

// Everything that can go back, now: those caches, freed mappings, dirty pages. Returns the pages given to the kernel.
size_t hz3_epoch_trim_all(void);

// The child's epochs are not the parent's: nobody runs one there.
void hz3_epoch_fork_child(void);

#endif
