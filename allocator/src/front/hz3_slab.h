// A slab: one front cache. An array stack of object pointers per class, the same for a CPU's slab and a thread's.
//
// A bin, one class of a slab, is an array of pointers that grows down from `empty` towards `full`; `top` is the next
// object to hand out. One field changes per operation, so there is no count to keep in step. Fields of all bins that
// are read together lie together, by class, so the tag that free() reads is the index of all three. A slab that always
// misses has bins that are empty and full at once; so has every bin of a tag that is no class, which makes free() of an
// address with such a tag take the slow path without a test of its own.
#ifndef HZ3_SLAB_H
#define HZ3_SLAB_H

#include "base/hz3_lock.h"
#include "base/hz3_types.h"

typedef struct Hz3ThreadFront Hz3ThreadFront;

// Numbers without a suffix, for the assembly.
#define HZ3_FREED_FACTOR 0x9E3779B1
#define HZ3_FREED_SHIFT 23
#define HZ3_FREED_COUNT (1u << (32 - HZ3_FREED_SHIFT))

// Slabs are never unmapped, so a list of them can be walked without a lock. What is not said otherwise changes under
// the registry's lock.
typedef struct Hz3Slab {
    void **_Atomic top[HZ3_TAG_COUNT];  // by operations of the slab's CPU or thread, or by who has seized the slab
    void **empty[HZ3_TAG_COUNT];        // constant. top == empty: nothing cached; *empty may be read and is NULL
    void **_Atomic full[HZ3_TAG_COUNT]; // no push at or below it. Any value from the lowest slot to `empty` is safe, so
                                        // raising the capacity is one store by anybody
    uint16_t never_set[HZ3_TAG_COUNT];  // constant. Bits that are 0 in the address of every object of the class
    _Atomic uint8_t misses[HZ3_TAG_COUNT]; // refills and overflows, modulo 256; approximate
    uint8_t scans_unmoved[HZ3_TAG_COUNT];  // by drains, as the next
    void **top_seen[HZ3_TAG_COUNT];
    struct Hz3Slab *next_made;   // all slabs; constant once the slab is in the list
    struct Hz3Slab *next_pooled; // those that are nobody's
    Hz3ThreadFront *owner;       // the thread it belongs to, or NULL
    int32_t cpu;                 // the CPU it belongs to, or HZ3_CPU_NONE
    bool is_seized;              // a drain is at it, and the pointer to it is not in its place
    bool is_orphan;              // in a fork's child: of a thread that is not there; the next drain empties it
    bool is_stopped;             // scratch of a fork: it has taken the pointer away
    bool is_settled;             // and nobody is inside an operation on it
    void **_Atomic freed[HZ3_FREED_COUNT]; // by pushes: where they put an object, or NULL; see hz3_freed_index()
    void *slots[];
} Hz3Slab;

// How free() sees a double free whose first is not long ago. At a hash of an object's address it notes the slot that it
// puts it in. When the slot noted there lies below the bin's `top`, the object has left it; else, if the slot still
// holds that address, it is in the bin and freed again. Below `top` the newest slot is looked at instead, so an
// immediate double free is seen without a note. Others overwrite a note, then nothing is seen; a slot of another class
// may hold what was once there, so a hit is searched for in the bin before it ends the program (hz3_front_free_noted).
static inline uint32_t hz3_freed_index(const void *object)
{
    return (uint32_t)(uintptr_t)object * HZ3_FREED_FACTOR >> HZ3_FREED_SHIFT;
}

#define HZ3_CPU_NONE (-1)

// For the assembly of hz3_rseq.h.
#define HZ3_SLAB_EMPTY_OFFSET 320
#define HZ3_SLAB_FULL_OFFSET 640
#define HZ3_SLAB_NEVER_SET_OFFSET 960
#define HZ3_SLAB_FREED_OFFSET 1472
_Static_assert(offsetof(Hz3Slab, top) == 0 && offsetof(Hz3Slab, empty) == HZ3_SLAB_EMPTY_OFFSET &&
                   offsetof(Hz3Slab, full) == HZ3_SLAB_FULL_OFFSET &&
                   offsetof(Hz3Slab, never_set) == HZ3_SLAB_NEVER_SET_OFFSET &&
                   offsetof(Hz3Slab, freed) == HZ3_SLAB_FREED_OFFSET,
               "the sections know where the fields are");
_Static_assert(offsetof(Hz3Slab, freed) <= HZ3_PAGE_SIZE,
               "hz3_slab_purge_slots() drops what lies behind the first page");

// Ends the program: no object begins there. The compiler is not told that it doesn't return, or it would be called,
// with a frame for that in free(), and not jumped to.
HZ3_COLD void hz3_slab_die_interior(const void *object);

// free() of an object that seems to be in its bin: ends the program if it is (hz3_front.c).
HZ3_COLD void hz3_front_free_noted(void *object, Hz3Tag cls);

// Every operation misses on it.
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

// Sizes of slabs follow the classes' capacities; after these are known.
void hz3_slab_init(void);

// An empty slab out of the pool or from the kernel, with no owner; NULL: the kernel has no memory. The caller holds no
// leaf lock.
Hz3Slab *hz3_slab_acquire(void);
// Back to the pool. The slab is empty and no pointer leads to it any more. Under the registry's lock.
void hz3_slab_release(Hz3Slab *slab);

// The first of all slabs, and so on by next_made; new ones come first.
Hz3Slab *hz3_slab_first(void);

// Protects the list of slabs, whose they are, and the pointers that lead to those of CPUs and threads.
extern Hz3Lock hz3_slab_lock;

// Called at a refill or an overflow: doubles the capacity at every second one, up to the class's.
void hz3_slab_note_miss(Hz3Slab *slab, uint32_t cls);

// For who has seized the slab: moves the objects of these bins into the middle layer, and halves the capacity of the
// idle ones. Returns the bytes moved.
size_t hz3_slab_flush(Hz3Slab *slab, uint32_t shard, bool idle_only);

// For who has seized a slab with nothing in it: its slots go back to the kernel, a thousand sleeping threads have as
// many.
void hz3_slab_purge_slots(Hz3Slab *slab);

// Looks at every bin; true when one has objects that have not moved since the call before the last. By the holder of
// the drain lock.
bool hz3_slab_watch(Hz3Slab *slab);

size_t hz3_slab_cached_bytes(const Hz3Slab *slab);

#endif
