// The front: slabs of object pointers in front of the middle layer. malloc and free are the two inline functions here;
// whatever they can't do is one call into hz3_front_slow.c.
//
// In most builds the first try is the CPU front's (hz3_rseq.h); threads that it cannot serve miss there, and the slow
// path serves them from a slab of their own. Builds without a CPU front try the thread front at once.
#ifndef HZ3_FRONT_H
#define HZ3_FRONT_H

#include "base/hz3_types.h"
#include "front/hz3_front_slow.h"
#include "front/hz3_front_thread.h"
#include "front/hz3_rseq.h"
#include "front/hz3_slab.h"
#include "pages/hz3_arena.h"

// NULL: the bin is empty, or the operation was interrupted. After hz3_init() only.
static inline void *hz3_front_pop(size_t cls)
{
    return HZ3_FRONT_CPU ? hz3_rseq_pop(cls) : hz3_thread_pop(cls);
}

// With the size check and the class in malloc(): 8 loads, 2 stores, 2 branches, a prefetch, no call.
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

#endif
