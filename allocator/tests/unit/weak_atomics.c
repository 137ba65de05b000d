#include <pthread.h>
#include <sched.h>
#include <stddef.h>

#include "weak_atomics.h"

#define PATIENCE 64 // turns until a thread lets another's store through

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    _Atomic uint64_t *word; // NULL: nothing is kept
    uint64_t value;
    const void *owner;
} kept; // under the lock

static const void *self(void)
{
    static _Thread_local char place;
    return &place;
}

static void let_through(void)
{
    if (kept.word != NULL) {
        __atomic_store_n(kept.word, kept.value, __ATOMIC_SEQ_CST);
        kept.word = NULL;
    }
}

// With the lock held nothing is kept. The thread's own store goes first; another's has some time.
static void lock_and_let_through(void)
{
    for (int turn = 0;; turn++) {
        pthread_mutex_lock(&lock);
        if (kept.word == NULL || kept.owner == self() || turn == PATIENCE) {
            let_through();
            return;
        }
        pthread_mutex_unlock(&lock);
        sched_yield();
    }
}

void weak_fence(void)
{
    pthread_mutex_lock(&lock);
    if (kept.owner == self()) {
        let_through();
    }
    pthread_mutex_unlock(&lock);
}

uint64_t weak_fetch_and(_Atomic uint64_t *word, uint64_t mask)
{
    lock_and_let_through();
    uint64_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    kept.word = word;
    kept.value = old & mask;
    kept.owner = self();
    pthread_mutex_unlock(&lock);
    unit_yield_point();
    return old;
}

uint64_t weak_fetch_or(_Atomic uint64_t *word, uint64_t bits)
{
    lock_and_let_through();
    uint64_t old = __atomic_fetch_or(word, bits, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&lock);
    return old;
}

bool weak_kept_value(const void *word, uint64_t *value)
{
    pthread_mutex_lock(&lock);
    bool is_kept = kept.word == word && kept.owner == self();
    *value = is_kept ? kept.value : 0;
    pthread_mutex_unlock(&lock);
    return is_kept;
}
