// The medium part of an epoch (4-32 KiB): central → segment, through the boundary, into the ledger.
#ifndef HZ3_S65_MEDIUM_RECLAIM_H
#define HZ3_S65_MEDIUM_RECLAIM_H

// Pops the surplus of every shard's medium centrals, at most HZ3_S65_MEDIUM_RECLAIM_BUDGET_RUNS runs. A medium object
// that lies below the low-water mark is in no front and in no program's hands: its place in the depot is the
// only one, so its pages are definitely free.
void hz3_s65_medium_reclaim_tick(void);

#endif
