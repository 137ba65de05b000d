#include "base/hz3_lock.h"

#include "base/hz3_log.h"
#include "base/hz3_os.h"

#define SPIN_MAX 64

// Bounds a sleep, in case the kernel refuses the wake that should have ended it. Tests raise it, so that a lost wake
// shows as a hang.
#ifndef HZ3_LOCK_SLEEP_MAX_MS
#define HZ3_LOCK_SLEEP_MAX_MS 1000
#endif

// A fork's prepare sets it in the rank field, which only the holder reads: only the fork's parent releases such a lock.
#define FORK_TOOK 0x40000000u

// Forks that are taking the leaves. While there are any, other threads wait here before they take a lock, or a fork
// beside busy threads might never find all leaves free at once.
static _Atomic uint32_t forks_pending;

static HZ3_TLS bool is_forking;
static HZ3_TLS uint32_t held_ranks; // debug builds: bit r set while a lock of rank r is held

uintptr_t hz3_self_id(void)
{
    _Static_assert(_Alignof(uint32_t) > HZ3_LOCK_CONTENDED, "the mark is no bit of an address");
    return (uintptr_t)&held_ranks;
}

// The half that the kernel compares and the mark lies in.
static _Atomic uint32_t *futex_of(Hz3Lock *lock)
{
    return (_Atomic uint32_t *)&lock->word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ && sizeof lock->word == 8);
}

static void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void note_acquired(Hz3Lock *lock)
{
    if (HZ3_DEBUG && (lock->rank & FORK_TOOK) == 0) {
        hz3_assert(lock->rank != 0);
        hz3_assert((held_ranks >> lock->rank) == 0);
        held_ranks |= 1u << lock->rank;
    }
}

// Once a thread has slept it takes the lock with the contended mark, because it cannot know whether others sleep too;
// the price is at most one needless wake.
static HZ3_NOINLINE void acquire_contended(Hz3Lock *lock, uintptr_t self)
{
    if ((atomic_load_explicit(&lock->word, memory_order_relaxed) & ~HZ3_LOCK_CONTENDED) == self) {
        // Ours already: taken for a fork, and another library's fork handler allocates meanwhile; or never to be had.
        hz3_require(lock->rank & FORK_TOOK, "malloc", NULL, "called from a signal handler that interrupted malloc");
        return;
    }
    for (int i = 0; i < SPIN_MAX; i++) {
        uintptr_t free_word = 0;
        if (atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_weak_explicit(&lock->word, &free_word, self, memory_order_acquire,
                                                  memory_order_relaxed)) {
            return;
        }
        cpu_relax();
    }
    for (;;) {
        uintptr_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
        if (word == 0) {
            if (atomic_compare_exchange_weak_explicit(&lock->word, &word, self | HZ3_LOCK_CONTENDED,
                                                      memory_order_acquire, memory_order_relaxed)) {
                return;
            }
            continue;
        }
        if ((word & HZ3_LOCK_CONTENDED) == 0 &&
            !atomic_compare_exchange_weak_explicit(&lock->word, &word, word | HZ3_LOCK_CONTENDED, memory_order_relaxed,
                                                   memory_order_relaxed)) {
            continue;
        }
        hz3_os_futex_wait_ms(futex_of(lock), (uint32_t)(word | HZ3_LOCK_CONTENDED), HZ3_LOCK_SLEEP_MAX_MS);
    }
}

static HZ3_COLD void wait_for_forks(void)
{
    uint32_t pending;
    while (!is_forking && (pending = atomic_load_explicit(&forks_pending, memory_order_relaxed)) != 0) {
        hz3_os_futex_wait_ms(&forks_pending, pending, HZ3_LOCK_SLEEP_MAX_MS);
    }
}

void hz3_lock_acquire(Hz3Lock *lock)
{
    if (HZ3_UNLIKELY(atomic_load_explicit(&forks_pending, memory_order_relaxed) != 0)) {
        wait_for_forks();
    }
    uintptr_t self = hz3_self_id();
    uintptr_t free_word = 0;
    if (HZ3_UNLIKELY(!atomic_compare_exchange_strong_explicit(&lock->word, &free_word, self, memory_order_acquire,
                                                              memory_order_relaxed))) {
        acquire_contended(lock, self);
    }
    note_acquired(lock);
}

bool hz3_lock_try(Hz3Lock *lock)
{
    uintptr_t free_word = 0;
    if (!atomic_compare_exchange_strong_explicit(&lock->word, &free_word, hz3_self_id(), memory_order_acquire,
                                                 memory_order_relaxed)) {
        return false;
    }
    note_acquired(lock);
    return true;
}

bool hz3_lock_is_held(const Hz3Lock *lock)
{
    return (atomic_load_explicit(&lock->word, memory_order_relaxed) & ~HZ3_LOCK_CONTENDED) == hz3_self_id();
}

static void release_word(Hz3Lock *lock)
{
    uintptr_t word = atomic_exchange_explicit(&lock->word, 0, memory_order_release);
    if (HZ3_UNLIKELY(word & HZ3_LOCK_CONTENDED)) {
        hz3_os_futex_wake(futex_of(lock), 1);
    }
}

void hz3_lock_release(Hz3Lock *lock)
{
    hz3_assert(hz3_lock_is_held(lock));
    if (HZ3_UNLIKELY(lock->rank & FORK_TOOK)) {
        return;
    }
    if (HZ3_DEBUG) {
        hz3_assert((held_ranks >> lock->rank & 1) != 0);
        held_ranks &= ~(1u << lock->rank);
    }
    release_word(lock);
}

void hz3_lock_fork_begin(void)
{
    hz3_assert(!is_forking);
    is_forking = true;
    atomic_fetch_add_explicit(&forks_pending, 1, memory_order_relaxed);
}

void hz3_lock_fork_end(bool in_child)
{
    hz3_assert(is_forking);
    is_forking = false;
    if (in_child) {
        atomic_store_explicit(&forks_pending, 0, memory_order_relaxed);
    } else if (atomic_fetch_sub_explicit(&forks_pending, 1, memory_order_relaxed) == 1) {
        hz3_os_futex_wake(&forks_pending, INT32_MAX);
    }
}

bool hz3_lock_fork_prepare(Hz3Lock *lock)
{
    uintptr_t self = hz3_self_id();
    uintptr_t owner = atomic_load_explicit(&lock->word, memory_order_relaxed) & ~HZ3_LOCK_CONTENDED;
    if (owner == self) {
        return true;
    }
    uintptr_t free_word = 0;
    if (!atomic_compare_exchange_strong_explicit(&lock->word, &free_word, self, memory_order_acquire,
                                                 memory_order_relaxed)) {
        return false;
    }
    lock->rank |= FORK_TOOK;
    return true;
}

bool hz3_lock_is_mine(const Hz3Lock *lock)
{
    return hz3_lock_is_held(lock) && (lock->rank & FORK_TOOK) == 0;
}

// Another thread that forks at the same time may have taken it.
void hz3_lock_fork_parent(Hz3Lock *lock)
{
    if (hz3_lock_is_held(lock) && (lock->rank & FORK_TOOK) != 0) {
        lock->rank &= ~FORK_TOOK;
        release_word(lock);
    }
}

void hz3_lock_fork_child(Hz3Lock *lock)
{
    bool still_held = hz3_lock_is_mine(lock);
    lock->rank &= ~FORK_TOOK;
    atomic_store_explicit(&lock->word, still_held ? hz3_self_id() : 0, memory_order_relaxed);
}
