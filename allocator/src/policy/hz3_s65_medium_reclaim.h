// The medium part of an epoch (4-32 KiB): central → segment, through the boundary, into the ledger.
#ifndef HZ3_S65_MEDIUM_RECLAIM_H
#define HZ3_S65_MEDIUM_RECLAIM_H

#include "base/hz3_types.h"

// Pops the surplus of every shard's medium centrals, at most max_runs runs; the next call goes on with the central
// after the last one that it looked at. A medium object that lies below the low-water mark is in no front and in no
// program's hands: its place in the depot is the only one, so its pages are definitely free.
void hz3_s65_medium_reclaim_tick(uint64_t max_runs);

#endif
