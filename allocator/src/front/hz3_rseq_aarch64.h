// The sections of hz3_rseq.h in the instructions of aarch64, which reorders what nothing keeps in order (P7).
#ifndef HZ3_RSEQ_AARCH64_H
#define HZ3_RSEQ_AARCH64_H

#include "front/hz3_rseq_area.h"

_Static_assert(offsetof(Hz3Slab, freed) < 4096, "its place is a constant of one instruction");

// How to read the assembly below. Operands stand in the order destination, source. %[name] is the register of that
// operand in the lists below the instructions, %w[name] its lower half. %= is a number that each copy of a section has
// for itself, so .Lname%= is a label of that copy. A jump to %l[name], a label of the C code, leaves the section
// without a commit (P5).
//
// The formatter would put several instructions on a line.
// clang-format off

// Fields of the bin of the class, whose `top` lies at %[bin]. %c[field] is the place of a field in the slab, a constant
// that HZ3_RSEQ_FIELD(field) among the inputs declares.
#define HZ3_RSEQ_TOP   "[%[bin]]"
#define HZ3_RSEQ_EMPTY "[%[bin], %c[empty]]"
#define HZ3_RSEQ_FULL  "[%[bin], %c[full]]"

// The kernel goes to an abort handler only if the signature that glibc registered stands right before it, so that no
// forged descriptor can send a thread just anywhere. It is an instruction that traps: `brk #0x45e0`.
#define HZ3_RSEQ_ABORT_HANDLER(label)                                                                             \
    ".pushsection __rseq_abort, \"ax\"\n"                                                                         \
    ".inst 0xd428bc00\n"                                                                                          \
    ".Labort%=:\n"                                                                                                \
    "b %l[" #label "]\n"                      /* not restarted here: the caller decides (P4) */                   \
    ".popsection\n"

// Ends with the slab of this CPU in %[slab] and the place of the class's `top` in %[bin]. From here to HZ3_RSEQ_COMMIT
// each line is a label or an instruction.
#define HZ3_RSEQ_BEGIN                                                                                            \
    "adrp %[slab], .Ldescriptor%=\n"                                                                              \
    "add %[slab], %[slab], :lo12:.Ldescriptor%=\n"                                                                \
    "str %[slab], [%[area], 8]\n"             /* the announcement: area->rseq_cs = the descriptor */              \
    ".Lfirst%=:\n"                            /* nothing in between (P5) */                                       \
    "ldrsw %[slab], [%[area], 4]\n"           /* area->cpu_id; -1 or -2 without a registration (P6) */            \
    "add %[slab], %[slabs], %[slab], lsl 3\n"                                                                     \
    "ldr %[slab], [%[slab], 16]\n"            /* hz3_cpu_slabs[2 + cpu_id] */                                     \
    "add %[bin], %[slab], %[cls], lsl 3\n"    /* &slab->top[cls] */

// The commit, and with it the end of the section: what follows the store is outside (P1).
#define HZ3_RSEQ_COMMIT(store)                                                                                    \
    store " %[top], " HZ3_RSEQ_TOP "\n"       /* what the section prepared counts from now on */                  \
    ".Lend%=:\n"                              /* an interruption from here on does not undo it */

#define HZ3_RSEQ_AREA ((char *)__builtin_thread_pointer() + hz3_rseq_offset)

static inline void *hz3_rseq_pop(size_t cls)
{
    Hz3Slab *slab;
    void **_Atomic *bin;
    void **top;
    void *object;
    __asm__ volatile goto(
        HZ3_RSEQ_DESCRIPTOR
        HZ3_RSEQ_ABORT_HANDLER(missed)
        HZ3_RSEQ_BEGIN
        "ldr %[top], " HZ3_RSEQ_TOP "\n"               // the slot of the newest object, or `empty`
        "ldr %[object], [%[top]]\n"                    // needs no test of `top` first, because *empty may be read
        "cbz %[object], %l[missed]\n"                  // NULL came out of *empty: an empty bin
        "add %[top], %[top], 8\n"                      // the slot above: the next object, or `empty`
        HZ3_RSEQ_COMMIT("str")
        : [slab] "=&r"(slab), [bin] "=&r"(bin), [top] "=&r"(top), [object] "=&r"(object)
        : [area] "r"(HZ3_RSEQ_AREA), [slabs] "r"(hz3_cpu_slabs), [cls] "r"(cls)
        : "memory", "cc"
        : missed);
    if (object == NULL) {
        __builtin_unreachable(); // saves the callers' second test
    }
    hz3_prefetch_next(top);
    return object;
missed:
    return NULL;
}

static inline Hz3RseqPush hz3_rseq_push_section(size_t cls, void *object)
{
    Hz3Slab *slab;
    void **_Atomic *bin;
    void **top;
    void **noted_at;
    void *other;
    void *note;
    uint64_t index = hz3_freed_index(object);
    __asm__ volatile goto(
        HZ3_RSEQ_DESCRIPTOR
        HZ3_RSEQ_ABORT_HANDLER(missed)
        HZ3_RSEQ_BEGIN
        "ldr %[top], " HZ3_RSEQ_TOP "\n"               // the slot of the newest object, or `empty`
        "ldr %[other], " HZ3_RSEQ_FULL "\n"
        "cmp %[top], %[other]\n"                       // at `full` or below it there is no room,
        "b.ls %l[missed]\n"                            // and never any in the bin of a tag that is no class
        "add %[other], %[slab], %[cls], lsl 1\n"
        "ldrh %w[other], [%[other], %c[never_set]]\n"  // bits that are 0 where an object of the class begins
        "tst %[object], %[other]\n"
        "b.ne %l[interior]\n"                          // so none begins here
        "add %[note], %[slab], %[index], lsl 3\n"
        "add %[note], %[note], %c[freed]\n"            // &slab->freed[index]
        "ldr %[noted_at], [%[note]]\n"                 // the slot that was noted last for such an address, or NULL
        "cmp %[noted_at], %[top]\n"                    // below `top` that slot is out of the bin,
        "csel %[noted_at], %[top], %[noted_at], lo\n"  // so look at the newest object instead
        "ldr %[other], [%[noted_at]]\n"
        "cmp %[other], %[object]\n"                    // there already?
        "b.eq %l[noted]\n"                             // then this seems to be a double free
        "str %[object], [%[top], -8]!\n"               // into the slot below, in the bin as soon as `top` says so
        "str %[top], [%[note]]\n"                      // for the next free of this address
        HZ3_RSEQ_COMMIT("stlr")
        : [slab] "=&r"(slab), [bin] "=&r"(bin), [top] "=&r"(top), [noted_at] "=&r"(noted_at), [other] "=&r"(other),
          [note] "=&r"(note)
        : [area] "r"(HZ3_RSEQ_AREA), [slabs] "r"(hz3_cpu_slabs), [cls] "r"(cls), [object] "r"(object),
          [index] "r"(index), HZ3_RSEQ_FIELD(full), HZ3_RSEQ_FIELD(never_set), HZ3_RSEQ_FIELD(freed)
        : "memory", "cc"
        : missed, noted, interior);
    return HZ3_RSEQ_PUSHED;
noted:
    return HZ3_RSEQ_NOTED;
interior:
    return HZ3_RSEQ_INTERIOR;
missed:
    return HZ3_RSEQ_MISSED;
}

static inline int hz3_rseq_pop_batch(size_t cls, void **out, uint64_t want)
{
    Hz3Slab *slab;
    void **_Atomic *bin;
    char *top;
    uint64_t n;
    uint64_t i;
    void *object;
    __asm__ volatile goto(
        HZ3_RSEQ_DESCRIPTOR
        HZ3_RSEQ_ABORT_HANDLER(aborted)
        HZ3_RSEQ_BEGIN
        "ldr %[top], " HZ3_RSEQ_TOP "\n"               // the slot of the newest object, or `empty`
        "ldr %[n], " HZ3_RSEQ_EMPTY "\n"               // the objects lie from `top` to here,
        "sub %[n], %[n], %[top]\n"                     // in so many bytes,
        "lsr %[n], %[n], 3\n"                          // eight for each
        "cmp %[n], %[want]\n"                          // more than are wanted?
        "csel %[n], %[n], %[want], ls\n"               // n = min(n, want)
        "mov %[i], 0\n"
        "cbz %[n], .Lpopped%=\n"                       // an empty bin: then `top` is stored as it is
        ".Lcopy%=:\n"                                  // do out[i] = top[i] while ++i < n
        "ldr %[object], [%[top], %[i], lsl 3]\n"
        "str %[object], [%[out], %[i], lsl 3]\n"       // the caller's memory, ignored after an abort (P4)
        "add %[i], %[i], 1\n"
        "cmp %[i], %[n]\n"
        "b.lo .Lcopy%=\n"
        "add %[top], %[top], %[n], lsl 3\n"            // all n leave the bin by one store
        ".Lpopped%=:\n"
        HZ3_RSEQ_COMMIT("str")
        : [slab] "=&r"(slab), [bin] "=&r"(bin), [top] "=&r"(top), [n] "=&r"(n), [i] "=&r"(i), [object] "=&r"(object)
        : [area] "r"(HZ3_RSEQ_AREA), [slabs] "r"(hz3_cpu_slabs), [cls] "r"(cls), [out] "r"(out), [want] "r"(want),
          HZ3_RSEQ_FIELD(empty)
        : "memory", "cc"
        : aborted);
    return (int)n;
aborted:
    return -1;
}

static inline int hz3_rseq_push_batch(size_t cls, void *const *objects, uint64_t n)
{
    Hz3Slab *slab;
    void **_Atomic *bin;
    char *top;
    uint64_t pushed;
    uint64_t i;
    void *const *from;
    void *object;
    __asm__ volatile goto(
        HZ3_RSEQ_DESCRIPTOR
        HZ3_RSEQ_ABORT_HANDLER(aborted)
        HZ3_RSEQ_BEGIN
        "ldr %[top], " HZ3_RSEQ_TOP "\n"               // free slots lie below it,
        "ldr %[pushed], " HZ3_RSEQ_FULL "\n"
        "subs %[pushed], %[top], %[pushed]\n"          // down to `full`, in so many bytes
        "b.ls .Lno_room%=\n"                           // `top` is at `full`, or below a lowered one: no room
        "lsr %[pushed], %[pushed], 3\n"                // eight bytes a slot
        "cmp %[pushed], %[count]\n"                    // more than there are objects?
        "csel %[pushed], %[pushed], %[count], ls\n"    // pushed = min(pushed, n)
        "mov %[i], %[pushed]\n"                        // so many are still to be copied
        "add %[from], %[objects], %[count], lsl 3\n"   // one past the last object
        ".Lcopy%=:\n"                                  // do *--top = *--from while --i != 0
        "ldr %[object], [%[from], -8]!\n"
        "str %[object], [%[top], -8]!\n"               // below the `top` in memory: free until the commit
        "subs %[i], %[i], 1\n"
        "b.ne .Lcopy%=\n"
        "b .Lpushed%=\n"
        ".Lno_room%=:\n"                               // then `top` is stored as it is
        "mov %[pushed], 0\n"
        ".Lpushed%=:\n"
        HZ3_RSEQ_COMMIT("stlr")
        : [slab] "=&r"(slab), [bin] "=&r"(bin), [top] "=&r"(top), [pushed] "=&r"(pushed), [i] "=&r"(i),
          [from] "=&r"(from), [object] "=&r"(object)
        : [area] "r"(HZ3_RSEQ_AREA), [slabs] "r"(hz3_cpu_slabs), [cls] "r"(cls), [objects] "r"(objects),
          [count] "r"(n), HZ3_RSEQ_FIELD(full)
        : "memory", "cc"
        : aborted);
    return (int)pushed;
aborted:
    return -1;
}

// clang-format on

#endif
