// The restartable sequences of the CPU front: pop and push on the slab of the CPU that runs them, x86-64.
//
// A section is a piece of code that the kernel restarts elsewhere when its thread is preempted, moved to another CPU or
// interrupted by a signal inside it: before the thread runs on, its instruction pointer is set to the abort handler.
// (P. Turner, A. Hunter, M. Desnoyers: rseq(2). The per-CPU cache on top of it was first shown by tcmalloc.)
//
// Each section is: load the CPU's number, its slab and a bin's `top`; read or write slots; store the new `top`, last.
//   P1  That store is the only one that others rely on. An abort before it leaves the bin as it was, whatever was read
//       or written: slots below `top` are nobody's until `top` covers them, and notes of such slots tell nothing. After
//       it the section is over (its last byte is the section's last byte), so an operation that was committed is never
//       repeated.
//   P2  Between the load of the CPU's number and the store no other thread ran on this CPU, or the store does not
//       happen. So `top` in the register is `top` in memory at the store, and only the CPU's own sections write it.
//   P3  Whoever exchanges hz3_cpu_slabs[2 + cpu] and then calls membarrier(PRIVATE_EXPEDITED_RSEQ) owns the old slab:
//       every section that loaded the old pointer has committed before the barrier or aborts, on a running CPU by the
//       barrier's interrupt, on a descheduled thread when it is next scheduled. What a section stored before is visible
//       after it.
//   P4  Abort ends like a miss: the caller's slow path decides. It tries again a bounded number of times and then goes
//       past the front, so a thread that is single-stepped makes progress too.
//   P5  `rseq_cs` is written by the instruction just before the section; the kernel clears it when it finds the thread
//       outside. Leaving a section early by a jump is legal, for the same reason.
//   P6  A thread that is not registered has a negative number in its area, -1 or -2, and the first two entries of
//       hz3_cpu_slabs are slabs on which every operation misses. When the thread front is in use all threads read such
//       an area, hz3_no_rseq.
// glibc (2.35 and later) owns the registration. vfork's child is not registered but sees its parent's area; calling
// malloc there is undefined by POSIX and is by this too.
#ifndef HZ3_RSEQ_H
#define HZ3_RSEQ_H

#include "front/hz3_slab.h"

#define HZ3_RSEQ_CPUS_MAX 1024u

// The part of the kernel's struct rseq that the sections use.
typedef struct Hz3RseqArea {
    uint32_t cpu_id_start;
    int32_t cpu_id;
    uint64_t rseq_cs;
} Hz3RseqArea;

// What threads read that are not registered: an area of ours in which no CPU's number is.
extern HZ3_HIDDEN HZ3_TLS Hz3RseqArea hz3_no_rseq;
// From the thread pointer to the area that the sections use. Set by hz3_init(), before which nobody enters a section.
extern HZ3_HIDDEN uintptr_t hz3_rseq_offset;
extern HZ3_HIDDEN Hz3Slab *_Atomic hz3_cpu_slabs[2 + HZ3_RSEQ_CPUS_MAX];

// Negative: this thread has no registration.
static inline int32_t hz3_rseq_cpu(void)
{
    const volatile Hz3RseqArea *area = (const void *)((char *)__builtin_thread_pointer() + hz3_rseq_offset);
    return area->cpu_id;
}

#if HZ3_FRONT_CPU

#define HZ3_TEXT_(x) #x
#define HZ3_TEXT(x) HZ3_TEXT_(x)

// clang-format off: one line an instruction

// The abort handler must follow this word, which glibc registered; in front of it the bytes that make it one
// instruction.
#define HZ3_RSEQ_SIGNATURE "0x53053053"

// Test builds widen the window before the commit by so many pauses, and break the sections on purpose.
#ifndef HZ3_RSEQ_TEST_DELAY
#define HZ3_RSEQ_TEST_DELAY 0
#endif
#define HZ3_RSEQ_COMMIT_INSIDE 1
#define HZ3_RSEQ_COMMIT_OUTSIDE 2 // broken: the store stands behind the section's end
#define HZ3_RSEQ_ABORT_COMMITS 3  // broken: the abort handler goes on with the store
#ifndef HZ3_RSEQ_VARIANT
#define HZ3_RSEQ_VARIANT HZ3_RSEQ_COMMIT_INSIDE
#endif

// No register, no stack: at an abort both must be as the abort handler expects them.
#define HZ3_RSEQ_WINDOW ".rept " HZ3_TEXT(HZ3_RSEQ_TEST_DELAY) "\n\tpause\n\t.endr\n\t"

#if HZ3_RSEQ_VARIANT == HZ3_RSEQ_COMMIT_OUTSIDE
#define HZ3_RSEQ_COMMIT(instruction) "62:\n\t" HZ3_RSEQ_WINDOW instruction "\n"
#elif HZ3_RSEQ_VARIANT == HZ3_RSEQ_ABORT_COMMITS
#define HZ3_RSEQ_COMMIT(instruction) HZ3_RSEQ_WINDOW "65: " instruction "\n62:\n"
#else
#define HZ3_RSEQ_COMMIT(instruction) HZ3_RSEQ_WINDOW instruction "\n62:\n"
#endif
#if HZ3_RSEQ_VARIANT == HZ3_RSEQ_ABORT_COMMITS
#define HZ3_RSEQ_ON_ABORT(label) "jmp 65f\n\t"
#else
#define HZ3_RSEQ_ON_ABORT(label) "jmp %l[" #label "]\n\t"
#endif

// The fields of the bin of %[cls] (hz3_slab.h).
#define HZ3_RSEQ_TOP "(%[slab],%[cls],8)"
#define HZ3_RSEQ_EMPTY HZ3_TEXT(HZ3_SLAB_EMPTY_OFFSET) "(%[slab],%[cls],8)"
#define HZ3_RSEQ_FULL HZ3_TEXT(HZ3_SLAB_FULL_OFFSET) "(%[slab],%[cls],8)"
#define HZ3_RSEQ_NEVER_SET HZ3_TEXT(HZ3_SLAB_NEVER_SET_OFFSET) "(%[slab],%[cls],2)"
#define HZ3_RSEQ_NOTE HZ3_TEXT(HZ3_SLAB_FREED_OFFSET) "(%[slab],%[index],8)"
// The index of a note: hz3_freed_index().
#define HZ3_RSEQ_INDEX                                                                                                 \
    "imul $" HZ3_TEXT(HZ3_FREED_FACTOR) ", %k[object], %k[index]\n\t"                                                  \
                                        "shr $" HZ3_TEXT(HZ3_FREED_SHIFT) ", %k[index]\n\t"

// Descriptor 63 of the section 61..62 with the abort handler 64; then the store that announces it, and the first loads:
// %[slab] = the slab of this CPU.
#define HZ3_RSEQ_BEGIN(aborted)                                                                                        \
    ".pushsection __rseq_cs, \"aw\"\n\t"                                                                               \
    ".balign 32\n"                                                                                                     \
    "63: .long 0, 0\n\t"                                                                                               \
    ".quad 61f, 62f - 61f, 64f\n\t"                                                                                    \
    ".popsection\n\t"                                                                                                  \
    ".pushsection __rseq_abort, \"ax\"\n\t"                                                                            \
    ".byte 0x0f, 0xb9, 0x3d\n\t"                                                                                       \
    ".long " HZ3_RSEQ_SIGNATURE "\n"                                                                                   \
    "64: " HZ3_RSEQ_ON_ABORT(aborted) ".popsection\n\t"                                                                \
                                      "lea 63b(%%rip), %[slab]\n\t"                                                    \
                                      "mov %[slab], %%fs:8(%[area])\n"                                                 \
                                      "61: movslq %%fs:4(%[area]), %[slab]\n\t"                                        \
                                      "mov 16(%[slabs],%[slab],8), %[slab]\n\t"

// Pops the newest object of the class; NULL: the bin is empty, or the section was aborted. *empty is NULL, and nothing
// in a bin is. The class comes, here and in push, in the register in which the slow path wants it.
static inline void *hz3_rseq_pop(size_t cls)
{
    Hz3Slab *slab;
    void **top;
    void *object;
    __asm__ volatile goto(HZ3_RSEQ_BEGIN(missed) "mov " HZ3_RSEQ_TOP ", %[top]\n\t"
                                                 "mov (%[top]), %[object]\n\t"
                                                 "test %[object], %[object]\n\t"
                                                 "jz %l[missed]\n\t"
                                                 "add $8, %[top]\n\t" HZ3_RSEQ_COMMIT("mov %[top], " HZ3_RSEQ_TOP "")
                          : [slab] "=&r"(slab), [top] "=&r"(top), [object] "=&r"(object)
                          : [area] "r"(hz3_rseq_offset), [slabs] "r"(hz3_cpu_slabs), [cls] "D"(cls)
                          : "memory", "cc"
                          : missed);
    if (object == NULL) {
        __builtin_unreachable(); // saves the callers' second test
    }
    return object;
missed:
    return NULL;
}

// False: the bin is full, or the section was aborted. Where a bit is set that no object of the class has, none begins.
// An object that lies in the bin already is seen by its note (hz3_freed_index); by P2 note, slot and `top` belong
// together, and what an aborted section noted is a slot below `top`.
static inline bool hz3_rseq_push(size_t cls, void *object)
{
    Hz3Slab *slab;
    void **top;
    uint64_t index;
    void **noted_at;
    __asm__ volatile goto(
        HZ3_RSEQ_BEGIN(missed) "mov " HZ3_RSEQ_TOP ", %[top]\n\t"
                               "cmp " HZ3_RSEQ_FULL ", %[top]\n\t"
                               "jbe %l[missed]\n\t"
                               "test %w[object], " HZ3_RSEQ_NEVER_SET "\n\t"
                               "jnz %l[interior]\n\t" HZ3_RSEQ_INDEX "mov " HZ3_RSEQ_NOTE ", %[noted_at]\n\t"
                               "cmp %[top], %[noted_at]\n\t"
                               "cmovb %[top], %[noted_at]\n\t"
                               "cmp %[object], (%[noted_at])\n\t"
                               "je %l[noted]\n\t"
                               "sub $8, %[top]\n\t"
                               "mov %[object], (%[top])\n\t"
                               "mov %[top], " HZ3_RSEQ_NOTE "\n\t" HZ3_RSEQ_COMMIT("mov %[top], " HZ3_RSEQ_TOP "")
        : [slab] "=&r"(slab), [top] "=&r"(top), [index] "=&r"(index), [noted_at] "=&r"(noted_at)
        : [area] "r"(hz3_rseq_offset), [slabs] "r"(hz3_cpu_slabs), [cls] "S"(cls), [object] "r"(object)
        : "memory", "cc"
        : missed, noted, interior);
    return true;
noted:
    hz3_front_free_noted(object, (Hz3Tag) cls);
    return true;
interior:
    hz3_slab_die_interior(object);
    return true;
missed:
    return false;
}

// Pops up to `want` ≥ 1 of the newest objects; returns how many, -1 when the section was aborted.
static inline int hz3_rseq_pop_batch(size_t cls, void **out, uint64_t want)
{
    Hz3Slab *slab;
    char *top;
    uint64_t n;
    uint64_t i;
    void *object;
    __asm__ volatile goto(
        HZ3_RSEQ_BEGIN(aborted) "mov " HZ3_RSEQ_TOP ", %[top]\n\t"
                                "mov " HZ3_RSEQ_EMPTY ", %[n]\n\t"
                                "sub %[top], %[n]\n\t"
                                "shr $3, %[n]\n\t"
                                "cmp %[want], %[n]\n\t"
                                "cmova %[want], %[n]\n\t"
                                "xor %[i], %[i]\n\t"
                                "test %[n], %[n]\n\t"
                                "jz 67f\n"
                                "66: mov (%[top],%[i],8), %[object]\n\t"
                                "mov %[object], (%[out],%[i],8)\n\t"
                                "inc %[i]\n\t"
                                "cmp %[n], %[i]\n\t"
                                "jb 66b\n\t"
                                "lea (%[top],%[n],8), %[top]\n"
                                "67:\n\t" HZ3_RSEQ_COMMIT("mov %[top], " HZ3_RSEQ_TOP "")
        : [slab] "=&r"(slab), [top] "=&r"(top), [n] "=&r"(n), [i] "=&r"(i), [object] "=&r"(object)
        : [area] "r"(hz3_rseq_offset), [slabs] "r"(hz3_cpu_slabs), [cls] "r"(cls), [out] "r"(out), [want] "r"(want)
        : "memory", "cc"
        : aborted);
    return (int)n;
aborted:
    return -1;
}

// Pushes up to n ≥ 1 of the objects, the last ones first into the bin, so that objects[n - pushed] comes out first.
// Returns how many found room (the last `pushed` of the array), -1 when the section was aborted.
static inline int hz3_rseq_push_batch(size_t cls, void *const *objects, uint64_t n)
{
    Hz3Slab *slab;
    char *top;
    uint64_t pushed;
    uint64_t i;
    void *const *from;
    void *object;
    __asm__ volatile goto(HZ3_RSEQ_BEGIN(aborted) "mov " HZ3_RSEQ_TOP ", %[top]\n\t"
                                                  "mov %[top], %[pushed]\n\t"
                                                  "sub " HZ3_RSEQ_FULL ", %[pushed]\n\t"
                                                  "jbe 68f\n\t"
                                                  "shr $3, %[pushed]\n\t"
                                                  "cmp %[count], %[pushed]\n\t"
                                                  "cmova %[count], %[pushed]\n\t"
                                                  "mov %[pushed], %[i]\n\t"
                                                  "lea (%[objects],%[count],8), %[from]\n"
                                                  "66: sub $8, %[top]\n\t"
                                                  "sub $8, %[from]\n\t"
                                                  "mov (%[from]), %[object]\n\t"
                                                  "mov %[object], (%[top])\n\t"
                                                  "dec %[i]\n\t"
                                                  "jnz 66b\n\t"
                                                  "jmp 67f\n"
                                                  "68: xor %[pushed], %[pushed]\n"
                                                  "67:\n\t" HZ3_RSEQ_COMMIT("mov %[top], " HZ3_RSEQ_TOP "")
                          : [slab] "=&r"(slab), [top] "=&r"(top), [pushed] "=&r"(pushed), [i] "=&r"(i),
                            [from] "=&r"(from), [object] "=&r"(object)
                          : [area] "r"(hz3_rseq_offset), [slabs] "r"(hz3_cpu_slabs), [cls] "r"(cls),
                            [objects] "r"(objects), [count] "r"(n)
                          : "memory", "cc"
                          : aborted);
    return (int)pushed;
aborted:
    return -1;
}

// clang-format on

#else

static inline void *hz3_rseq_pop(size_t cls)
{
    (void)cls;
    return NULL;
}

static inline bool hz3_rseq_push(size_t cls, void *object)
{
    (void)cls;
    (void)object;
    return false;
}

static inline int hz3_rseq_pop_batch(size_t cls, void **out, uint64_t want)
{
    (void)cls;
    (void)out;
    (void)want;
    return 0;
}

static inline int hz3_rseq_push_batch(size_t cls, void *const *objects, uint64_t n)
{
    (void)cls;
    (void)objects;
    (void)n;
    return 0;
}

#endif

#endif
