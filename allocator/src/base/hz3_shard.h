// Shards: equal slices of the middle layer and of the counters, a power of two of them. The CPU of the moment chooses
// the shard, never the thread. Until hz3_shard_init() there is one.
//
// On a machine with several memory nodes (NUMA) a shard's CPUs are of one of them: each node has an equal part of the
// shards. A machine without nodes is one node, and so is one with more nodes than HZ3_SHARDS.
#ifndef HZ3_SHARD_H
#define HZ3_SHARD_H

#include "base/hz3_types.h"

// Of each node as many as the node with most CPUs has, or HZ3_SHARDS in all; HZ3_NODES says where nodes come from.
// After the knobs are read.
void hz3_shard_init(void);

uint32_t hz3_shard_count(void);
uint32_t hz3_shard_of_cpu(uint32_t cpu);
// The shard of the CPU that this thread runs on at this moment.
uint32_t hz3_shard_now(void);

extern HZ3_HIDDEN uint32_t hz3_nodes;
static inline bool hz3_has_nodes(void)
{
    return HZ3_UNLIKELY(hz3_nodes > 1);
}

uint32_t hz3_node_of_shard(uint32_t shard);
// The one with the shard's place among those of the node.
uint32_t hz3_shard_on_node(uint32_t shard, uint32_t node);
uint32_t hz3_shards_per_node(void); // a power of two

#endif
