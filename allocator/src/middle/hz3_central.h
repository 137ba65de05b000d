// The middle layer: per shard and class a depot (free objects on their way between threads, hz3_depot.h) and the
// partial runs of small classes. Medium objects are a run each and belong to nobody.
#ifndef HZ3_CENTRAL_H
#define HZ3_CENTRAL_H

#include "base/hz3_types.h"

#define HZ3_BATCH_MAX 256u

// Once, after knobs, size classes and shards.
void hz3_central_init(void);

// Fills out with 1..want objects (want ≤ HZ3_BATCH_MAX); 0 when neither segments nor a reclaim had any.
uint32_t hz3_central_take(uint32_t shard, uint32_t cls, void **out, uint32_t want);

// Takes n objects (n ≤ HZ3_BATCH_MAX) that no thread holds any more. Nobody looks at them before they go back to their
// runs, which finds those that are none and those that are free already. Never fails. It may change the array.
void hz3_central_give(uint32_t shard, uint32_t cls, void **objects, uint32_t n);

typedef enum Hz3DrainDepth {
    HZ3_DRAIN_SURPLUS, // what the low-water mark proves unneeded since the last drain; then the mark starts anew
    HZ3_DRAIN_ALL,     // everything
} Hz3DrainDepth;

// Small classes: depots go back to their runs, and empty runs to the boundary.
void hz3_central_drain_small(Hz3DrainDepth depth);
// Medium classes: depots go to the boundary, at most max_runs objects. Returns how many.
uint64_t hz3_central_drain_medium(Hz3DrainDepth depth, uint64_t max_runs);
// Both, or the small ones only; max_medium_runs bounds the medium part. Returns the pages that the boundary released
// meanwhile, those of other threads included.
size_t hz3_central_drain(Hz3DrainDepth depth, bool medium, uint64_t max_medium_runs);

// Puts the newest objects of each depot back where they came from, which checks them: batches, until they are as many
// as a bin of the class holds, for a bin that was flushed lies there with its newest objects lowest.
void hz3_central_check_newest(void);

// Objects in depots: what drains can still return. A snapshot.
size_t hz3_central_waiting_objects(bool medium);

// Moves medium runs of `shards` shards, from `shard` on, out of their depots into the page maps, at most max_pages
// pages. Returns the pages.
size_t hz3_central_drain_medium_of(uint32_t shard, uint32_t shards, uint64_t max_pages);

// Bytes of objects that wait here. A snapshot.
typedef struct Hz3CentralFigures {
    size_t depot_bytes;
    size_t run_bytes; // free objects of partial runs
} Hz3CentralFigures;
Hz3CentralFigures hz3_central_figures(void);
size_t hz3_central_cached_bytes(void);

bool hz3_central_fork_prepare(void);
void hz3_central_fork_parent(void);
void hz3_central_fork_child(void);

#endif
