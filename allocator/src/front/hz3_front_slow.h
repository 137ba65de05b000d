// The front's slow paths, for both kinds of slabs. The inline operations of hz3_front.h, hz3_rseq.h and
// hz3_front_thread.h call them.
#ifndef HZ3_FRONT_SLOW_H
#define HZ3_FRONT_SLOW_H

#include "base/hz3_types.h"

// Chooses the front; after the size classes and the shards are ready.
void hz3_front_init(void);

// refill returns an object of the class, or NULL and ENOMEM when neither the arena nor the kernel has memory. overflow
// frees p, whatever its tag is; it ends the program with a message when no block of ours begins at p.
HZ3_NOINLINE void *hz3_front_refill(uint32_t cls);
HZ3_NOINLINE void hz3_front_overflow(void *p, Hz3Tag tag);

// Gives what this CPU or thread has cached to the middle layer, as any operation does: without a barrier for others.
// The caller holds no leaf lock.
void hz3_front_flush_own(void);

// free() of an object that seems to be in its bin: ends the program if it is.
HZ3_COLD void hz3_front_free_noted(void *object, Hz3Tag cls);

// For a block that its caller should own: true only if it is free already and lies in the bin of this CPU or thread.
// False proves nothing, because the thread may have changed its CPU.
bool hz3_front_holds(uint32_t cls, const void *p);

#endif
