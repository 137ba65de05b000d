// Included before hz3_segment_packing.c in the weak build: a processor whose loads may pass the store of a locked
// instruction before them, as with Arm's ldaxr and stlxr. On x86 they may not, so there nothing can tell whether the
// fence behind the clearing of hints is missing; this is how a test sees it.
//
// fetch_and keeps its store back. It goes through at the thread's next fence, locked instruction, store or seq_cst load
// in this file, or at any moment that suits another thread. Until then the others see the old value, the thread itself
// its own, and nobody changes a hint word: such a pair of instructions would have failed and begun again.
#ifndef HZ3_UNIT_WEAK_ATOMICS_H
#define HZ3_UNIT_WEAK_ATOMICS_H

#include "yield_atomics.h"

#include <stdbool.h>
#include <stdint.h>

// Lets the caller's store through, if one is kept.
void weak_fence(void);
// A pushed-through store and the locked instruction after it.
uint64_t weak_fetch_and(_Atomic uint64_t *word, uint64_t mask);
uint64_t weak_fetch_or(_Atomic uint64_t *word, uint64_t bits);
// Whether the caller's kept store is to this word; `value` is what it stores.
bool weak_kept_value(const void *word, uint64_t *value);

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_thread_fence

#define atomic_fetch_and_explicit(p, value, order) weak_fetch_and((p), (value))
#define atomic_fetch_or_explicit(p, value, order) weak_fetch_or((p), (value))
#define atomic_thread_fence(order) weak_fence()
#define atomic_store_explicit(p, value, order)                                                                         \
    (weak_fence(), unit_yield_point(), __atomic_store_n((p), (value), (order)))
#define atomic_load_explicit(p, order)                                                                                 \
    ({                                                                                                                 \
        if ((order) == memory_order_seq_cst) weak_fence();                                                             \
        unit_yield_point();                                                                                            \
        __typeof__(__atomic_load_n((p), (order))) weak_loaded = __atomic_load_n((p), (order));                         \
        uint64_t weak_value;                                                                                           \
        if (weak_kept_value((p), &weak_value)) weak_loaded = (__typeof__(weak_loaded))weak_value;                      \
        weak_loaded;                                                                                                   \
    })

#endif
