// The restartable sequences of the CPU front: pop and push on the slab of the CPU that runs them. Here is what they do
// and why that is right; hz3_rseq_x86_64.h and hz3_rseq_aarch64.h have the instructions.
//
// A section is a range of instructions that its thread has announced to the kernel. When the kernel preempts the thread
// inside that range, moves it to another CPU or gives it a signal there, the thread goes on at the section's abort
// handler instead. So a section that comes to its end ran on one CPU, and no other thread ran there meanwhile. That
// takes the place of a lock. Each section has these parts:
//
//   descriptor     constant data for the kernel: where the section begins and ends, and its abort handler
//   announcement   a store of the descriptor's address into the thread's area, a struct that the kernel reads
//   first          the first instruction of the section loads the CPU's number; then come slab, `top` and slots
//   commit         the last instruction of the section: the store of the new `top`
//   abort handler  outside of the section; it ends the operation as a miss
//
// Invariants:
//   P1  One store commits, and it is the last instruction. Whatever an aborted section wrote before it means nothing:
//       slots below `top` hold no objects, and notes of such slots tell nothing. An operation that has committed
//       cannot be aborted any more, so it is never done twice.
//   P2  Between the load of the CPU's number and the commit no other thread ran on this CPU, or there is no commit.
//       Only sections of this CPU write its `top`, or a thread that owns the slab by P3. So at the commit the `top`
//       that was loaded is still the one in memory.
//   P3  A thread that exchanges hz3_cpu_slabs[2 + cpu] and then calls membarrier(PRIVATE_EXPEDITED_RSEQ) owns the old
//       slab. A section that loaded the old pointer has committed before the barrier, and what it stored is visible;
//       or it aborts. If its thread is running, the barrier's interrupt aborts it; else it aborts when it next runs.
//   P4  After an abort, registers and outputs hold leftovers that may concern another CPU's slab. Nothing uses them:
//       the abort handler goes where a miss goes. The slow path tries again a bounded number of times and then passes
//       the front by, so a thread that is single-stepped makes progress too.
//   P5  Nothing stands between the announcement and the first instruction. The kernel withdraws an announcement when it
//       interrupts the thread outside of the announced range. In such a gap it would do so, and the section would then
//       run without protection. For the same reason a jump may leave a section early and needs no clean-up.
//   P6  A thread that is not registered has -1 or -2 in its area instead of a CPU's number. The first two entries of
//       hz3_cpu_slabs are slabs on which every operation misses. While the thread front is in use, or a vfork child
//       lives, all threads read an area like that, hz3_no_rseq.
//   P7  A processor may reorder loads and stores, yet each section sees a slab as it was given to its CPU. Another CPU
//       that writes a slab publishes it by a release store to hz3_cpu_slabs, and every address that a section loads
//       from depends on the pointer that it found there. What sections of one CPU do to one another needs no order: a
//       switch of threads is a barrier, and so is the membarrier of P3. A push commits by a release store, because
//       hz3_front_holds() reads `top` from another CPU and then the slots above it.
//
// What they do:
//   hz3_rseq_pop           pops the newest object of the class. NULL: the bin is empty, or the section was aborted.
//                          *empty is NULL, and nothing in a bin is.
//   hz3_rseq_push_section  pushes an object. By P2 its note, the slot that this names, and `top` are of one moment. An
//                          aborted section may leave a note, but of a slot below `top`.
//   hz3_rseq_pop_batch     pops up to `want` ≥ 1 of the newest objects. Returns how many, -1 when it was aborted.
//   hz3_rseq_push_batch    pushes up to n ≥ 1 of the objects, the last ones first into the bin, so that
//                          objects[n - pushed] comes out first. Returns how many found room (the last `pushed` of the
//                          array), -1 when it was aborted.
//
// Sources: Linux's rseq(2), membarrier(2) and <linux/rseq.h> (P. Turner, A. Hunter, M. Desnoyers). tcmalloc was the
// first to build per-CPU caches on them. glibc (2.35 and later) registers each thread: its area lies __rseq_offset
// from the thread pointer, and <sys/rseq.h> has the signature. A vfork child is not registered, but sees its parent's
// area; it is not let into any section (process/hz3_vfork.h).
#ifndef HZ3_RSEQ_H
#define HZ3_RSEQ_H

#include "front/hz3_front_slow.h"
#include "front/hz3_rseq_area.h"

#if HZ3_FRONT_CPU && defined(__x86_64__)
#include "front/hz3_rseq_x86_64.h"
#elif HZ3_FRONT_CPU && defined(__AARCH64EL__)
#include "front/hz3_rseq_aarch64.h"
#elif HZ3_FRONT_CPU
#error "HZ3_FRONT_CPU=1: sections are written for x86-64 and for little-endian aarch64 only"
#else

static inline void *hz3_rseq_pop(size_t cls)
{
    (void)cls;
    return NULL;
}

static inline Hz3RseqPush hz3_rseq_push_section(size_t cls, void *object)
{
    (void)cls;
    (void)object;
    return HZ3_RSEQ_MISSED;
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

// False: the bin is full, or the section was aborted. An address at which no object of the class can begin ends the
// program, and an object that is noted as freed takes the way of a double free (hz3_freed_index).
static inline bool hz3_rseq_push(size_t cls, void *object)
{
    switch (hz3_rseq_push_section(cls, object)) {
    case HZ3_RSEQ_PUSHED:
        return true;
    case HZ3_RSEQ_NOTED:
        hz3_front_free_noted(object, (Hz3Tag)cls);
        return true;
    case HZ3_RSEQ_INTERIOR:
        hz3_slab_die_interior(object);
        return true;
    default:
        return false;
    }
}

#endif
