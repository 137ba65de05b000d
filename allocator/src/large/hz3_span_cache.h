// Freed spans, which wait here for a request of their length, or of a length up to a quarter less, before their pages
// go back to the page map: a span that comes out of here costs a short lock and one tag, one out of a page map a
// search, two atomic words and all its tags.
//
// A cached span is linked by the run record of its first page. Its pages are taken, its first page has no tag, so that
// a free of it finds nothing allocated there, and the others keep theirs.
#ifndef HZ3_SPAN_CACHE_H
#define HZ3_SPAN_CACHE_H

#include "base/hz3_types.h"

void hz3_span_cache_init(void);

// A span of so many pages, or if there is none of up to a quarter more, without a tag on its first page; HZ3_PAGE_NONE:
// there is none. While the arena has few slots left, it has exactly so many. The caller holds no lock.
uint32_t hz3_span_cache_take(uint32_t shard, uint32_t pages);

// Takes a span over whose tag the caller has removed. False: it is none that is cached, or the cache is full. The
// caller holds no lock.
bool hz3_span_cache_put(uint32_t shard, uint32_t page);

// Gives the oldest spans of `shards` shards, from `shard` on, to the release boundary: all of them, or as many of each
// length as were there at any time since the last drain of that kind. Returns the pages. The caller holds no lock.
size_t hz3_span_cache_drain(uint32_t shard, uint32_t shards, bool all);
size_t hz3_span_cache_drain_all(void);

// A snapshot.
size_t hz3_span_cache_bytes(void);

bool hz3_span_cache_fork_prepare(void);
void hz3_span_cache_fork_parent(void);
void hz3_span_cache_fork_child(void);

#endif
