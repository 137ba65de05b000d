// The one place where pages become free, and the one place where free pages go back to the kernel.
#ifndef HZ3_RELEASE_BOUNDARY_H
#define HZ3_RELEASE_BOUNDARY_H

#include "hz3_types.h"

// Gives back pages that the caller owns and nobody can reach any more. Checks the range, clears sc_tag, marks the
// pages dirty, frees them and tells packing. page_idx 0 is legal: no page of a segment holds metadata. Returns the
// pages released; a range outside the segment or already free is an internal error and aborts. Thread-safe, lock-free.
int hz3_release_range_definitely_free_meta(Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages,
                                           Hz3ReleaseReason reason);

// The same by page number.
void hz3_release_pages(uint32_t page, uint32_t pages, Hz3ReleaseReason reason);

// Gives every free dirty page of the arena back to the kernel and closes segments that are free as a whole. Returns the
// pages purged. Concurrent calls share the work: each page is claimed by one of them.
size_t hz3_release_purge_all(void);

// Pages that a purger has claimed and not yet published.
uint32_t hz3_release_pages_in_purging(void);

#endif
