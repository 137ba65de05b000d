// The size classes that hz3_size_class.def lists. A size finds its class in one of two tables: a small one in units of
// 16 bytes, a larger one, up to 32 KiB, in steps of 512.
#ifndef HZ3_SIZE_CLASS_H
#define HZ3_SIZE_CLASS_H

#include "base/hz3_log.h"
#include "base/hz3_types.h"

// The units of 16 bytes that a small class serves. An enumerator without a value is one more than the one before it: a
// class begins after the last unit of its predecessor, and the first one with size 0.
enum {
#define HZ3_SMALL_CLASS(bytes, run_pages) HZ3_UNIT_FIRST_##bytes, HZ3_UNIT_LAST_##bytes = (bytes) / HZ3_MIN_ALIGN,
#include "base/hz3_size_class.def"
    HZ3_UNIT_COUNT,
};

// The largest sizes: of the table that malloc reads first, and of the front.
#define HZ3_SMALL_MAX ((size_t)HZ3_MIN_ALIGN * (HZ3_UNIT_COUNT - 1))
#define HZ3_MEDIUM_MAX (HZ3_PAGE_SIZE * (HZ3_CLASS_COUNT - HZ3_CLASS_MEDIUM_FIRST))

// The same for the sizes above, in steps that divide every class's size.
#define HZ3_STEP_SHIFT 9
enum {
    HZ3_STEP_BEFORE = (HZ3_SMALL_MAX >> HZ3_STEP_SHIFT) - 1,
#define HZ3_MEDIUM_CLASS(bytes) HZ3_STEP_FIRST_##bytes, HZ3_STEP_LAST_##bytes = ((bytes) >> HZ3_STEP_SHIFT) - 1,
#define HZ3_HALF_CLASS(bytes, run_pages) HZ3_MEDIUM_CLASS(bytes)
#include "base/hz3_size_class.def"
    HZ3_STEP_COUNT,
};

#define HZ3_SMALL_RUN_PAGES_MAX (HZ3_MEDIUM_MAX / HZ3_PAGE_SIZE)

// Objects that a front bin holds, whatever HZ3_FRONT_BYTES says. More than the usual most where they are so small that
// they come to no more than these bytes.
#define HZ3_FRONT_CAP_MIN 8u
#define HZ3_FRONT_CAP_USUAL_MAX 256u
#define HZ3_FRONT_CAP_MAX 1024u
#define HZ3_FRONT_SMALL_BYTES (128u << 10)

typedef struct Hz3Class {
    uint32_t size;
    uint32_t pages;      // of a run
    uint32_t objs;       // in a run
    uint32_t reciprocal; // ceil(2^32 / size): offset * reciprocal >> 32 == offset / size inside a run
    uint32_t front_cap;  // objects a front bin holds; from HZ3_FRONT_BYTES
    uint32_t depot_cap;  // objects a depot holds; from HZ3_DEPOT_BYTES
} Hz3Class;

extern Hz3Class hz3_classes[HZ3_CLASS_COUNT];

// Indexed by (size + 15) / 16 for small sizes; size 0 gets the 16-byte class. Filled at compile time.
extern HZ3_HIDDEN const uint8_t hz3_class_of_units[HZ3_UNIT_COUNT];
// Indexed by (size - 1) / 512 for the sizes above.
extern HZ3_HIDDEN const uint8_t hz3_class_of_steps[HZ3_STEP_COUNT];

// Sizes that take the front. 0 until hz3_init() is through, so that no earlier call gets there and the hot path
// needs no test of its own; written once, after everything that the front reads.
typedef struct Hz3Limits {
    size_t small_end;
    size_t medium_max; // the largest size. Tested as size - 1 >= medium_max, so that size 0 never passes as medium
} Hz3Limits;
extern HZ3_HIDDEN Hz3Limits hz3_limits;
void hz3_size_class_open(void);

// Fills in the capacities; after the knobs are read.
void hz3_size_class_init(void);

// size ≤ HZ3_SMALL_MAX
static inline uint32_t hz3_class_of_small(size_t size)
{
    hz3_assert(size <= HZ3_SMALL_MAX);
    return hz3_class_of_units[(size + 15) >> 4];
}

// The smallest class of at least `size` bytes whose objects are all aligned to `align` (a power of two ≤ a page), or 0.
uint32_t hz3_class_of_aligned(size_t size, size_t align);

static inline bool hz3_class_is_medium(uint32_t cls)
{
    return cls >= HZ3_CLASS_MEDIUM_FIRST;
}

// HZ3_SMALL_MAX < size ≤ HZ3_MEDIUM_MAX. A medium class or a half-step one.
static inline uint32_t hz3_class_beyond_small(size_t size)
{
    hz3_assert(size > HZ3_SMALL_MAX && size <= HZ3_MEDIUM_MAX);
    return hz3_class_of_steps[(size - 1) >> HZ3_STEP_SHIFT];
}

// size ≤ HZ3_MEDIUM_MAX
static inline uint32_t hz3_class_of(size_t size)
{
    return size <= HZ3_SMALL_MAX ? hz3_class_of_small(size) : hz3_class_beyond_small(size);
}

// Bits that are 0 in the address of every object of the class.
uint16_t hz3_class_never_set(uint32_t cls);

// Cache colour. Medium runs begin on pages, so without it every block's first line would meet in the same few sets of
// the caches (16 of 1024 in a 1-MiB L2). malloc moves the block by a multiple of 64 that depends on the run and is a
// submask of the bytes that the class has left over, so it costs no memory: a size of sc pages and a bit touches all sc
// + 1 pages anyway. Caches keep the pointer as the program gave it; only malloc, the flush's check and the usable size
// know of it.
//
// The bytes in front of the block are lost to malloc_usable_size: 2.4 % of random 4096..32768-byte blocks with 32
// places, which spread the first lines over half of the L1 sets; 64 places cost twice that and were no faster.
#define HZ3_COLOUR_MASK ((uintptr_t)0x7C0)

static inline uintptr_t hz3_colour_of_run(uintptr_t base)
{
    return ((uint32_t)(base >> HZ3_PAGE_SHIFT) * 0x9E3779B1u >> 20) & HZ3_COLOUR_MASK;
}

static inline void *hz3_medium_base(const void *object)
{
    return (void *)((uintptr_t)object & ~(HZ3_PAGE_SIZE - 1));
}

// Where a request of `size` bytes lies in a medium run of its class.
static inline void *hz3_medium_place(const void *object, size_t size)
{
    uintptr_t base = (uintptr_t)hz3_medium_base(object);
    return (void *)(base | (hz3_colour_of_run(base) & -size));
}

// Pages of a medium run; sc counts from 0 = 4096 bytes.
static inline uint32_t hz3_sc_to_pages(uint32_t sc)
{
    return sc + 1;
}

// Pages for an object above 32 KiB: at most 12.5 % more than asked.
static inline size_t hz3_large_pages(size_t size)
{
    hz3_assert(size != 0 && size <= HZ3_REQUEST_MAX);
    size_t pages = (size + HZ3_PAGE_SIZE - 1) >> HZ3_PAGE_SHIFT;
    uint32_t log2 = 63u - (uint32_t)__builtin_clzl(pages | 8);
    size_t step = (size_t)1 << (log2 - 3);
    return (pages + step - 1) & ~(step - 1);
}

#endif
