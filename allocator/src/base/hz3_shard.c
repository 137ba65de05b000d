#include "base/hz3_shard.h"

#include "base/hz3_knobs.h"
#include "base/hz3_os.h"

static uint32_t shards = 1;
static uint32_t nodes = 1;
static uint32_t shards_per_node = 1;           // a power of two, like their product
static uint16_t shard_of_cpu[HZ3_OS_CPUS_MAX]; // dense, whatever numbers the process's CPUs have

static uint32_t min_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

// Each node has as many shards as the largest one needs, so that a shard's node is arithmetic.
void hz3_shard_init(void)
{
    static Hz3OsNodes known;
    hz3_os_nodes(&known, (uint32_t)hz3_knobs.NODES);
    uint32_t cpus = hz3_os_cpu_index(&known, shard_of_cpu);
    uint32_t parts = hz3_round_up_power_of_two(known.count);
    shards = parts * hz3_round_up_power_of_two(min_of(cpus, HZ3_SHARDS_MAX));
    shards = hz3_knobs.SHARDS != 0 ? hz3_round_up_power_of_two((uint32_t)hz3_knobs.SHARDS) : shards;
    shards = min_of(shards, HZ3_SHARDS_MAX);
    nodes = parts <= shards ? known.count : 1;
    shards_per_node = nodes == 1 ? shards : shards / parts;
    for (uint32_t cpu = 0; cpu < HZ3_OS_CPUS_MAX; cpu++) {
        uint32_t node = nodes == 1 ? 0 : known.of_cpu[cpu];
        shard_of_cpu[cpu] = (uint16_t)(node * shards_per_node + (shard_of_cpu[cpu] & (shards_per_node - 1)));
    }
}

uint32_t hz3_shard_count(void)
{
    return shards;
}

uint32_t hz3_shard_of_cpu(uint32_t cpu)
{
    return shard_of_cpu[cpu % HZ3_OS_CPUS_MAX];
}

uint32_t hz3_shard_now(void)
{
    return hz3_shard_of_cpu(hz3_os_cpu());
}

uint32_t hz3_node_count(void)
{
    return nodes;
}

uint32_t hz3_node_of_shard(uint32_t shard)
{
    return nodes == 1 ? 0 : shard / shards_per_node;
}

uint64_t hz3_shards_near(uint32_t shard)
{
    if (nodes == 1) {
        return UINT64_MAX;
    }
    return ((1ull << shards_per_node) - 1) << (hz3_node_of_shard(shard) * shards_per_node);
}
