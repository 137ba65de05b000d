#include "base/hz3_node.h"

#include "base/hz3_shard.h"
#include "base/hz3_stats.h"

// A bit for each node. A hint, written by the epoch that runs: an old value serves a claim from the wrong node, no
// more.
static _Atomic uint32_t resting;

static uint64_t refills_of_node(uint32_t node)
{
    uint64_t refills = 0;
    for (uint32_t i = 0; i < hz3_shards_per_node(); i++) {
        refills += atomic_load_explicit(&hz3_stat_stripes[hz3_shard_on_node(i, node)].value[HZ3_STAT_refills],
                                        memory_order_relaxed);
    }
    return refills;
}

void hz3_nodes_note_epoch(void)
{
    static struct {
        uint64_t refills;
        uint32_t epochs; // since they have changed
    } last[HZ3_NODES_MAX];
    uint32_t rest = 0;
    for (uint32_t node = 0; hz3_nodes > 1 && node < hz3_nodes; node++) {
        uint64_t refills = refills_of_node(node);
        last[node].epochs = refills == last[node].refills ? last[node].epochs + 1 : 0;
        last[node].refills = refills;
        rest |= (uint32_t)(last[node].epochs >= HZ3_NODE_REST_EPOCHS) << node;
    }
    if (rest != atomic_load_explicit(&resting, memory_order_relaxed)) {
        atomic_store_explicit(&resting, rest, memory_order_relaxed);
    }
}

uint32_t hz3_nodes_for(uint32_t shard)
{
    return atomic_load_explicit(&resting, memory_order_relaxed) | 1u << hz3_node_of_shard(shard);
}

uint64_t hz3_shards_for(uint32_t shard)
{
    uint64_t all = 0;
    uint64_t part = UINT64_MAX >> (64 - hz3_shards_per_node());
    for (uint32_t nodes = hz3_nodes_for(shard); nodes != 0; nodes &= nodes - 1) {
        all |= part << ((uint32_t)__builtin_ctz(nodes) * hz3_shards_per_node());
    }
    return all;
}
