#include "front/hz3_front_cpu.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"

HZ3_TLS Hz3RseqArea hz3_no_rseq = {.cpu_id = -1};

Hz3Slab *_Atomic hz3_cpu_slabs[2 + HZ3_RSEQ_CPUS_MAX] = {&hz3_slab_none, &hz3_slab_none};

// The slab of each CPU, also while a drain has its entry in hz3_cpu_slabs. Written under the slab lock.
static Hz3Slab *_Atomic slab_of_cpu[HZ3_RSEQ_CPUS_MAX];

uintptr_t hz3_rseq_offset;

static bool is_used;

static uint32_t suspensions; // under the slab lock

bool hz3_cpu_front_is_used(void)
{
    return is_used;
}

// Why the CPU front cannot be used here; NULL: it can.
static const char *reason_against(void)
{
    if (!HZ3_FRONT_CPU) {
        return "this build has none";
    }
    if (!hz3_os_rseq_registered()) {
        return "the C library has not registered restartable sequences for this thread";
    }
    if (!hz3_os_cpus_fit(HZ3_RSEQ_CPUS_MAX)) {
        return "the machine may have more than 1024 CPUs";
    }
    if (!hz3_os_membarrier_register(HZ3_OS_BARRIER_RSEQ)) {
        return "the kernel has no membarrier for restartable sequences";
    }
    return NULL;
}

static uintptr_t offset_of_no_rseq(void)
{
    return (uintptr_t)&hz3_no_rseq - (uintptr_t)__builtin_thread_pointer();
}

// Sections read it without order: one that finds the old value still runs with its thread's registration, or misses.
static void set_offset(void)
{
    uintptr_t offset = is_used && suspensions == 0 ? hz3_os_rseq_offset() : offset_of_no_rseq();
    __atomic_store_n(&hz3_rseq_offset, offset, __ATOMIC_RELAXED);
}

static void change_suspensions(uint32_t by)
{
    bool is_interrupted = hz3_lock_is_held(&hz3_slab_lock);
    if (!is_interrupted) {
        hz3_lock_acquire(&hz3_slab_lock);
    }
    suspensions += by;
    set_offset();
    if (!is_interrupted) {
        hz3_lock_release(&hz3_slab_lock);
    }
}

void hz3_cpu_front_suspend(void)
{
    change_suspensions(1);
}

void hz3_cpu_front_resume(void)
{
    change_suspensions(UINT32_MAX);
}

void hz3_cpu_front_fork_child(uint32_t suspended)
{
    suspensions = suspended;
    set_offset();
}

enum { FRONT_AUTO, FRONT_CPU, FRONT_THREAD }; // the places in HZ3_FRONT's list

void hz3_cpu_front_init(void)
{
    set_offset();
    if (hz3_knobs.FRONT == FRONT_THREAD) {
        return;
    }
    const char *reason = reason_against();
    if (reason != NULL) {
        if (hz3_knobs.FRONT == FRONT_CPU) {
            hz3_log("hz3: HZ3_FRONT=cpu: %s; the thread front is used", reason);
        }
        return;
    }
    for (uint32_t cpu = 0; cpu < HZ3_RSEQ_CPUS_MAX; cpu++) {
        atomic_store_explicit(&hz3_cpu_slabs[2 + cpu], &hz3_slab_none, memory_order_relaxed);
    }
    is_used = true;
    set_offset();
}

Hz3Slab *hz3_cpu_open(int32_t cpu)
{
    hz3_assert(cpu >= 0 && cpu < (int32_t)HZ3_RSEQ_CPUS_MAX);
    Hz3Slab *slab = atomic_load_explicit(&slab_of_cpu[cpu], memory_order_acquire);
    if (HZ3_LIKELY(slab != NULL)) {
        return slab;
    }
    Hz3Slab *fresh = hz3_slab_acquire();
    if (fresh == NULL) {
        return NULL;
    }
    hz3_lock_acquire(&hz3_slab_lock);
    slab = atomic_load_explicit(&slab_of_cpu[cpu], memory_order_relaxed);
    if (slab == NULL) {
        slab = fresh;
        slab->cpu = cpu;
        atomic_store_explicit(&slab_of_cpu[cpu], slab, memory_order_release);
        hz3_cpu_point(slab, slab);
    } else {
        hz3_slab_release(fresh);
    }
    hz3_lock_release(&hz3_slab_lock);
    return slab;
}

void hz3_cpu_abandon(Hz3Slab *slab)
{
    hz3_assert(slab->cpu >= 0 && slab->owner == NULL);
    atomic_store_explicit(&slab_of_cpu[slab->cpu], NULL, memory_order_relaxed);
    hz3_cpu_point(slab, &hz3_slab_none);
    slab->cpu = HZ3_CPU_NONE;
}
