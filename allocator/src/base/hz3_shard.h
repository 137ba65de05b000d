// Shards: equal slices of the middle layer and of the counters, a power of two of them. The CPU of the moment chooses
// the shard, never the thread. Until hz3_shard_init() there is one.
#ifndef HZ3_SHARD_H
#define HZ3_SHARD_H

#include "base/hz3_types.h"

// One for each CPU that the process may run on, or HZ3_SHARDS of them; after the knobs are read.
void hz3_shard_init(void);

uint32_t hz3_shard_count(void);
uint32_t hz3_shard_of_cpu(uint32_t cpu);
// The shard of the CPU that this thread runs on at this moment.
uint32_t hz3_shard_now(void);

#endif
