#include "process/hz3_fork.h"

#include <pthread.h>
#include <signal.h>

#include "base/hz3_lock.h"
#include "base/hz3_os.h"
#include "base/hz3_stats.h"
#include "front/hz3_front_drain.h"
#include "hardened/hz3_harden_quarantine.h"
#include "large/hz3_harden_guard.h"
#include "large/hz3_mapping.h"
#include "large/hz3_span_cache.h"
#include "middle/hz3_central.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_in_purging.h"
#include "pages/hz3_ledger_list.h"
#include "policy/hz3_epoch.h"
#include "policy/hz3_mem_budget.h"
#include "policy/hz3_purger.h"
#include "process/hz3_vfork.h"

// Tries for the leaves, and how long others are let run in between: longer when a thread that holds one seems to have
// lost its CPU.
#define YIELDS_MAX 1000
#define YIELD_US 20
#define SLEEPS_MAX 20
#define SLEEP_US 1000

// glibc's lock of its list of streams, with the meaning its fork gives to it: taken before every lock of malloc. Who
// holds it may be waiting for a stream whose owner is waiting for malloc. fork itself comes to it after our handler.
__attribute__((weak)) void _IO_list_lock(void);
__attribute__((weak)) void _IO_list_unlock(void);
__attribute__((weak)) void _IO_list_resetlock(void);

// pthread_atfork, but for nobody: else the C library would drop the handlers when exit() finalises this library, while
// other threads still run and other libraries' destructors may fork.
#ifdef __GLIBC__
int(__register_atfork)(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library);
#endif

static sigset_t signals_before; // written under all leaf locks
static bool has_locked_streams; // likewise

// A single thread has nobody to wait for, and fork leaves the lock alone, which a signal handler may have interrupted.
static bool lock_streams(void)
{
    if (hz3_os_is_alone() || _IO_list_lock == NULL || _IO_list_unlock == NULL || _IO_list_resetlock == NULL) {
        return false;
    }
    _IO_list_lock();
    return true;
}

static void unlock_streams(bool are_locked)
{
    if (are_locked) {
        _IO_list_unlock();
    }
}

static bool prepare_hardened(void)
{
    return !HZ3_HARDENED || (hz3_quarantine_fork_prepare() && hz3_guard_fork_prepare());
}

static void give_back_hardened(void)
{
    if (HZ3_HARDENED) {
        hz3_guard_fork_parent();
        hz3_quarantine_fork_parent();
    }
}

static void give_back_all(void)
{
    give_back_hardened();
    hz3_front_fork_give_back();
    hz3_mapping_fork_parent();
    hz3_span_cache_fork_parent();
    hz3_central_fork_parent();
}

static bool take_leaves(void)
{
    for (uint32_t turns = 0; turns < YIELDS_MAX + SLEEPS_MAX; turns++) {
        if (hz3_central_fork_prepare() && hz3_span_cache_fork_prepare() && hz3_mapping_fork_prepare() &&
            hz3_front_fork_prepare() && prepare_hardened()) {
            return true;
        }
        give_back_all(); // another fork may be waiting for what we hold
        hz3_os_pause(turns < YIELDS_MAX ? YIELD_US : SLEEP_US);
    }
    return false;
}

// Signals stay blocked until after the fork: a handler that forks in between would give back what this fork took. A
// fork in the handler of a thread that holds a leaf waits for the streams, too, so they are not kept for ever by one
// that waits for the leaf.
static void prepare(void)
{
    sigset_t before;
    hz3_os_block_signals(&before);
    for (;;) {
        bool locked_streams = lock_streams();
        hz3_front_fork_begin();
        hz3_lock_fork_begin();
        if (take_leaves()) {
            has_locked_streams = locked_streams;
            break;
        }
        hz3_lock_fork_end(false);
        hz3_front_fork_cancel();
        unlock_streams(locked_streams);
        hz3_os_pause(SLEEP_US);
    }
    hz3_front_fork_stop();
    signals_before = before;
}

static void parent(void)
{
    sigset_t before = signals_before;
    bool locked_streams = has_locked_streams;
    hz3_front_fork_parent();
    give_back_all();
    hz3_lock_fork_end(false);
    unlock_streams(locked_streams);
    hz3_os_restore_signals(&before);
}

// Pages that another thread had claimed at this moment (a refill or a purge half done) stay claimed in the child: lost
// to it, but never owned twice.
static void child(void)
{
    hz3_stats_fork_child(); // first: what follows counts
    hz3_front_fork_child();
    hz3_vfork_fork_child();
    if (HZ3_HARDENED) {
        hz3_guard_fork_child();
        hz3_quarantine_fork_child();
    }
    hz3_mapping_fork_child();
    hz3_span_cache_fork_child();
    hz3_central_fork_child();
    hz3_mem_budget_fork_child();
    hz3_arena_fork_child();
    hz3_in_purging_fork_child();
    hz3_ledger_fork_child();
    hz3_epoch_fork_child();
    hz3_lock_fork_end(true);
    if (has_locked_streams) {
        _IO_list_resetlock(); // as fork has done
    }
    hz3_purger_fork_child();
    hz3_os_restore_signals(&signals_before);
}

// Other C libraries never drop them.
static int register_handlers(void)
{
#ifdef __GLIBC__
    return __register_atfork(prepare, parent, child, NULL);
#else
    return pthread_atfork(prepare, parent, child);
#endif
}

// A thread that a vfork child started would be its process's, and end with it.
bool hz3_fork_may_start_thread(void)
{
    return !hz3_vfork_is_child() && hz3_fork_register();
}

bool hz3_fork_register(void)
{
    static _Atomic uint32_t state; // 0 not registered, 1 about to be, 2 registered
    uint32_t before = 0;
    if (!atomic_compare_exchange_strong_explicit(&state, &before, 1, memory_order_relaxed, memory_order_relaxed)) {
        return before == 2;
    }
    bool done = register_handlers() == 0; // may allocate
    atomic_store_explicit(&state, done ? 2 : 0, memory_order_relaxed);
    return done;
}
