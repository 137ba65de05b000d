// Which memory nodes (NUMA) serve a shard, and which are at rest. hz3_shard.h says which node a shard is of.
#ifndef HZ3_NODE_H
#define HZ3_NODE_H

#include "base/hz3_types.h"

// Whose memory serves a shard: its own node's, and that of nodes at rest, whose shards had no refill during so many
// epochs. What they have free would stay there for nobody, as when a whole process has been moved. A bit for each.
#define HZ3_NODE_REST_EPOCHS 3u
uint32_t hz3_nodes_for(uint32_t shard);
uint64_t hz3_shards_for(uint32_t shard);
void hz3_nodes_note_epoch(void); // by the epoch alone

#endif
