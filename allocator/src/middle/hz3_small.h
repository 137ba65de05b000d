// Runs of small objects: an out-of-line bitmap says which objects are in the run. Everything here but hz3_run_create
// happens under the central lock of the run's owner; the caller holds it.
#ifndef HZ3_SMALL_H
#define HZ3_SMALL_H

#include "base/hz3_log.h"
#include "base/hz3_size_class.h"
#include "base/hz3_types.h"
#include "pages/hz3_arena.h"

// In `touched` of a run: no object came back since the partial purge looked at it.
#define HZ3_RUN_LOOKED_AT UINT8_MAX

// The time of runs: scans of the partial purge, modulo HZ3_RUN_LOOKED_AT. So nobody has to walk over runs for them to
// grow older. One that nobody looks at for so many scans seems young again, and waits on.
extern _Atomic uint8_t hz3_run_time;

static inline uint8_t hz3_run_now(void)
{
    return atomic_load_explicit(&hz3_run_time, memory_order_relaxed);
}

// Whole scans since then.
static inline uint32_t hz3_run_age(uint8_t since)
{
    uint32_t scans = (hz3_run_now() + (uint32_t)HZ3_RUN_LOOKED_AT - since) % HZ3_RUN_LOOKED_AT;
    return scans != 0 ? scans - 1 : 0;
}

// Makes a run of `class` out of pages that the caller has claimed; all objects in it, on no list.
void hz3_run_create(uint32_t page, uint32_t cls, uint32_t shard);

// Takes up to n objects out of the run, the lowest first, but objects that share a cache line not one after the other;
// returns how many.
uint32_t hz3_run_take(uint32_t run, uint32_t cls, void **out, uint32_t n);

// The first page of the run that holds this page of a small class.
static inline uint32_t hz3_run_of_page(uint32_t page)
{
    return page - hz3_arena.run[page].head_delta;
}

// Byte offset inside a run → index; the remainder is zero only at the start of an object.
static inline uint32_t hz3_index_of(const Hz3Class *class, uint32_t offset, uint32_t *remainder)
{
    uint32_t index = (uint32_t)(((uint64_t)offset * class->reciprocal) >> 32);
    *remainder = offset - index * class->size;
    return index;
}

// Says why an object cannot go back into its run, and aborts.
_Noreturn void hz3_run_refuse(uint32_t cls, const void *object, uint32_t remainder);

// Pages inside a run that lives on. Invariant: whoever holds the owner's central lock sees in the bitmap which objects
// are free, so a page whose objects are all there belongs to nobody. claim takes exactly these objects out of the
// bitmap, and with them the right to purge the pages outside of the lock: nobody can take them, and the run cannot
// become empty and be retired meanwhile. publish puts them back. Pages are bits, counted from the run's first page.
#define HZ3_RUN_WORDS_MAX 8u

// Claims all pages whose objects are free and that were not purged before; returns them. Until publish, the run's
// free_objs may be 0 while it is on its list.
uint32_t hz3_run_claim_free_pages(uint32_t run, uint32_t cls);
// Gives back what claim returned; `purged` of them read as zero now, until an object of theirs is taken.
void hz3_run_publish_pages(uint32_t run, uint32_t cls, uint32_t pages, uint32_t purged);

// Aborts with a message when `object` is not the start of an object of `class` in a live run.
void hz3_object_require(uint32_t cls, const void *object);

// True if an object of the class may start at p; for entry points that name themselves in the message. Of the 64-byte
// steps inside the first page of a medium run a few pass that this object does not start at (see the cache colour).
bool hz3_object_starts_at(uint32_t cls, const void *object);

// For asserts, by whoever may change the run:
//   R1  its pages lie in one segment and are taken; each has the class as its tag and knows the way to the first;
//   R2  the bitmap has bits of objects only, as many as free_objs says;
//   R3  `purged` has bits of its pages only, and the owner is a shard.
bool hz3_run_is_valid(uint32_t run, uint32_t cls);

// Puts objects back, from the first one on as many as lie in the run; returns how many, at least 1. The run is what
// hz3_run_of_page() finds for the first. Aborts with a message when one is not an object of a live run or is in its run
// already. Inline, as is what it calls: blocks freed at random are each a group of their own.
static inline uint32_t hz3_run_put(uint32_t run, uint32_t cls, void *const *objects, uint32_t n)
{
    const Hz3Class *class = &hz3_classes[cls];
    // The run may have been retired since the object was freed: only a second free of the same object does that. The
    // others are in the same run, which is not retired before this returns.
    if (HZ3_UNLIKELY(hz3_tag_of(hz3_page_of(objects[0])) != cls)) {
        hz3_run_refuse(cls, objects[0], 0);
    }
    hz3_assert_slow(hz3_run_is_valid(run, cls));
    char *base = hz3_page_addr(run);
    uint64_t *bits = hz3_arena.bits[run].word;
    uint32_t put = 0;
    size_t offset = (size_t)((char *)objects[0] - base);
    do {
        uint32_t remainder;
        uint32_t index = hz3_index_of(class, (uint32_t)offset, &remainder);
        uint64_t word = bits[index / 64];
        if (HZ3_UNLIKELY((remainder | (word >> (index % 64) & 1)) != 0)) {
            hz3_run_refuse(cls, objects[put], remainder);
        }
        bits[index / 64] = word | 1ull << (index % 64);
        put++;
        offset = put < n ? (size_t)((char *)objects[put] - base) : SIZE_MAX;
    } while (offset < class->pages * HZ3_PAGE_SIZE);
    hz3_assert(hz3_arena.run[run].free_objs + put <= class->objs);
    hz3_arena.run[run].free_objs = (uint16_t)(hz3_arena.run[run].free_objs + put);
    return put;
}

// Bytes from each object to the one that hz3_run_take() takes after it.
ptrdiff_t hz3_run_step(uint32_t cls);

// The same as hz3_run_put() for at least two objects, the second of which is one step above or below the first.
// Programs often free in the order in which they allocated, or in the opposite one; then a word of the bitmap is looked
// at once.
uint32_t hz3_run_put_in_order(uint32_t run, uint32_t cls, void *const *objects, uint32_t n);

#endif
