// The front: a slab of array stacks in front of the middle layer, one per thread. malloc and free are the two inline
// functions here; whatever they can't do is one call into hz3_front_thread.c.
//
// A bin is an array of pointers that grows down from `empty` to `full`; `top` is the next object to hand out. One field
// changes per operation, so there is no count to keep in step. Threads without a slab (before the first call, after
// their end) point at a static slab whose bins are empty and full at once: both paths miss, and no other check is
// needed. Bins of tags that are no class are of the same kind: freeing an address with such a tag always takes the slow
// path.
#ifndef HZ3_FRONT_H
#define HZ3_FRONT_H

#include "hz3_arena.h"
#include "hz3_types.h"

typedef struct Hz3Bin {
    void **top;   // owner thread only; so are the other two
    void **empty; // top == empty: nothing cached. *empty may be read
    void **full;  // top == full: no room
    void *unused; // 32 bytes: the index is a shift
} Hz3Bin;

typedef struct Hz3Slab {
    Hz3Bin bins[HZ3_TAG_COUNT];
    struct Hz3Slab *next_pooled; // under the pool's lock
    void *slots[];
} Hz3Slab;

extern HZ3_TLS Hz3Slab *hz3_slab __attribute__((visibility("hidden")));

// Slow paths. refill: an object of `class`, or NULL and ENOMEM when neither arena nor kernel has memory. overflow:
// frees p, whatever its tag is; aborts with a message when nothing of ours begins at p.
HZ3_NOINLINE void *hz3_front_refill(uint32_t class);
HZ3_NOINLINE void hz3_front_overflow(void *p, Hz3Tag tag);

// NULL: the bin is empty. With the class and the size check in malloc(): 6 loads, 1 store, 2 branches, no call.
static inline void *hz3_front_pop(uint32_t class)
{
    Hz3Bin *bin = &hz3_slab->bins[class];
    void **top = bin->top;
    void *object = *top;
    if (HZ3_UNLIKELY(top == bin->empty)) {
        return NULL;
    }
    bin->top = top + 1;
    if (object == NULL) {
        __builtin_unreachable(); // bins never hold NULL; saves the callers' second test
    }
    return object;
}

static inline void *hz3_front_alloc(uint32_t class)
{
    void *object = hz3_front_pop(class);
    return HZ3_LIKELY(object != NULL) ? object : hz3_front_refill(class);
}

// p lies in the arena. With the range check in free(): 8 loads, 2 stores, 2 branches, no call.
static inline void hz3_front_free(void *p)
{
    size_t page = ((uintptr_t)p - hz3_arena.base) >> HZ3_PAGE_SHIFT;
    size_t tag = atomic_load_explicit(&hz3_arena.sc_tag[page], memory_order_relaxed);
    Hz3Bin *bin = &hz3_slab->bins[tag];
    void **top = bin->top;
    if (HZ3_UNLIKELY(top == bin->full)) {
        hz3_front_overflow(p, (Hz3Tag)tag);
        return;
    }
    top[-1] = p;
    bin->top = top - 1;
}

// Computes the layout of a slab and watches for the end of threads; after the size classes are ready.
void hz3_front_init(void);

// Moves everything that this thread caches into the middle layer; checks every object on the way.
void hz3_front_flush_self(void);

// Moves what slabs cache, whoever they belong to, into the middle layer; checks every object on the way. The caller
// holds no leaf lock. IDLE: only slabs in which nothing has moved since the call before the last one with IDLE. ALL:
// every slab; one whose owner is inside an operation is tried again a few times. Returns the bytes moved.
typedef enum Hz3FrontScope { HZ3_FRONT_IDLE, HZ3_FRONT_ALL } Hz3FrontScope;
size_t hz3_front_drain(Hz3FrontScope scope);
// Bytes of the objects that this thread caches.
size_t hz3_front_cached_bytes_self(void);

bool hz3_front_fork_prepare(void);
void hz3_front_fork_parent(void);
void hz3_front_fork_child(void);

#endif
