// A futex lock that knows its owner, so that fork() inside a signal handler can tell the locks its own thread holds
// from those it has to wait for. Ranks give the one legal order; a debug build aborts on any other.
#ifndef HZ3_LOCK_H
#define HZ3_LOCK_H

#include "base/hz3_types.h"

// Order: INIT, then BUDGET, then GROW, then DRAIN, then one of the others, which are leaves: whoever waits for a leaf
// holds no other leaf, and who holds one gives it back without waiting for anybody. fork takes all leaves or none, so
// that a fork in a signal handler, whose own thread may hold one, ends too. The holders of BUDGET and DRAIN wait for
// leaves; fork leaves BUDGET and GROW alone, and INIT, which a running program no longer takes, and tries DRAIN before
// the leaves for a bounded time. No syscall but the futex's own happens under a lock, except under INIT, the mmaps of
// the arena's tables under GROW, what a drain does under DRAIN (membarrier, the madvise of an emptied slab's slots,
// pauses), and what a reclaim does under BUDGET: the mmaps of a new slot, purging under HZ3_PAGE_STEAL=0, waiting for a
// purge.
typedef enum Hz3LockRank {
    HZ3_RANK_INIT = 1,
    HZ3_RANK_BUDGET,
    HZ3_RANK_GROW,
    HZ3_RANK_DRAIN,
    HZ3_RANK_LEAF,
} Hz3LockRank;

// word: 0 = free, else the owner's id, with HZ3_LOCK_CONTENDED when somebody may be asleep on it. Sleepers compare its
// lower half. Two owners may have that in common, but it has the mark then, so each of them wakes a sleeper.
typedef struct Hz3Lock {
    _Atomic uintptr_t word;
    uint32_t rank;
} Hz3Lock;

#define HZ3_LOCK_CONTENDED ((uintptr_t)1)
#define HZ3_LOCK_INIT(r)                                                                                               \
    {                                                                                                                  \
        0, (r)                                                                                                         \
    }

void hz3_lock_acquire(Hz3Lock *lock);
bool hz3_lock_try(Hz3Lock *lock);
void hz3_lock_release(Hz3Lock *lock);

// Fork. begin: other threads take no further lock until end. prepare: takes the lock unless this thread holds it
// already; false when another one does: then all that was prepared must be given back before the next try. Until parent
// or child, acquire and release by the forking thread pass a prepared lock by, so that fork handlers of other libraries
// may allocate. parent: releases what prepare took. child: frees the lock unless the forking thread itself held it
// before. end: after all of them.
void hz3_lock_fork_begin(void);
void hz3_lock_fork_end(bool in_child);
bool hz3_lock_fork_prepare(Hz3Lock *lock);
void hz3_lock_fork_parent(Hz3Lock *lock);
void hz3_lock_fork_child(Hz3Lock *lock);
// True when this thread took the lock itself, not for a fork.
bool hz3_lock_is_mine(const Hz3Lock *lock);
// True when this thread has the lock, for a fork or not, and so may use what it protects.
bool hz3_lock_is_held(const Hz3Lock *lock);

// The calling thread's id: an address that only it has while it lives, and keeps when it goes on as a fork's child. The
// kernel's tid changes then, and a lock that it was just taking would be entered under the old one.
uintptr_t hz3_self_id(void);

#endif
