// A futex lock that knows its owner, so that fork() inside a signal handler can tell the locks its own thread holds
// from those it has to wait for. Ranks give the one legal order; a debug build aborts on any other.
#ifndef HZ3_LOCK_H
#define HZ3_LOCK_H

#include "hz3_types.h"

// A thread may take a lock only while every lock it holds has a lower rank; locks of one rank are never held together
// (fork alone does that, in address order). No syscall but the futex's own happens under a lock, except under INIT and,
// where the kernel counts every page (strict overcommit), the mprotect of a new slot under BUDGET.
typedef enum Hz3LockRank {
    HZ3_RANK_INIT = 1,
    HZ3_RANK_BUDGET,
    HZ3_RANK_CENTRAL,
    HZ3_RANK_INBOX,
    HZ3_RANK_MAPPING,
    HZ3_RANK_SLAB_POOL,
} Hz3LockRank;

// word: 0 = free, else the owner's tid, with HZ3_LOCK_CONTENDED when somebody may be asleep on it.
typedef struct Hz3Lock {
    _Atomic uint32_t word;
    uint32_t rank;
} Hz3Lock;

#define HZ3_LOCK_CONTENDED 0x80000000u
#define HZ3_LOCK_INIT(r)                                                                                               \
    {                                                                                                                  \
        0, (r)                                                                                                         \
    }

void hz3_lock_acquire(Hz3Lock *lock);
bool hz3_lock_try(Hz3Lock *lock);
void hz3_lock_release(Hz3Lock *lock);

// Fork. prepare: take unless this thread holds it already. parent: release what prepare took. child: free, or re-owned
// by the child when the forking thread itself held it before.
void hz3_lock_fork_prepare(Hz3Lock *lock);
void hz3_lock_fork_parent(Hz3Lock *lock);
void hz3_lock_fork_child(Hz3Lock *lock, uint32_t parent_tid);

// The calling thread's id, cached. The cache is renewed in a fork's child.
uint32_t hz3_self_tid(void);
void hz3_self_tid_renew(void);

#endif
