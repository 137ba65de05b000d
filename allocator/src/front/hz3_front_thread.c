#include "front/hz3_front_thread.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_shard.h"
#include "base/hz3_stats.h"
#include "front/hz3_slab.h"

HZ3_TLS Hz3ThreadFront hz3_self = {.slab = &hz3_slab_none};

static pthread_key_t exit_key;
static bool exit_key_exists;

// Takes the slab from this thread; waits first for a drain that has seized it. Afterwards no pointer leads to the slab.
static void detach(Hz3Slab *slab)
{
    for (;;) {
        hz3_lock_acquire(&hz3_slab_lock);
        if (!slab->is_seized) {
            break;
        }
        hz3_lock_release(&hz3_slab_lock);
        hz3_slab_wait_for_drain();
    }
    hz3_assert(slab->owner == &hz3_self && slab->cpu == HZ3_CPU_NONE);
    atomic_store_explicit(&hz3_self.slab, &hz3_slab_none, memory_order_relaxed);
    atomic_store_explicit(&slab->is_parked, false, memory_order_relaxed);
    slab->owner = NULL;
    hz3_self.own = NULL;
    hz3_self.is_over = true; // destructors that run after this one still allocate, and pass the front by
    hz3_lock_release(&hz3_slab_lock);
}

static void thread_exit(void *arg)
{
    Hz3Slab *slab = arg;
    hz3_assert(hz3_self.own == slab);
    detach(slab);
    hz3_slab_flush(slab, hz3_shard_now(), false);
    hz3_lock_acquire(&hz3_slab_lock);
    hz3_slab_release(slab);
    hz3_lock_release(&hz3_slab_lock);
}

void hz3_thread_front_init(void)
{
    hz3_os_membarrier_register(HZ3_OS_BARRIER_PLAIN); // without it each thread can drain only its own slab
    exit_key_exists = pthread_key_create(&exit_key, thread_exit) == 0;
}

// A slab points to its owner, so it must be given back before the thread's memory is reused. A thread whose end we
// would not hear of gets no slab. pthread_setspecific() may allocate (in a process with many keys); the slab is ready
// for it.
static bool will_be_told_of_exit(Hz3Slab *slab)
{
    int saved_errno = errno; // a free() may have brought us here
    bool is_set = pthread_setspecific(exit_key, slab) == 0;
    errno = saved_errno;
    return is_set;
}

static HZ3_COLD void unpark(Hz3Slab *slab)
{
    hz3_lock_acquire(&hz3_slab_lock);
    hz3_assert(slab->owner == &hz3_self && !slab->is_seized);
    atomic_store_explicit(&slab->is_parked, false, memory_order_relaxed);
    atomic_store_explicit(&hz3_self.slab, slab, memory_order_release);
    hz3_lock_release(&hz3_slab_lock);
}

// A thread frees memory of the C library after its last destructor has run. A slab opened then would never be given
// back, so an ending thread opens none.
Hz3Slab *hz3_thread_open(void)
{
    Hz3Slab *slab = hz3_self.own;
    if (HZ3_LIKELY(slab != NULL)) {
        if (HZ3_UNLIKELY(atomic_load_explicit(&slab->is_parked, memory_order_relaxed))) {
            unpark(slab);
        }
        return slab;
    }
    if (hz3_self.is_over || !exit_key_exists || hz3_os_thread_is_ending()) {
        return NULL;
    }
    slab = hz3_slab_acquire();
    if (slab == NULL) {
        return NULL;
    }
    hz3_os_note_thread();
    hz3_lock_acquire(&hz3_slab_lock);
    hz3_assert(slab->owner == NULL && slab->cpu == HZ3_CPU_NONE && !slab->is_seized);
    slab->owner = &hz3_self;
    hz3_self.own = slab;
    atomic_store_explicit(&hz3_self.slab, slab, memory_order_release);
    hz3_lock_release(&hz3_slab_lock);
    hz3_stat_add(threads_started, 1);
    if (HZ3_UNLIKELY(!will_be_told_of_exit(slab))) {
        thread_exit(slab);
        hz3_self.is_over = false; // the next miss tries again
        return NULL;
    }
    return slab;
}

int hz3_thread_pop_batch(size_t cls, void **out, uint32_t want)
{
    Hz3Slab *slab = hz3_thread_enter();
    uint32_t count = hz3_slab_count(slab, (uint32_t)cls);
    uint32_t n = count < want ? count : want;
    void **top = atomic_load_explicit(&slab->top[cls], memory_order_relaxed);
    memcpy(out, top, n * sizeof *out);
    atomic_store_explicit(&slab->top[cls], top + n, memory_order_relaxed);
    hz3_thread_leave();
    return (int)n;
}

int hz3_thread_push_batch(size_t cls, void *const *objects, uint32_t n)
{
    Hz3Slab *slab = hz3_thread_enter();
    void **top = atomic_load_explicit(&slab->top[cls], memory_order_relaxed);
    void **full = atomic_load_explicit(&slab->full[cls], memory_order_relaxed);
    uint32_t room = top > full ? (uint32_t)(top - full) : 0;
    uint32_t pushed = n < room ? n : room;
    memcpy(top - pushed, objects + (n - pushed), pushed * sizeof *objects);
    atomic_store_explicit(&slab->top[cls], top - pushed, memory_order_relaxed);
    hz3_thread_leave();
    return (int)pushed;
}
