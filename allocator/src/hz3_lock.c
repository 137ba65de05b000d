#include "hz3_lock.h"

#include "hz3_log.h"
#include "hz3_os.h"

#define SPIN_MAX 64

// Set in the rank field by a fork's prepare, for the holder's eyes only: to be released by the fork's parent and by
// nobody else.
#define FORK_TOOK 0x40000000u

static HZ3_TLS uint32_t self_tid;
static HZ3_TLS uint32_t held_ranks; // debug builds: bit r set while a lock of rank r is held

uint32_t hz3_self_tid(void)
{
    if (HZ3_UNLIKELY(self_tid == 0)) {
        self_tid = hz3_os_tid();
    }
    return self_tid;
}

void hz3_self_tid_renew(void)
{
    self_tid = hz3_os_tid();
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
static HZ3_NOINLINE void acquire_contended(Hz3Lock *lock, uint32_t self)
{
    if ((atomic_load_explicit(&lock->word, memory_order_relaxed) & ~HZ3_LOCK_CONTENDED) == self) {
        // Ours already: taken for a fork, and another library's fork handler allocates meanwhile; or never to be had.
        hz3_require(lock->rank & FORK_TOOK, "malloc", NULL, "called from a signal handler that interrupted malloc");
        return;
    }
    for (int i = 0; i < SPIN_MAX; i++) {
        uint32_t free_word = 0;
        if (atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_weak_explicit(&lock->word, &free_word, self, memory_order_acquire,
                                                  memory_order_relaxed)) {
            return;
        }
        cpu_relax();
    }
    for (;;) {
        uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
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
        hz3_os_futex_wait(&lock->word, word | HZ3_LOCK_CONTENDED);
    }
}

void hz3_lock_acquire(Hz3Lock *lock)
{
    uint32_t self = hz3_self_tid();
    uint32_t free_word = 0;
    if (HZ3_UNLIKELY(!atomic_compare_exchange_strong_explicit(&lock->word, &free_word, self, memory_order_acquire,
                                                              memory_order_relaxed))) {
        acquire_contended(lock, self);
    }
    note_acquired(lock);
}

bool hz3_lock_try(Hz3Lock *lock)
{
    uint32_t free_word = 0;
    if (!atomic_compare_exchange_strong_explicit(&lock->word, &free_word, hz3_self_tid(), memory_order_acquire,
                                                 memory_order_relaxed)) {
        return false;
    }
    note_acquired(lock);
    return true;
}

static void release_word(Hz3Lock *lock)
{
    uint32_t word = atomic_exchange_explicit(&lock->word, 0, memory_order_release);
    if (HZ3_UNLIKELY(word & HZ3_LOCK_CONTENDED)) {
        hz3_os_futex_wake_one(&lock->word);
    }
}

void hz3_lock_release(Hz3Lock *lock)
{
    if (HZ3_DEBUG) {
        hz3_assert((atomic_load_explicit(&lock->word, memory_order_relaxed) & ~HZ3_LOCK_CONTENDED) == hz3_self_tid());
    }
    if (HZ3_UNLIKELY(lock->rank & FORK_TOOK)) {
        return;
    }
    if (HZ3_DEBUG) {
        held_ranks &= ~(1u << lock->rank);
    }
    release_word(lock);
}

bool hz3_lock_fork_prepare(Hz3Lock *lock)
{
    uint32_t self = hz3_self_tid();
    uint32_t owner = atomic_load_explicit(&lock->word, memory_order_relaxed) & ~HZ3_LOCK_CONTENDED;
    if (owner == self) {
        return true;
    }
    uint32_t free_word = 0;
    if (!atomic_compare_exchange_strong_explicit(&lock->word, &free_word, self, memory_order_acquire,
                                                 memory_order_relaxed)) {
        return false;
    }
    lock->rank |= FORK_TOOK;
    return true;
}

void hz3_lock_fork_parent(Hz3Lock *lock)
{
    if (lock->rank & FORK_TOOK) {
        lock->rank &= ~FORK_TOOK;
        release_word(lock);
    }
}

void hz3_lock_fork_child(Hz3Lock *lock, uint32_t parent_tid)
{
    uint32_t owner = atomic_load_explicit(&lock->word, memory_order_relaxed) & ~HZ3_LOCK_CONTENDED;
    bool still_held = owner == parent_tid && (lock->rank & FORK_TOOK) == 0;
    lock->rank &= ~FORK_TOOK;
    atomic_store_explicit(&lock->word, still_held ? hz3_self_tid() : 0, memory_order_relaxed);
}
