// The CPU front: a slab belongs to a CPU, so a sleeping thread holds nothing. Its operations are hz3_rseq.h's sections.
#ifndef HZ3_FRONT_CPU_H
#define HZ3_FRONT_CPU_H

#include "base/hz3_log.h"
#include "front/hz3_rseq.h"
#include "front/hz3_slab.h"

// Decides which front serves this process. Where HZ3_FRONT=cpu is asked for and not possible, a message says why.
void hz3_cpu_front_init(void);
bool hz3_cpu_front_is_used(void);

// While it is suspended more often than resumed, all threads miss and are served by slabs of their own (hz3_vfork.h).
// The caller holds no leaf lock, unless it was interrupted under the slab lock.
void hz3_cpu_front_suspend(void);
void hz3_cpu_front_resume(void);
// In a fork's child: so many suspensions are its own.
void hz3_cpu_front_fork_child(uint32_t suspended);

// The slab of this CPU, opened if need be; NULL: the kernel has no memory now. When it returns, the thread may be on
// another CPU.
Hz3Slab *hz3_cpu_open(int32_t cpu);

// Forgets a slab that a fork's child cannot trust; the CPU's next miss opens another. Under the slab lock.
void hz3_cpu_abandon(Hz3Slab *slab);

// Puts the slab, or the one that always misses, where the CPU's sections find it. Under the slab lock.
static inline void hz3_cpu_point(Hz3Slab *slab, Hz3Slab *at)
{
    hz3_assert(slab->cpu >= 0 && hz3_lock_is_held(&hz3_slab_lock));
    atomic_store_explicit(&hz3_cpu_slabs[2 + slab->cpu], at, memory_order_release);
}

static inline bool hz3_cpu_points_to(const Hz3Slab *slab)
{
    return atomic_load_explicit(&hz3_cpu_slabs[2 + slab->cpu], memory_order_relaxed) == slab;
}

#endif
