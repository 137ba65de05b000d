// Bulk frees: a program frees thousands of objects of one class in a row and then allocates another class. Its pages
// are the warmest there are, but the new class gets none of them while the freed objects wait in caches: one object
// keeps its whole run. So when fresh pages are opened, the class that was freed goes back to its runs first.
//
// What is kept here are hints. A wrong one settles objects of a class that is still in use, and costs time.
#ifndef HZ3_BULK_FREE_H
#define HZ3_BULK_FREE_H

#include "base/hz3_types.h"

// The shard's central was given objects of the class, `streak` of them since the last take. Without locks.
void hz3_bulk_note_given(uint32_t shard, uint32_t cls, uint32_t streak);
// The shard had nothing of this class, and opens fresh pages.
void hz3_bulk_note_opened(uint32_t shard, uint32_t cls);

// For the front, when it misses. 0: there is no class to settle. Otherwise the front settles what its own bin has of
// that class, batch by batch (n ≤ HZ3_BATCH_MAX; the array may change), and then a piece of what the shard's depot has.
uint32_t hz3_bulk_class(uint32_t shard);
void hz3_bulk_settle_cached(uint32_t cls, void **cached, uint32_t n);
void hz3_bulk_settle_waiting(uint32_t shard, uint32_t cls);

#endif
