// A depot: the free objects of one shard and class, on their way between CPUs or threads. A stack of pointers without a
// fixed length, as a chain of magazines (J. Bonwick and J. Adams, "Magazines and Vmem", 2001). Objects go in and come
// out by batches, the newest first, and nobody looks at them meanwhile.
//
// A magazine that is full gets a new one above it. One that another shard had joins the chain as it is, so those below
// the top may have room too. Drains take from the bottom, where the oldest objects are.
//
// Everything here happens under the lock of the central that the depot belongs to.
#ifndef HZ3_DEPOT_H
#define HZ3_DEPOT_H

#include "base/hz3_types.h"
#include "middle/hz3_magazine.h"

typedef struct Hz3Depot {
    _Atomic uint32_t count; // objects; written under the lock, read without it as a hint
    uint32_t low;           // lowest count since the last drain: what lay below it was not needed
    Hz3Magazine *top;       // NULL: empty
    Hz3Magazine *bottom;
    Hz3Magazine *spare; // an empty one for the next push, or NULL
} Hz3Depot;

static inline uint32_t hz3_depot_count(const Hz3Depot *depot)
{
    return atomic_load_explicit(&depot->count, memory_order_relaxed);
}

// Puts the first ones of the n objects on top; returns how many. Fewer than n: a spare magazine is needed.
uint32_t hz3_depot_push(Hz3Depot *depot, void *const *objects, uint32_t n);

// Takes up to `want` of the newest objects, the oldest of them first; returns how many. Magazines that this empties
// become the spare or go to the list *emptied.
uint32_t hz3_depot_pop(Hz3Depot *depot, void **out, uint32_t want, Hz3Magazine **emptied);

// Takes the whole lowest magazine, or returns NULL; and puts one that is not empty on top.
Hz3Magazine *hz3_depot_detach_bottom(Hz3Depot *depot);
void hz3_depot_attach_top(Hz3Depot *depot, Hz3Magazine *magazine);

// Takes up to `max` of the oldest objects out of the lowest magazine, at most HZ3_MAGAZINE_OBJECTS.
uint32_t hz3_depot_pop_oldest(Hz3Depot *depot, void **out, uint32_t max, Hz3Magazine **emptied);

// For asserts. What holds whenever nobody has the lock:
//   D1  low ≤ count, and count is the sum of the magazines' counts;
//   D2  the chain is linked both ways, from `top` to `bottom`;
//   D3  no magazine of the chain is empty;
//   D4  the spare is empty and not in the chain;
//   D5  what waits are addresses of the arena; whether objects begin there is seen when they are settled.
// Of a long chain it looks at the newest magazines only, and then not at the sum.
bool hz3_depot_is_valid(const Hz3Depot *depot);

#endif
