// Who runs the epochs when nobody calls hz3_epoch_force(): a background thread. It is started outside of every lock by
// the first allocation that finds HZ3_PURGER_START bytes open (so much can be dirty or cached), gets none of the
// program's signals, ticks while anything is dirty or cached, and else sleeps on a futex without a timeout: an idle
// program wakes up nobody. Never by a free: the C library frees the thread data of a cached stack under the lock that
// pthread_create takes. And never by a thread of low priority, which it might inherit.
//
// Slow paths run an epoch when one is due where there can be no such thread (HZ3_PURGER=0, RLIMIT_NPROC, seccomp), and
// as long as the process has one thread. For a second thread is not the library's to add: the kernel then refuses
// unshare() and setns(), the C library's locks cost more, and a sandbox may forbid what starting one takes.
//
// No wake-up is lost: the purger says that it sleeps, makes every running thread pass a barrier, and then looks once
// more whether something is pending; a slow path caches or frees first and then reads what the purger said. So either
// the purger sees what was cached, or the slow path sees that it must wake it.
#ifndef HZ3_PURGER_H
#define HZ3_PURGER_H

#include "base/hz3_types.h"

// The first three need nothing from a slow path.
typedef enum Hz3PurgerState {
    HZ3_PURGER_AWAKE,
    HZ3_PURGER_NEVER,  // HZ3_EPOCH_TICK_MS=0
    HZ3_PURGER_ENDED,  // the main thread has ended by pthread_exit, and the purger is about to
    HZ3_PURGER_NONE,   // not started yet
    HZ3_PURGER_ASLEEP, // until a slow path wakes it
    HZ3_PURGER_EVENTS, // no thread: slow paths look at the clock
    HZ3_PURGER_ALONE,  // likewise, until the process has more threads
} Hz3PurgerState;

extern HZ3_HIDDEN _Atomic uint32_t hz3_purger_state;
HZ3_COLD void hz3_purger_poll_slow(size_t mapped_bytes, bool may_start);

// Called at the end of every slow path, when whatever it moved is in its place; the caller holds no lock. Keep errno.
// taken: may start the purger; mapped_bytes: what is open outside of the arena, as far as the caller knows.
static inline void hz3_purger_poll_taken(size_t mapped_bytes)
{
    if (HZ3_UNLIKELY(atomic_load_explicit(&hz3_purger_state, memory_order_relaxed) >= HZ3_PURGER_NONE)) {
        hz3_purger_poll_slow(mapped_bytes, true);
    }
}

// freed: only wakes it.
static inline void hz3_purger_poll_freed(void)
{
    if (HZ3_UNLIKELY(atomic_load_explicit(&hz3_purger_state, memory_order_relaxed) >= HZ3_PURGER_ASLEEP)) {
        hz3_purger_poll_slow(0, false);
    }
}

// By the constructor.
void hz3_purger_init(void);
void hz3_purger_fork_child(void);

#endif
