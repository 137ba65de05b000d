// The front: slabs of object pointers in front of the middle layer. malloc and free are the two inline functions here;
// whatever they can't do is one call into hz3_front.c.
//
// In most builds the first try is the CPU front's (hz3_rseq.h); threads that it cannot serve miss there, and the slow
// path serves them from a slab of their own. Builds without a CPU front try the thread front at once.
#ifndef HZ3_FRONT_H
#define HZ3_FRONT_H

#include "base/hz3_types.h"
#include "front/hz3_front_thread.h"
#include "front/hz3_rseq.h"
#include "front/hz3_slab.h"
#include "pages/hz3_arena.h"

// Slow paths. refill returns an object of the class, or NULL and ENOMEM when neither the arena nor the kernel has
// memory. overflow frees p, whatever its tag is; it ends the program with a message when no block of ours begins at p.
HZ3_NOINLINE void *hz3_front_refill(uint32_t cls);
HZ3_NOINLINE void hz3_front_overflow(void *p, Hz3Tag tag);

// NULL: the bin is empty, or the operation was interrupted. After hz3_init() only.
static inline void *hz3_front_pop(size_t cls)
{
    return HZ3_FRONT_CPU ? hz3_rseq_pop(cls) : hz3_thread_pop(cls);
}

// With the size check and the class in malloc(): 7 loads, 2 stores, 2 branches, no call.
static inline void *hz3_front_alloc(size_t cls)
{
    void *object = hz3_front_pop(cls);
    return HZ3_LIKELY(object != NULL) ? object : hz3_front_refill((uint32_t)cls);
}

// p lies in the arena. With the range check in free(): 12 loads, 4 stores, 4 branches, no call.
static inline void hz3_front_free(void *p)
{
    size_t page = ((uintptr_t)p - hz3_arena.base) >> HZ3_PAGE_SHIFT;
    size_t tag = atomic_load_explicit(&hz3_arena.sc_tag[page], memory_order_relaxed);
    if (HZ3_UNLIKELY(!(HZ3_FRONT_CPU ? hz3_rseq_push(tag, p) : hz3_thread_push(tag, p)))) {
        hz3_front_overflow(p, (Hz3Tag)tag);
    }
}

// For a block that its caller should own: true only if it is free already and lies in the bin of this CPU or thread.
// False proves nothing, because the thread may have changed its CPU.
bool hz3_front_holds(uint32_t cls, const void *p);

// Chooses the front; after the size classes and the shards are ready.
void hz3_front_init(void);

// Moves cached objects of all CPUs and threads into the middle layer, which checks each of them, and returns the bytes
// moved. The caller holds no leaf lock.
//   IDLE  only bins in which nothing has moved since the call before the last one with IDLE
//   ALL   every slab; one whose owner is inside an operation is tried again a bounded number of times
//   OWN   the slab that serves the calling thread now
typedef enum Hz3FrontScope { HZ3_FRONT_IDLE, HZ3_FRONT_ALL, HZ3_FRONT_OWN } Hz3FrontScope;
size_t hz3_front_drain(Hz3FrontScope scope);

// Returns when the drain that runs now, if any, is over. The caller holds no lock.
void hz3_front_wait_for_drain(void);

// Bytes that all slabs cache. A snapshot.
size_t hz3_front_cached_bytes(void);

// Around a fork, from hz3_fork.c. begin: before any lock is taken. stop: with all leaf locks held, makes every slab
// stand still, so that the child's copy of it is whole.
void hz3_front_fork_begin(void);
void hz3_front_fork_cancel(void); // before stop
bool hz3_front_fork_prepare(void);
void hz3_front_fork_give_back(void);
void hz3_front_fork_stop(void);
void hz3_front_fork_parent(void);
void hz3_front_fork_child(void);

#endif
