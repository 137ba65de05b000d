// Shards: equal slices of the middle layer and of the counters, a power of two of them. The CPU of the moment chooses
// the shard, never the thread. Until hz3_shard_init() there is one.
//
// A shard's CPUs are of one memory node (NUMA), numbered from 0 upwards; a machine without nodes is one node.
#ifndef HZ3_SHARD_H
#define HZ3_SHARD_H

#include "base/hz3_types.h"

// One for each CPU that the process may run on, or HZ3_SHARDS of them; HZ3_NODES says where nodes come from. After the
// knobs are read.
void hz3_shard_init(void);

uint32_t hz3_shard_count(void);
uint32_t hz3_shard_of_cpu(uint32_t cpu);
// The shard of the CPU that this thread runs on at this moment.
uint32_t hz3_shard_now(void);

uint32_t hz3_node_count(void);
uint32_t hz3_node_of_shard(uint32_t shard);
// A bit for each shard of the same node.
uint64_t hz3_shards_near(uint32_t shard);

#endif
