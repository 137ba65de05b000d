// The sections of hz3_rseq.h in the instructions of x86-64. Its loads and stores are in order as they are.
#ifndef HZ3_RSEQ_X86_64_H
#define HZ3_RSEQ_X86_64_H

#include "front/hz3_rseq_area.h"

#define HZ3_TEXT_(x) #x
#define HZ3_TEXT(x) HZ3_TEXT_(x)

// How to read the assembly below. Operands stand in the order source, destination. %[name] is the register of that
// operand in the lists below the instructions. %= is a number that each copy of a section has for itself, so .Lname%=
// is a label of that copy. A jump to %l[name], a label of the C code, leaves the section without a commit (P5).
//
// The formatter would put several instructions on a line.
// clang-format off

// Fields of the bin of class %[cls], and the note of an object whose index is %[index] (hz3_slab.h). %c[field] is the
// place of a field in the slab, a constant that HZ3_RSEQ_FIELD(field) among the inputs declares.
#define HZ3_RSEQ_TOP       "(%[slab],%[cls],8)"
#define HZ3_RSEQ_EMPTY     "%c[empty](%[slab],%[cls],8)"
#define HZ3_RSEQ_FULL      "%c[full](%[slab],%[cls],8)"
#define HZ3_RSEQ_NEVER_SET "%c[never_set](%[slab],%[cls],2)"
#define HZ3_RSEQ_NOTE      "%c[freed](%[slab],%[index],8)"

// The kernel goes to an abort handler only if the signature that glibc registered stands right before it, so that no
// forged descriptor can send a thread just anywhere. The three bytes before that make it a whole instruction, which
// traps: `ud1 signature(%rip), %edi`.
#define HZ3_RSEQ_ABORT_HANDLER(label)                                                                             \
    ".pushsection __rseq_abort, \"ax\"\n"                                                                         \
    ".byte 0x0f, 0xb9, 0x3d\n"                                                                                    \
    ".long 0x53053053\n"                                                                                          \
    ".Labort%=:\n"                                                                                                \
    "jmp %l[" #label "]\n"                    /* not restarted here: the caller decides (P4) */                   \
    ".popsection\n"

// Ends with the slab of this CPU in %[slab], which until then holds the values that the way there needs. From here to
// HZ3_RSEQ_COMMIT each line is a label or an instruction.
#define HZ3_RSEQ_BEGIN                                                                                            \
    "lea .Ldescriptor%=(%%rip), %[slab]\n"                                                                        \
    "mov %[slab], %%fs:8(%[area])\n"          /* the announcement: area->rseq_cs = the descriptor */              \
    ".Lfirst%=:\n"                            /* nothing in between (P5) */                                       \
    "movslq %%fs:4(%[area]), %[slab]\n"       /* area->cpu_id; -1 or -2 without a registration (P6) */            \
    "mov 16(%[slabs],%[slab],8), %[slab]\n"   /* hz3_cpu_slabs[2 + cpu_id] */

// The commit, and with it the end of the section: the byte after the store is outside (P1).
#define HZ3_RSEQ_COMMIT                                                                                           \
    "mov %[top], " HZ3_RSEQ_TOP "\n"          /* what the section prepared counts from now on */                  \
    ".Lend%=:\n"                              /* an interruption from here on does not undo it */

// The class comes, here and in push, in the register in which the slow path wants it.
static inline void *hz3_rseq_pop(size_t cls)
{
    Hz3Slab *slab;
    void **top;
    void *object;
    __asm__ volatile goto(
        HZ3_RSEQ_DESCRIPTOR
        HZ3_RSEQ_ABORT_HANDLER(missed)
        HZ3_RSEQ_BEGIN
        "mov " HZ3_RSEQ_TOP ", %[top]\n"               // the slot of the newest object, or `empty`
        "mov (%[top]), %[object]\n"                    // needs no test of `top` first, because *empty may be read
        "test %[object], %[object]\n"                  // NULL came out of *empty
        "jz %l[missed]\n"                              // an empty bin
        "add $8, %[top]\n"                             // the slot above: the next object, or `empty`
        HZ3_RSEQ_COMMIT
        : [slab] "=&r"(slab), [top] "=&r"(top), [object] "=&a"(object)
        : [area] "r"(hz3_rseq_offset), [slabs] "r"(hz3_cpu_slabs), [cls] "D"(cls)
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
    void **top;
    uint64_t index;
    void **noted_at;
    __asm__ volatile goto(
        HZ3_RSEQ_DESCRIPTOR
        HZ3_RSEQ_ABORT_HANDLER(missed)
        HZ3_RSEQ_BEGIN
        "mov " HZ3_RSEQ_TOP ", %[top]\n"               // the slot of the newest object, or `empty`
        "cmp " HZ3_RSEQ_FULL ", %[top]\n"              // at `full` or below it there is no room,
        "jbe %l[missed]\n"                             // and never any in the bin of a tag that is no class
        "test %w[object], " HZ3_RSEQ_NEVER_SET "\n"    // bits that are 0 where an object of the class begins
        "jnz %l[interior]\n"                           // so none begins here
        // The next two are hz3_freed_index(object).
        "imul $" HZ3_TEXT(HZ3_FREED_FACTOR) ", %k[object], %k[index]\n"
        "shr $" HZ3_TEXT(HZ3_FREED_SHIFT) ", %k[index]\n"
        "mov " HZ3_RSEQ_NOTE ", %[noted_at]\n"         // the slot that was noted last for such an address, or NULL
        "cmp %[top], %[noted_at]\n"                    // below `top` that slot is out of the bin,
        "cmovb %[top], %[noted_at]\n"                  // so look at the newest object instead
        "cmp %[object], (%[noted_at])\n"               // there already?
        "je %l[noted]\n"                               // then this seems to be a double free
        "sub $8, %[top]\n"                             // the slot below the newest object, still free
        "mov %[object], (%[top])\n"                    // in the bin as soon as `top` says so
        "mov %[top], " HZ3_RSEQ_NOTE "\n"              // for the next free of this address
        HZ3_RSEQ_COMMIT
        : [slab] "=&r"(slab), [top] "=&r"(top), [index] "=&r"(index), [noted_at] "=&r"(noted_at)
        : [area] "r"(hz3_rseq_offset), [slabs] "r"(hz3_cpu_slabs), [cls] "S"(cls), [object] "r"(object),
          HZ3_RSEQ_FIELD(full), HZ3_RSEQ_FIELD(never_set), HZ3_RSEQ_FIELD(freed)
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
    char *top;
    uint64_t n;
    uint64_t i;
    void *object;
    __asm__ volatile goto(
        HZ3_RSEQ_DESCRIPTOR
        HZ3_RSEQ_ABORT_HANDLER(aborted)
        HZ3_RSEQ_BEGIN
        "mov " HZ3_RSEQ_TOP ", %[top]\n"               // the slot of the newest object, or `empty`
        "mov " HZ3_RSEQ_EMPTY ", %[n]\n"               // the objects lie from `top` to here,
        "sub %[top], %[n]\n"                           // in so many bytes,
        "shr $3, %[n]\n"                               // eight for each
        "cmp %[want], %[n]\n"                          // more than are wanted?
        "cmova %[want], %[n]\n"                        // n = min(n, want)
        "xor %[i], %[i]\n"                             // i = 0
        "test %[n], %[n]\n"                            // the bin may be empty:
        "jz .Lpopped%=\n"                              // then `top` is stored as it is
        ".Lcopy%=:\n"                                  // do out[i] = top[i] while ++i < n
        "mov (%[top],%[i],8), %[object]\n"
        "mov %[object], (%[out],%[i],8)\n"             // the caller's memory, ignored after an abort (P4)
        "inc %[i]\n"
        "cmp %[n], %[i]\n"
        "jb .Lcopy%=\n"
        "lea (%[top],%[n],8), %[top]\n"                // all n leave the bin by one store
        ".Lpopped%=:\n"
        HZ3_RSEQ_COMMIT
        : [slab] "=&r"(slab), [top] "=&r"(top), [n] "=&r"(n), [i] "=&r"(i), [object] "=&r"(object)
        : [area] "r"(hz3_rseq_offset), [slabs] "r"(hz3_cpu_slabs), [cls] "r"(cls), [out] "r"(out), [want] "r"(want),
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
    char *top;
    uint64_t pushed;
    uint64_t i;
    void *const *from;
    void *object;
    __asm__ volatile goto(
        HZ3_RSEQ_DESCRIPTOR
        HZ3_RSEQ_ABORT_HANDLER(aborted)
        HZ3_RSEQ_BEGIN
        "mov " HZ3_RSEQ_TOP ", %[top]\n"               // the slot of the newest object, or `empty`
        "mov %[top], %[pushed]\n"                      // free slots lie below it,
        "sub " HZ3_RSEQ_FULL ", %[pushed]\n"           // down to `full`, in so many bytes
        "jbe .Lno_room%=\n"                            // `top` is at `full`, or below a lowered one: no room
        "shr $3, %[pushed]\n"                          // eight bytes a slot
        "cmp %[count], %[pushed]\n"                    // more than there are objects?
        "cmova %[count], %[pushed]\n"                  // pushed = min(pushed, n)
        "mov %[pushed], %[i]\n"                        // so many are still to be copied
        "lea (%[objects],%[count],8), %[from]\n"       // one past the last object
        ".Lcopy%=:\n"                                  // do *--top = *--from while --i != 0
        "sub $8, %[top]\n"
        "sub $8, %[from]\n"
        "mov (%[from]), %[object]\n"
        "mov %[object], (%[top])\n"                    // below the `top` in memory: free until the commit
        "dec %[i]\n"
        "jnz .Lcopy%=\n"
        "jmp .Lpushed%=\n"
        ".Lno_room%=:\n"                               // then `top` is stored as it is
        "xor %[pushed], %[pushed]\n"                   // pushed = 0
        ".Lpushed%=:\n"
        HZ3_RSEQ_COMMIT
        : [slab] "=&r"(slab), [top] "=&r"(top), [pushed] "=&r"(pushed), [i] "=&r"(i), [from] "=&r"(from),
          [object] "=&r"(object)
        : [area] "r"(hz3_rseq_offset), [slabs] "r"(hz3_cpu_slabs), [cls] "r"(cls), [objects] "r"(objects),
          [count] "r"(n), HZ3_RSEQ_FIELD(full)
        : "memory", "cc"
        : aborted);
    return (int)pushed;
aborted:
    return -1;
}

// clang-format on

#endif
