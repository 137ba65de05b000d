// The one place where pages become free, and the one place where memory of the arena goes back to the kernel.
#ifndef HZ3_RELEASE_BOUNDARY_H
#define HZ3_RELEASE_BOUNDARY_H

#include "base/hz3_config_rss_memory.h"
#include "base/hz3_os.h"
#include "base/hz3_types.h"

// Gives back pages that the caller owns and nobody can reach any more. Checks the range, clears sc_tag, marks the
// pages dirty, frees them and tells packing and the ledger. page_idx 0 is legal: no page of a segment holds metadata.
// Returns the pages released. A range outside of the segment, or free already, is an internal error and aborts. Takes
// no lock; any number of threads may call it at once.
int hz3_release_range_definitely_free_meta(Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages,
                                           Hz3ReleaseReason reason);

// The same by page number.
void hz3_release_pages(uint32_t page, uint32_t pages, Hz3ReleaseReason reason);

// Gives ranges of the arena back to the kernel, n ≤ HZ3_PURGE_BATCH: pages that the caller has claimed and publishes
// afterwards, in any case. Bit i of given->word: range i reads as zero now; else it is as it was. Returns the pages
// given. The caller holds no lock.
typedef struct Hz3RangesGiven {
    uint64_t word[HZ3_PURGE_BATCH / 64];
} Hz3RangesGiven;

size_t hz3_release_to_kernel(const Hz3OsRange *ranges, uint32_t n, Hz3RangesGiven *given);

_Static_assert(HZ3_PURGE_BATCH % 64 == 0, "a bit for every range");

static inline bool hz3_range_given(const Hz3RangesGiven *given, uint32_t i)
{
    return (given->word[i / 64] >> (i % 64) & 1) != 0;
}

#endif
