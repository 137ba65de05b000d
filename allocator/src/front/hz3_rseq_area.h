// What the sections of hz3_rseq.h share: the area of a thread that the kernel reads and writes for them, the slabs that
// they find, and the descriptor.
#ifndef HZ3_RSEQ_AREA_H
#define HZ3_RSEQ_AREA_H

#include "front/hz3_slab.h"

#define HZ3_RSEQ_CPUS_MAX 1024u

// The part of the kernel's struct rseq that the sections use.
typedef struct Hz3RseqArea {
    uint32_t cpu_id_start;
    int32_t cpu_id;
    uint64_t rseq_cs;
} Hz3RseqArea;

// The area that all threads read while the CPU front is not in use. It holds no CPU's number.
extern HZ3_HIDDEN HZ3_TLS Hz3RseqArea hz3_no_rseq;
// From the thread pointer to the area that the sections use. hz3_init() sets it before any thread enters a section;
// while a vfork child lives, it leads to hz3_no_rseq (hz3_front_cpu.c).
extern HZ3_HIDDEN uintptr_t hz3_rseq_offset;
extern HZ3_HIDDEN Hz3Slab *_Atomic hz3_cpu_slabs[2 + HZ3_RSEQ_CPUS_MAX];

// Negative: this thread has no registration.
static inline int32_t hz3_rseq_cpu(void)
{
    const volatile Hz3RseqArea *area = (const void *)((char *)__builtin_thread_pointer() + hz3_rseq_offset);
    return area->cpu_id;
}

_Static_assert(offsetof(Hz3RseqArea, cpu_id) == 4 && offsetof(Hz3RseqArea, rseq_cs) == 8,
               "the sections address the area's fields by number");

// What the sections of all architectures have in common. The formatter would put several lines of it on one.
// clang-format off

// The kernel's struct rseq_cs. It stands among the data, writable since the loader puts addresses into it.
#define HZ3_RSEQ_DESCRIPTOR                                                                                       \
    ".pushsection __rseq_cs, \"aw\"\n"                                                                            \
    ".balign 32\n"                            /* as the kernel's struct is aligned */                             \
    ".Ldescriptor%=:\n"                                                                                           \
    ".long 0, 0\n"                            /* version, flags */                                                \
    ".quad .Lfirst%=\n"                       /* start_ip: the first instruction */                               \
    ".quad .Lend%= - .Lfirst%=\n"             /* post_commit_offset: the length of the section */                 \
    ".quad .Labort%=\n"                       /* abort_ip: the abort handler */                                   \
    ".popsection\n"

// Declares %c[field] among a section's inputs: the place of a field in the slab, a constant.
#define HZ3_RSEQ_FIELD(field) [field] "i"(offsetof(Hz3Slab, field))

// clang-format on

// What became of a push.
typedef enum Hz3RseqPush {
    HZ3_RSEQ_PUSHED,
    HZ3_RSEQ_MISSED,   // the bin is full, or the section was aborted
    HZ3_RSEQ_NOTED,    // the object is noted as freed
    HZ3_RSEQ_INTERIOR, // no object of the class can begin there
} Hz3RseqPush;

#endif
