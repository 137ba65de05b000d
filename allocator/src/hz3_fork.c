#include "hz3_fork.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "hz3_central.h"
#include "hz3_epoch.h"
#include "hz3_front.h"
#include "hz3_harden_guard.h"
#include "hz3_harden_quarantine.h"
#include "hz3_lock.h"
#include "hz3_mapping.h"
#include "hz3_mem_budget.h"
#include "hz3_stats.h"

static sigset_t signals_before; // written under all leaf locks

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
    hz3_central_fork_parent();
}

// Signals stay blocked until after the fork: a handler that forks in between would give back what this fork took.
static void prepare(void)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    hz3_front_fork_begin();
    hz3_lock_fork_begin();
    while (!(hz3_central_fork_prepare() && hz3_mapping_fork_prepare() && hz3_front_fork_prepare() &&
             prepare_hardened())) {
        give_back_all(); // another fork may be waiting for what we hold
        sched_yield();
    }
    hz3_front_fork_stop();
    signals_before = before;
}

static void parent(void)
{
    sigset_t before = signals_before;
    hz3_front_fork_parent();
    give_back_all();
    hz3_lock_fork_end(false);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

// Pages that another thread had claimed at this moment (a refill or a purge half done) stay claimed in the child: lost
// to it, but never owned twice.
static void child(void)
{
    hz3_front_fork_child();
    if (HZ3_HARDENED) {
        hz3_guard_fork_child();
        hz3_quarantine_fork_child();
    }
    hz3_mapping_fork_child();
    hz3_central_fork_child();
    hz3_mem_budget_fork_child();
    hz3_epoch_fork_child();
    hz3_stats_fork_child();
    hz3_lock_fork_end(true);
    pthread_sigmask(SIG_SETMASK, &signals_before, NULL);
}

bool hz3_fork_register(void)
{
    static _Atomic uint32_t state; // 0 not registered, 1 about to be, 2 registered
    uint32_t before = 0;
    if (!atomic_compare_exchange_strong_explicit(&state, &before, 1, memory_order_relaxed, memory_order_relaxed)) {
        return before == 2;
    }
    bool done = pthread_atfork(prepare, parent, child) == 0; // may allocate
    atomic_store_explicit(&state, done ? 2 : 0, memory_order_relaxed);
    return done;
}
