// The arena: one range of addresses, cut into 2 MiB slots (= segments), and the tables that describe its pages. All
// metadata lies beside the arena, none inside it. A slot has memory while it is open, and tables reach as far as slots
// were ever opened, in steps of 64 (hz3_window.h).
#ifndef HZ3_ARENA_H
#define HZ3_ARENA_H

#include "base/hz3_log.h"
#include "base/hz3_types.h"

typedef struct Hz3Arena {
    // Read by every free(): base and size make "is this ours" one subtraction and one comparison. The size, 0 before
    // init, grows with the tables.
    uintptr_t base;
    size_t size;
    _Atomic uint8_t *sc_tag; // by page number

    Hz3RunMeta *run;            // by page number
    Hz3PageBits *bits;          // by page number
    Hz3SegMeta *seg;            // by slot
    Hz3BlockState *block_state; // by 16 bytes of the arena; hardened lane
    _Atomic uint32_t slots;     // most there can be; set last: who sees it sees the rest

    // Change as slots open and close, so they are kept off the line above.
    _Alignas(64) _Atomic uint32_t slots_left; // closed slots
    _Atomic uint32_t slots_touched;           // slots [0, this) have been opened at least once: bounds every walk
} Hz3Arena;

_Static_assert(offsetof(Hz3Arena, slots) < 64 && offsetof(Hz3Arena, slots_left) == 64,
               "what free() reads shares its line with nothing that changes");

extern HZ3_HIDDEN Hz3Arena hz3_arena;

// Finds addresses for what HZ3_ARENA_SIZE asks, or, where they must be reserved, for halves of it until the kernel
// agrees. When it agrees to nothing the arena has no slots and every object is a mapping, until a later try succeeds.
void hz3_arena_init(void);
void hz3_arena_fork_child(void);
// Has the arena slots? Where it has none, tries now and then. Called without locks.
bool hz3_arena_exists(void);

// Opens the lowest free slot for this shard, all its pages free and clean, and publishes them. HZ3_PAGE_NONE: the arena
// is full, or the kernel has no memory.
uint32_t hz3_arena_slot_open(uint32_t shard);

// Gives a slot back whose 512 pages the caller has claimed and purged.
void hz3_arena_slot_close(uint32_t slot);

// Slots that could be opened now. A snapshot.
static inline uint32_t hz3_arena_slots_left(void)
{
    return atomic_load_explicit(&hz3_arena.slots_left, memory_order_relaxed);
}

static inline uint32_t hz3_arena_slots_open(void)
{
    return hz3_arena.slots - hz3_arena_slots_left();
}

// While this holds, pages are chosen so that the most fits in, not for speed.
static inline bool hz3_arena_is_scarce(void)
{
    return hz3_arena_slots_left() <= hz3_arena.slots / 16;
}

// A snapshot, unless the caller owns pages of the slot.
bool hz3_arena_slot_is_open(uint32_t slot);

// Touched slots that are closed now. A snapshot.
uint32_t hz3_arena_slots_closed(void);

// Walks every touched segment that may hold pages.
#define HZ3_FOR_EACH_SLOT(slot)                                                                                        \
    for (uint32_t slot = 0, hz3_end = atomic_load_explicit(&hz3_arena.slots_touched, memory_order_acquire);            \
         slot < hz3_end; slot++)

static inline bool hz3_arena_owns(const void *p)
{
#ifdef __SANITIZE_THREAD__ // or it reports that the size grows meanwhile
    size_t size = __atomic_load_n(&hz3_arena.size, __ATOMIC_RELAXED);
#else
    size_t size = hz3_arena.size;
#endif
    return (uintptr_t)p - hz3_arena.base < size;
}

static inline uint32_t hz3_page_of(const void *p)
{
    return (uint32_t)(((uintptr_t)p - hz3_arena.base) >> HZ3_PAGE_SHIFT);
}

static inline void *hz3_page_addr(uint32_t page)
{
    return (void *)(hz3_arena.base + ((uintptr_t)page << HZ3_PAGE_SHIFT));
}

static inline Hz3Tag hz3_tag_of(uint32_t page)
{
    hz3_assert(page / HZ3_PAGES_PER_SEG < hz3_arena.slots);
    return atomic_load_explicit(&hz3_arena.sc_tag[page], memory_order_relaxed);
}

// Only by whoever has claimed the pages.
static inline void hz3_tag_set(uint32_t page, uint32_t pages, Hz3Tag tag)
{
    hz3_assert(tag < HZ3_TAG_END && page % HZ3_PAGES_PER_SEG + pages <= HZ3_PAGES_PER_SEG);
    for (uint32_t i = 0; i < pages; i++) {
        atomic_store_explicit(&hz3_arena.sc_tag[page + i], tag, memory_order_relaxed);
    }
}

// The segment's metadata from any address inside it: arithmetic, no lookup.
static inline Hz3SegMeta *hz3_segmap_get(const void *seg_base)
{
    return hz3_arena_owns(seg_base) ? &hz3_arena.seg[hz3_page_of(seg_base) / HZ3_PAGES_PER_SEG] : NULL;
}

#endif
