// The inside of the middle layer, for the files that make it up: hz3_central.c (take and give), hz3_partial.c (runs of
// small objects) and hz3_central_drain.c (what an epoch or a reclaim takes out of it).
#ifndef HZ3_CENTRAL_STATE_H
#define HZ3_CENTRAL_STATE_H

#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_shard.h"
#include "base/hz3_size_class.h"
#include "base/hz3_types.h"
#include "middle/hz3_depot.h"

typedef struct Central {
    _Alignas(64) Hz3Lock lock;
    Hz3Depot depot;
    uint32_t partial;      // first run with objects in it, or HZ3_PAGE_NONE
    uint32_t partial_runs; // runs of that list
    uint32_t next_scanned; // the partial purge's place in the list of partial runs, or HZ3_PAGE_NONE
    // Read without the lock, too.
    _Atomic bool has_news;   // something came into the depot since a drain found it empty
    _Atomic uint16_t streak; // objects given since the last take, or since a drain found it empty; at most UINT16_MAX
} Central;

_Static_assert(sizeof(Central) == 64, "a central is one cache line");

extern Central hz3_central[HZ3_SHARDS_MAX][HZ3_CLASS_COUNT];

#define HZ3_FOR_EACH_CENTRAL(shard, cls)                                                                               \
    for (uint32_t shard = 0; shard < hz3_shard_count(); shard++)                                                       \
        for (uint32_t cls = HZ3_CLASS_FIRST; cls <= HZ3_CLASS_LAST; cls++)

// Under c->lock: says to the other shards whether this one has more objects of the class than it needs soon.
void hz3_central_offer(const Central *c);

// For asserts, under c->lock. What holds whenever nobody has the lock:
//   C1  the depot is valid (hz3_depot.h), and empty and without a spare unless it has news;
//   C2  the list of partial runs is linked both ways; its runs are valid, of this shard and class, marked as partial;
//   C3  an empty run is alone on the list;
//   C4  the partial purge's place is a run on the list, or none;
//   C5  a medium class has no runs here;
//   C6  the count of free objects is that of the list's runs (hz3_partial_news.h).
// Of long lists it looks at the end that changes.
bool hz3_central_is_valid(const Central *c);
bool hz3_partial_is_valid(const Central *c, uint32_t shard, uint32_t cls); // C2 to C6

// How every holder that may have changed something gives the lock back.
static inline void hz3_central_unlock(Central *c)
{
    hz3_assert_slow(hz3_central_is_valid(c));
    hz3_central_offer(c);
    hz3_lock_release(&c->lock);
}

// Under c->lock. take: up to `want` objects, fewer when there are no more.
uint32_t hz3_partial_take(Central *c, uint32_t cls, void **out, uint32_t want);
void hz3_partial_insert(Central *c, uint32_t run, uint32_t cls);
void hz3_partial_retire(Central *c, uint32_t run, uint32_t cls);
// After objects came back: puts the run on the list; when it is empty, retires it unless it is the only one there.
void hz3_partial_settle(Central *c, uint32_t run, uint32_t cls);

// The caller holds no lock. Settles at most so many objects of the depot, oldest first; returns how many.
uint32_t hz3_central_drain_class(uint32_t shard, uint32_t cls, uint32_t max_objects);

// The caller holds no lock, and nobody else has these objects. Puts them back where they came from: small ones into
// their runs, medium ones through the release boundary. Aborts with a message on one that is no object of a live run,
// or is there already. It changes the array.
void hz3_central_settle(uint32_t cls, void **objects, uint32_t n);

#endif
