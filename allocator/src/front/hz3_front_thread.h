// The thread front: a slab belongs to the thread that uses it, and any thread may seize it. The two exclude each other
// by Dekker's algorithm (1965) in its asymmetric form (Dice et al. 2001), whose cost falls on the seizer alone:
//
//   owner                           seizer
//   in_op = 1                       owner->slab = none
//   light barrier                   membarrier
//   slab = self.slab                if in_op == 0 (acquire): the slab is the seizer's; use it, put the pointer back
//   use the slab                    else: put the pointer back and skip this slab
//   in_op = 0 (release)
//
// The light barrier is the compiler's; the membarrier gives the processor's part to both sides.
//
// Invariant: a seizer that reads in_op == 0 after its barrier is alone. Say an operation loaded the old pointer. It did
// so before the barrier reached its CPU, and its in_op = 1 is earlier in program order, so that store is visible after
// the barrier. in_op is 0 again only when the operation is over and everything it stored is visible. An operation that
// begins later loads `none` and misses.
//
// The owner never waits while in_op is 1. If a signal interrupts an operation, its slab is skipped while the handler
// runs.
#ifndef HZ3_FRONT_THREAD_H
#define HZ3_FRONT_THREAD_H

#include "front/hz3_front_slow.h"
#include "front/hz3_slab.h"

struct Hz3ThreadFront {
    Hz3Slab *_Atomic slab; // `own`, or hz3_slab_none; exchanged under the slab lock
    Hz3Slab *own;          // by the thread; NULL before its first call and after its end
    _Atomic uint8_t in_op; // by the thread: 1 while it is inside an operation
    bool is_over;          // the slab was given back: what the thread still does passes the front by
};

extern HZ3_HIDDEN HZ3_TLS Hz3ThreadFront hz3_self;

// ThreadSanitizer sees neither compiler barriers nor membarrier, so its builds pay for the real one.
#ifdef __SANITIZE_THREAD__
#define HZ3_ASYM_LIGHT() atomic_thread_fence(memory_order_seq_cst)
#else
#define HZ3_ASYM_LIGHT() atomic_signal_fence(memory_order_seq_cst)
#endif

static inline Hz3Slab *hz3_thread_enter(void)
{
    atomic_store_explicit(&hz3_self.in_op, 1, memory_order_relaxed);
    HZ3_ASYM_LIGHT();
    return atomic_load_explicit(&hz3_self.slab, memory_order_acquire);
}

static inline void hz3_thread_leave(void)
{
    atomic_store_explicit(&hz3_self.in_op, 0, memory_order_release);
}

// NULL: the bin is empty.
static inline void *hz3_thread_pop(size_t cls)
{
    Hz3Slab *slab = hz3_thread_enter();
    void **top = atomic_load_explicit(&slab->top[cls], memory_order_relaxed);
    void *object = *top;
    if (HZ3_UNLIKELY(object == NULL)) { // *empty, and nothing in a bin, is NULL
        hz3_thread_leave();
        return NULL;
    }
    atomic_store_explicit(&slab->top[cls], top + 1, memory_order_relaxed);
    hz3_thread_leave();
    hz3_prefetch_next(top + 1);
    return object;
}

// False: the bin is full. It detects the same double frees and interior pointers as hz3_rseq_push.
static inline bool hz3_thread_push(size_t cls, void *object)
{
    Hz3Slab *slab = hz3_thread_enter();
    void **top = atomic_load_explicit(&slab->top[cls], memory_order_relaxed);
    if (HZ3_UNLIKELY(top <= atomic_load_explicit(&slab->full[cls], memory_order_relaxed))) {
        hz3_thread_leave();
        return false;
    }
    if (HZ3_UNLIKELY(((uintptr_t)object & slab->never_set[cls]) != 0)) {
        hz3_slab_die_interior(object);
        return true;
    }
    uint32_t index = hz3_freed_index(object);
    void **noted = atomic_load_explicit(&slab->freed[index], memory_order_relaxed);
    if (HZ3_UNLIKELY(*(noted < top ? top : noted) == object)) {
        hz3_thread_leave();
        hz3_front_free_noted(object, (Hz3Tag)cls);
        return true;
    }
    atomic_store_explicit(&slab->freed[index], top - 1, memory_order_relaxed);
    top[-1] = object;
    atomic_store_explicit(&slab->top[cls], top - 1, memory_order_relaxed);
    hz3_thread_leave();
    return true;
}

// They do what hz3_rseq_pop_batch and hz3_rseq_push_batch do, and are never aborted.
int hz3_thread_pop_batch(size_t cls, void **out, uint32_t want);
int hz3_thread_push_batch(size_t cls, void *const *objects, uint32_t n);

void hz3_thread_front_init(void);
// This thread's slab, opened if need be. NULL: the thread is ending, or it cannot have a slab now.
Hz3Slab *hz3_thread_open(void);

#endif
