// The inside of the middle layer, for the files that make it up: hz3_central.c (take and give), hz3_partial.c (runs of
// small objects) and hz3_central_drain.c (what an epoch or a reclaim takes out of it).
#ifndef HZ3_CENTRAL_STATE_H
#define HZ3_CENTRAL_STATE_H

#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_shard.h"
#include "base/hz3_size_class.h"
#include "base/hz3_types.h"
#include "middle/hz3_inbox.h"

typedef struct Central {
    _Alignas(64) Hz3Lock lock;
    _Atomic uint32_t count; // objects in transfer; written under the lock, read without it as a hint
    uint32_t low;           // lowest count since the last drain: what lay below it was not needed
    uint32_t partial;       // first run with objects in it, or HZ3_PAGE_NONE
    void **transfer;        // transfer_cap pointers, newest last
    uint32_t next_scanned;  // the partial purge's place in the list of partial runs, or HZ3_PAGE_NONE
    bool has_news;          // an object went back into a run since the partial purge began at the list's head
    _Alignas(64) Hz3Inbox inbox;
} Central;

extern Central hz3_central[HZ3_SHARDS_MAX][HZ3_CLASS_COUNT];

#define HZ3_FOR_EACH_CENTRAL(shard, cls)                                                                               \
    for (uint32_t shard = 0; shard < hz3_shard_count(); shard++)                                                       \
        for (uint32_t cls = HZ3_CLASS_FIRST; cls <= HZ3_CLASS_LAST; cls++)

static inline uint32_t hz3_transfer_count(const Central *c)
{
    return atomic_load_explicit(&c->count, memory_order_relaxed);
}

// Under the lock, so no locked instruction.
static inline void hz3_transfer_set_count(Central *c, uint32_t count)
{
    hz3_assert(hz3_lock_is_held(&c->lock));
    atomic_store_explicit(&c->count, count, memory_order_relaxed);
    if (count < c->low) {
        c->low = count;
    }
}

// For asserts, under c->lock. What holds whenever nobody has the lock:
//   C1  low ≤ count ≤ transfer_cap; what waits are addresses of the arena at which an object of the class may begin;
//   C2  the list of partial runs is linked both ways; its runs are valid, of this shard and class, marked as partial;
//   C3  an empty run is alone on the list;
//   C4  the partial purge's place is a run on the list, or none;
//   C5  a medium class has no runs here.
// Of long arrays and lists it looks at the end that changes.
bool hz3_central_is_valid(const Central *c);
bool hz3_partial_is_valid(const Central *c, uint32_t shard, uint32_t cls); // C2 to C5

// How every holder that may have changed something gives the lock back.
static inline void hz3_central_unlock(Central *c)
{
    hz3_assert_slow(hz3_central_is_valid(c));
    hz3_lock_release(&c->lock);
}

// Under c->lock. take: up to `want` objects, fewer when there are no more. put: an object goes back into its run; a run
// that is empty now is retired unless it is the only one of the list.
uint32_t hz3_partial_take(Central *c, uint32_t cls, void **out, uint32_t want);
void hz3_partial_put(Central *c, uint32_t run, uint32_t cls, void *object);
void hz3_partial_insert(Central *c, uint32_t run, uint32_t cls);
void hz3_partial_retire(Central *c, uint32_t run, uint32_t cls);
// After objects came back: puts the run on the list, or retires it.
void hz3_partial_settle(Central *c, uint32_t run, uint32_t cls);

// The caller holds no lock. settle_inbox: what other shards returned goes back into its runs. give_to_runs: objects of
// any shards go back to theirs, with use_inbox through the owners' inboxes while these have room.
void hz3_central_settle_inbox(Central *c, uint32_t cls);
void hz3_central_give_to_runs(uint32_t cls, void **objects, uint32_t n, bool use_inbox);
void hz3_central_release_medium(uint32_t cls, void *const *objects, uint32_t n);

#endif
