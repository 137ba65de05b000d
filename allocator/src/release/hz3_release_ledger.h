// Gives what the ledger holds (hz3_ledger_list.h) back to the kernel: claims the bits, tells the kernel, publishes. A
// claimed page looks taken to everybody.
#ifndef HZ3_RELEASE_LEDGER_H
#define HZ3_RELEASE_LEDGER_H

#include "base/hz3_types.h"

// How much one epoch may purge.
typedef struct Hz3PurgeLimits {
    uint32_t epoch;   // its number
    uint32_t min_age; // epochs that a page must have been free and untouched; 0: whatever is dirty goes
    uint64_t pages;   // checked between segments, so both may be passed by one segment's worth
    uint64_t calls;
} Hz3PurgeLimits;

// Purges what the ledger holds, within the limits; what is left stays in it. Returns the pages purged. Segments that
// are free and clean as a whole are closed. One caller at a time.
size_t hz3_ledger_purge(const Hz3PurgeLimits *limits);

// Purges every free dirty page of the arena, past the ledger and any limit. Concurrent calls share the work: each page
// is claimed by one of them. Returns the pages purged.
size_t hz3_release_purge_all(void);

#endif
