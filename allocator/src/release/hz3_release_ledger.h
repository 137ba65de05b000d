// Gives what the ledger holds (hz3_ledger_list.h) back to the kernel: claims the bits, tells the kernel, publishes. A
// claimed page looks taken to everybody.
#ifndef HZ3_RELEASE_LEDGER_H
#define HZ3_RELEASE_LEDGER_H

#include "base/hz3_types.h"

// How much one epoch may purge, and what it leaves alone. Epochs are numbered; after a pause the number jumps by the
// epochs that would have fallen into it.
typedef struct Hz3PurgeLimits {
    uint32_t epoch;         // its number
    uint32_t resumed_epoch; // when the program came back to work after it had been idle
    uint32_t min_age;       // epochs that a page must have been free and untouched; 0: whatever is dirty goes
    uint32_t kept_age;      // half of that in segments to which the program came back; 0: there are none
    bool kept_too;          // with min_age 0: these go, too
    uint64_t pages;         // checked between segments, so both may be passed by one segment's worth
    uint64_t us;
    bool (*may_go_on)(void); // asked after each call of the kernel, unless NULL
} Hz3PurgeLimits;

// Purges what is due in the ledger, within the limits; what is left stays in it. Returns the pages purged. Segments
// that are free and clean as a whole are closed. One caller at a time.
//
// A segment is one to which the program came back when, within two thirds of kept_age, half of what it gave back was in
// use again. Then its pages wait for twice kept_age, and in an idle program until kept_too. So a program that works,
// pauses for a second and works again faults its memory in once or twice, and not each time.
size_t hz3_ledger_purge(const Hz3PurgeLimits *limits);

// Purges every free dirty page of the arena, past the ledger and any limit. Concurrent calls share the work: each page
// is claimed by one of them. Returns the pages purged.
size_t hz3_release_purge_all(void);

#endif
