// One drain runs at a time, under the drain lock. It takes the pointers to the slabs away and makes one membarrier for
// all of them. Then it owns each slab on which no operation was under way (proofs: hz3_rseq.h P3, hz3_front_thread.h).
// The marks and the pointers change under the slab lock, which fork takes too. So a fork sees each slab either in its
// place or seized.

#include "front/hz3_front_drain.h"

#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_shard.h"
#include "base/hz3_stats.h"
#include "front/hz3_front_cpu.h"
#include "front/hz3_front_thread.h"
#include "middle/hz3_central.h"

// A drain of all slabs tries this many times in all, while owners are inside operations. It yields in between, so that
// an owner that was preempted there can finish.
#define ROUNDS_MAX 32
// A fork yields this often to a drain before it gives up the slabs that the drain has seized.
#define FORK_YIELDS_MAX 1000
#define YIELD_US 20

#define FOR_EACH_SLAB(slab) for (Hz3Slab *slab = hz3_slab_first(); slab != NULL; slab = slab->next_made)

static bool belongs_to_somebody(const Hz3Slab *slab)
{
    return slab->cpu != HZ3_CPU_NONE || slab->owner != NULL;
}

// It holds nothing, and cannot get anything unnoticed, so nobody looks at it.
static bool is_parked(const Hz3Slab *slab)
{
    return atomic_load_explicit(&slab->is_parked, memory_order_relaxed);
}

// Puts the slab, or the one that always misses, where its CPU or thread looks for it. Under the slab lock.
static void point(Hz3Slab *slab, Hz3Slab *at)
{
    hz3_assert(at == slab || at == &hz3_slab_none);
    Hz3ThreadFront *owner = slab->owner;
    if (slab->cpu != HZ3_CPU_NONE) {
        hz3_cpu_point(slab, at);
    } else if (owner != NULL) { // in a fork's child it may just have gone
        atomic_store_explicit(&owner->slab, at, memory_order_release);
    }
}

static bool is_in_place(const Hz3Slab *slab)
{
    const Hz3ThreadFront *owner = slab->owner;
    return slab->cpu != HZ3_CPU_NONE
               ? hz3_cpu_points_to(slab)
               : owner != NULL && atomic_load_explicit(&owner->slab, memory_order_relaxed) == slab;
}

typedef struct Kinds {
    bool cpu;
    bool thread;
} Kinds;

// Makes the barriers that these kinds of slabs need between losing their pointers and being read. Returns those that
// the kernel made.
static Kinds barrier(Kinds needed)
{
    return (Kinds){
        .cpu = needed.cpu && hz3_os_membarrier(HZ3_OS_BARRIER_RSEQ),
        .thread = needed.thread && hz3_os_membarrier(HZ3_OS_BARRIER_PLAIN),
    };
}

static void note_kind(Kinds *kinds, const Hz3Slab *slab)
{
    kinds->cpu = kinds->cpu || slab->cpu != HZ3_CPU_NONE;
    kinds->thread = kinds->thread || slab->cpu == HZ3_CPU_NONE;
}

// Called after the pointer was taken away and the barriers in `passed` were made. A thread needs no barrier to know
// about its own slab.
static bool nobody_is_inside(const Hz3Slab *slab, Kinds passed)
{
    if (slab->cpu != HZ3_CPU_NONE) {
        return passed.cpu;
    }
    return slab->owner != NULL && (passed.thread || slab->owner == &hz3_self) &&
           atomic_load_explicit(&slab->owner->in_op, memory_order_acquire) == 0;
}

static bool only_keeps_slots(const Hz3Slab *slab)
{
    return slab->keeps_slots && hz3_slab_cached_bytes(slab) == 0;
}

static bool is_wanted(Hz3Slab *slab, Hz3FrontScope scope)
{
    switch (scope) {
    case HZ3_FRONT_IDLE:
        return hz3_slab_watch(slab) || only_keeps_slots(slab);
    case HZ3_FRONT_HERE:
        return (slab->cpu != HZ3_CPU_NONE || slab->owner == &hz3_self) && hz3_slab_watch(slab);
    case HZ3_FRONT_OWN:
        return slab->owner == &hz3_self || (slab->cpu != HZ3_CPU_NONE && slab->cpu == hz3_rseq_cpu());
    default:
        return hz3_slab_cached_bytes(slab) != 0;
    }
}

static Kinds seize(Hz3FrontScope scope)
{
    hz3_assert(hz3_lock_is_held(&hz3_slab_drain_lock));
    Kinds seized = {false, false};
    hz3_lock_acquire(&hz3_slab_lock);
    FOR_EACH_SLAB(slab)
    {
        if (belongs_to_somebody(slab) && !is_parked(slab) && is_wanted(slab, scope)) {
            hz3_assert(!slab->is_seized);
            // First, so that a fork in between finds the pointer in its place and leaves it there.
            slab->is_seized = true;
            slab->will_be_parked = false;
            point(slab, &hz3_slab_none);
            note_kind(&seized, slab);
        }
    }
    hz3_lock_release(&hz3_slab_lock);
    return seized;
}

static void put_back(void)
{
    hz3_lock_acquire(&hz3_slab_lock);
    FOR_EACH_SLAB(slab)
    {
        if (slab->is_seized) {
            slab->is_seized = false;
            if (slab->will_be_parked && slab->owner != NULL) {
                atomic_store_explicit(&slab->is_parked, true, memory_order_relaxed);
            } else {
                point(slab, slab);
            }
        }
    }
    hz3_lock_release(&hz3_slab_lock);
}

// Of a slab that was seized. An epoch gives its slots back when it is empty. Other drains leave them to a CPU, which is
// about to fill them again; where it does not, the next epoch finds them. Returns the bytes moved.
static size_t empty(Hz3Slab *slab, Hz3FrontScope scope)
{
    bool is_threads = slab->cpu == HZ3_CPU_NONE;
    uint32_t shard = is_threads ? hz3_shard_now() : hz3_shard_of_cpu((uint32_t)slab->cpu);
    size_t flushed = hz3_slab_flush(slab, shard, scope == HZ3_FRONT_IDLE || scope == HZ3_FRONT_HERE);
    bool is_empty = (flushed != 0 || slab->keeps_slots) && hz3_slab_cached_bytes(slab) == 0;
    bool loses_slots = is_empty && (scope == HZ3_FRONT_IDLE || (is_threads && scope != HZ3_FRONT_HERE));
    slab->keeps_slots = is_empty && !loses_slots;
    if (loses_slots) {
        hz3_slab_purge_slots(slab);
        slab->will_be_parked = scope == HZ3_FRONT_IDLE && is_threads;
    }
    return flushed;
}

// Returns the bytes moved. *busy: some slab was in use, so another round may get it.
static size_t drain_round(Hz3FrontScope scope, bool *busy)
{
    *busy = false;
    Kinds seized = seize(scope);
    if (!seized.cpu && !seized.thread) {
        return 0;
    }
    Kinds passed = barrier(seized);
    size_t bytes = 0;
    FOR_EACH_SLAB(slab)
    {
        if (!slab->is_seized) {
            continue;
        }
        hz3_assert(!is_in_place(slab));
        if (nobody_is_inside(slab, passed)) {
            bytes += empty(slab, scope);
        } else {
            *busy = *busy || passed.thread;
        }
    }
    put_back();
    return bytes;
}

static size_t drain_orphans(void)
{
    size_t bytes = 0;
    FOR_EACH_SLAB(slab)
    {
        if (slab->is_orphan) {
            bytes += hz3_slab_flush(slab, hz3_shard_now(), false);
            hz3_lock_acquire(&hz3_slab_lock);
            slab->is_orphan = false;
            hz3_slab_release(slab);
            hz3_lock_release(&hz3_slab_lock);
        }
    }
    return bytes;
}

size_t hz3_front_drain(Hz3FrontScope scope)
{
    hz3_lock_acquire(&hz3_slab_drain_lock);
    bool busy;
    size_t bytes = drain_orphans() + drain_round(scope, &busy);
    for (int i = 1; busy && scope == HZ3_FRONT_ALL && i < ROUNDS_MAX; i++) {
        hz3_os_pause(YIELD_US);
        bytes += drain_round(scope, &busy);
    }
    hz3_lock_release(&hz3_slab_drain_lock);
    return bytes;
}

size_t hz3_front_cached_bytes(void)
{
    size_t bytes = 0;
    FOR_EACH_SLAB(slab)
    {
        bytes += is_parked(slab) ? 0 : hz3_slab_cached_bytes(slab);
    }
    return bytes;
}

// --- fork --------------------------------------------------------------------------------------------------------

bool hz3_front_fork_prepare(void)
{
    return hz3_lock_fork_prepare(&hz3_slab_lock);
}

void hz3_front_fork_give_back(void)
{
    hz3_lock_fork_parent(&hz3_slab_lock);
}

// A running drain is given time to end, so that the child gets the objects it is moving. The wait has a limit: in a
// signal handler, the drain may be waiting for a lock that the forking thread itself holds.
void hz3_front_fork_begin(void)
{
    for (int i = 0; i < FORK_YIELDS_MAX && !hz3_lock_fork_prepare(&hz3_slab_drain_lock); i++) {
        hz3_os_pause(YIELD_US);
    }
}

void hz3_front_fork_cancel(void)
{
    hz3_lock_fork_parent(&hz3_slab_drain_lock);
}

// The drain that seized it may not have made its barrier yet.
static bool is_seized_cpu(const Hz3Slab *slab)
{
    return slab->is_seized && slab->cpu != HZ3_CPU_NONE;
}

// Runs under all leaf locks, so what is seized now stays so until the fork is over.
//
// fork copies memory page by page while other threads run. A slab without a pointer to it and without an operation
// under way does not change meanwhile, except by a drain that is waiting for a leaf lock. A drain takes
// objects out of a bin before it gives them away. So in the child no object is both in a bin and in the middle layer.
//
// Only a pointer that is in its place is taken away, and only that one is put back. The signal that led to this fork
// may have interrupted the same thread in a drain, just before or just after it took the pointer itself.
void hz3_front_fork_stop(void)
{
    Kinds stopped = {false, false};
    FOR_EACH_SLAB(slab)
    {
        slab->is_stopped = is_in_place(slab);
        if (slab->is_stopped) {
            point(slab, &hz3_slab_none);
        }
        if (slab->is_stopped || is_seized_cpu(slab)) {
            note_kind(&stopped, slab);
        }
    }
    Kinds passed = barrier(stopped);
    FOR_EACH_SLAB(slab)
    {
        slab->is_settled = (slab->is_stopped || is_seized_cpu(slab)) && nobody_is_inside(slab, passed);
    }
}

void hz3_front_fork_parent(void)
{
    FOR_EACH_SLAB(slab)
    {
        if (slab->is_stopped) {
            point(slab, slab);
        }
    }
    hz3_lock_fork_parent(&hz3_slab_drain_lock);
}

// For a slab of a thread that is not in the child. If its state can be trusted, the next drain empties it. That cannot
// happen here: the code that the signal interrupted may hold locks of the middle layer.
static void bereave(Hz3Slab *slab)
{
    slab->owner = NULL;
    slab->is_seized = false;
    slab->is_orphan = slab->is_settled || is_parked(slab);
    atomic_store_explicit(&slab->is_parked, false, memory_order_relaxed);
}

void hz3_front_fork_child(void)
{
    // The handler that forked interrupted this thread in a drain, which goes on and puts its pointers back itself.
    bool drain_goes_on = hz3_lock_is_mine(&hz3_slab_drain_lock);
    FOR_EACH_SLAB(slab)
    {
        bool drainer_has_gone = slab->is_seized && !drain_goes_on;
        if (slab->owner != NULL && slab->owner != &hz3_self) {
            bereave(slab);
        } else if (slab->cpu != HZ3_CPU_NONE && (slab->is_stopped || drainer_has_gone) && !slab->is_settled) {
            hz3_cpu_abandon(slab);
        } else if (slab->is_stopped || drainer_has_gone) {
            slab->is_seized = slab->is_seized && drain_goes_on;
            point(slab, slab);
        }
    }
    hz3_lock_fork_child(&hz3_slab_lock);
    hz3_lock_fork_child(&hz3_slab_drain_lock);
}
