// A slab: one front cache, of a CPU or of a thread. It has a bin for each tag of a page, above all for each class.
//
// A bin is a stack of object pointers, an array that grows down from `empty` towards `full`. `top` points to the object
// that is handed out next. An operation changes this one field, so there is no count to keep in step:
//
//      full          top              empty
//       |  free slots | objects         | NULL
//
// Each field is an array over all bins, so the tag that free() reads is the index into all of them. The bin of a tag
// that is no class is empty and full at once. So free() of an address with such a tag takes the slow path without a
// test of its own. In hz3_slab_none, on which every operation misses, all bins are like that.
#ifndef HZ3_SLAB_H
#define HZ3_SLAB_H

#include "base/hz3_lock.h"
#include "base/hz3_types.h"

typedef struct Hz3ThreadFront Hz3ThreadFront;

// Numbers without a suffix, for the assembly.
#define HZ3_FREED_FACTOR 0x9E3779B1
#define HZ3_FREED_SHIFT 23
#define HZ3_FREED_COUNT (1u << (32 - HZ3_FREED_SHIFT))

// Slabs are never unmapped, so their list can be walked without a lock. Fields change under hz3_slab_lock unless they
// say otherwise.
typedef struct Hz3Slab {
    void **_Atomic top[HZ3_TAG_COUNT];     // by operations of the slab's CPU or thread, or by its seizer
    void **empty[HZ3_TAG_COUNT];           // constant. top == empty: nothing cached; *empty may be read and is NULL
    void **_Atomic full[HZ3_TAG_COUNT];    // no push when `top` is at or below it. Any value from the lowest slot to
                                           // `empty` is safe, so every thread may raise the capacity, by one store
    uint16_t never_set[HZ3_TAG_COUNT];     // constant. Bits that are 0 in the address of every object of the class
    _Atomic uint8_t misses[HZ3_TAG_COUNT]; // refills and overflows, modulo 256; approximate
    uint8_t scans_unmoved[HZ3_TAG_COUNT];  // by drains: for how many scans `top` has been
    void **top_seen[HZ3_TAG_COUNT];        // here, with objects in the bin

    struct Hz3Slab *next_made;   // all slabs; constant once the slab is in the list
    struct Hz3Slab *next_pooled; // slabs without an owner
    Hz3ThreadFront *owner;       // the thread it belongs to, or NULL
    int32_t cpu;                 // the CPU it belongs to, or HZ3_CPU_NONE
    bool is_seized;              // a drain has taken the pointer to it away
    bool will_be_parked;         // by the drain that has seized it: it is empty now
    bool keeps_slots;            // a drain has emptied it without purging them; under the drain lock
    _Atomic bool is_parked;      // of a thread, empty, without a pointer to it, until the thread's next miss; its owner
                                 // looks without the lock
    bool is_orphan;              // in a fork's child: of a thread that is not there; the next drain empties it
    bool is_stopped;             // scratch of a fork: the fork has taken the pointer away
    bool is_settled;             // scratch of a fork: no operation is under way on it
    void **_Atomic freed[HZ3_FREED_COUNT]; // by pushes: where they put an object, or NULL; see hz3_freed_index()
    void *slots[];
} Hz3Slab;

// How free() detects a double free that follows soon after the first. A slab has 512 notes. free() hashes the object's
// address to one of them and records the slot that it puts the object into. The next free() of the same address reads
// that slot:
//   - It lies below the bin's `top`: the object has left it. The newest slot is compared instead, so that an immediate
//     double free is found even without a note.
//   - It holds the address: the object seems to be in the bin already. The slot may be one of another class with an old
//     address in it, so hz3_front_free_noted() searches the bin before it ends the program.
//   - It holds something else: no double free is found. Another object may have overwritten the note.
static inline uint32_t hz3_freed_index(const void *object)
{
    return (uint32_t)(uintptr_t)object * HZ3_FREED_FACTOR >> HZ3_FREED_SHIFT;
}

#define HZ3_CPU_NONE (-1)

_Static_assert(offsetof(Hz3Slab, top) == 0, "the sections of hz3_rseq.h address `top` without an offset");
_Static_assert(offsetof(Hz3Slab, freed) <= HZ3_PAGE_SIZE,
               "hz3_slab_purge_slots() drops what lies after the first page");

// After a pop: the program will write into the next object soon, whose cache line was last used when it was freed. This
// stands outside of the operation. What `next` points to may be anybody's by now, or NULL, and a prefetch of any
// address is harmless.
static inline void hz3_prefetch_next(void **next)
{
    void *object = __atomic_load_n(next, __ATOMIC_RELAXED);
#if defined(__x86_64__)
    __asm__ volatile("prefetchw (%0)" : : "r"(object)); // the compiler's own would need -mprfchw
#else
    __builtin_prefetch(object, 1);
#endif
}

// Ends the program: no object begins there. It is not declared noreturn: the compiler would then call it, which needs a
// stack frame in free(), and not jump to it.
HZ3_COLD void hz3_slab_die_interior(const void *object);

// Every operation on it misses.
extern HZ3_HIDDEN Hz3Slab hz3_slab_none;

static inline uint32_t hz3_slab_count(const Hz3Slab *slab, uint32_t cls)
{
    return (uint32_t)(slab->empty[cls] - atomic_load_explicit(&slab->top[cls], memory_order_relaxed));
}

// Objects that the bin may hold at present.
static inline uint32_t hz3_slab_cap(const Hz3Slab *slab, uint32_t cls)
{
    return (uint32_t)(slab->empty[cls] - atomic_load_explicit(&slab->full[cls], memory_order_relaxed));
}

// After the size classes: their capacities give the size of a slab.
void hz3_slab_init(void);

// An empty slab without an owner, from the pool or the kernel; NULL: the kernel has no memory. The caller holds no leaf
// lock.
Hz3Slab *hz3_slab_acquire(void);
// Back to the pool. The slab is empty and no pointer leads to it any more. Under hz3_slab_lock.
void hz3_slab_release(Hz3Slab *slab);

// The first in the list of all slabs, which goes on by next_made. New slabs come first.
Hz3Slab *hz3_slab_first(void);

// Protects the list of slabs, their owners, and the pointers from CPUs and threads to them.
extern Hz3Lock hz3_slab_lock;

// Held by the drain that runs; one runs at a time (hz3_front_drain.c).
extern Hz3Lock hz3_slab_drain_lock;
// Returns when the drain that runs now, if any, is over. The caller holds no lock.
void hz3_slab_wait_for_drain(void);

// Called at a refill or an overflow. Every second one doubles the bin's capacity, up to the limit of its class.
void hz3_slab_note_miss(Hz3Slab *slab, uint32_t cls);

// Moves the objects of all bins, or of the idle ones only, into the middle layer, and halves the capacity of idle bins.
// Returns the bytes moved. The caller owns the slab or has seized it.
size_t hz3_slab_flush(Hz3Slab *slab, uint32_t shard, bool idle_only);

// Gives the slots of an empty slab back to the kernel: a thousand sleeping threads have a thousand slabs, and as many
// CPUs as a machine has may be idle or gone. The caller has seized the slab.
void hz3_slab_purge_slots(Hz3Slab *slab);

// Scans every bin; true when one has objects that have not moved since the call before the last. The caller holds the
// drain lock.
bool hz3_slab_watch(Hz3Slab *slab);

size_t hz3_slab_cached_bytes(const Hz3Slab *slab);

// For asserts, by whoever owns the slab or has seized it, while no operation is under way on it:
//   B1  the bins follow one another in the slots, each as long as its class may cache, and a slot more that holds NULL;
//   B2  `top` and `full` lie in their own bin;
//   B3  what a bin holds are addresses of the arena at which an object of its class may begin;
//   B4  a tag that is no class has the bin that is empty and full at once;
//   B5  the slab belongs to a CPU or to a thread or to nobody.
bool hz3_slab_is_valid(const Hz3Slab *slab);

#endif
