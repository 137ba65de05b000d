// Draining the slabs of other CPUs and threads, and keeping all slabs whole across fork.
#ifndef HZ3_FRONT_DRAIN_H
#define HZ3_FRONT_DRAIN_H

#include "base/hz3_types.h"

// Moves cached objects of all CPUs and threads into the middle layer, which checks each of them, and returns the bytes
// moved. The caller holds no leaf lock.
//   IDLE  only bins in which nothing has moved since the call before the last one with IDLE
//   HERE  as IDLE, of the CPUs and of the calling thread; other threads may only be waiting for a CPU. It parks nothing
//   ALL   every slab; one whose owner is inside an operation is tried again a bounded number of times
//   OWN   the slab that serves the calling thread now
typedef enum Hz3FrontScope { HZ3_FRONT_IDLE, HZ3_FRONT_HERE, HZ3_FRONT_ALL, HZ3_FRONT_OWN } Hz3FrontScope;
size_t hz3_front_drain(Hz3FrontScope scope);

// Bytes that all slabs cache. A snapshot.
size_t hz3_front_cached_bytes(void);

// Around a fork, from hz3_fork.c. begin: before any lock is taken. stop: with all leaf locks held, makes every slab
// stand still, so that the child's copy of it is whole.
void hz3_front_fork_begin(void);
void hz3_front_fork_cancel(void); // before stop
bool hz3_front_fork_prepare(void);
void hz3_front_fork_give_back(void);
void hz3_front_fork_stop(void);
void hz3_front_fork_parent(void);
void hz3_front_fork_child(void);

#endif
