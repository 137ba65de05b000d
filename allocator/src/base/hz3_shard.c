#include "base/hz3_shard.h"

#include "base/hz3_knobs.h"
#include "base/hz3_os.h"

uint32_t hz3_nodes = 1;
static uint32_t shards = 1;
static uint32_t log2_of_part;                  // shards of a node, as many as the largest one needs
static uint16_t shard_of_cpu[HZ3_OS_CPUS_MAX]; // dense, whatever numbers the process's CPUs have

static uint32_t min_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t wanted_shards(uint32_t parts, uint32_t cpus)
{
    uint32_t wanted = parts * hz3_round_up_power_of_two(min_of(cpus, HZ3_SHARDS_MAX));
    wanted = hz3_knobs.SHARDS != 0 ? hz3_round_up_power_of_two((uint32_t)hz3_knobs.SHARDS) : wanted;
    return min_of(wanted, HZ3_SHARDS_MAX);
}

void hz3_shard_init(void)
{
    static Hz3OsNodes known;
    hz3_os_nodes(&known, (uint32_t)hz3_knobs.NODES);
    uint32_t cpus = hz3_os_cpu_index(&known, shard_of_cpu);
    uint32_t parts = hz3_round_up_power_of_two(known.count);
    shards = wanted_shards(parts, cpus);
    if (parts > shards) { // HZ3_SHARDS says so
        parts = 1;
        hz3_os_nodes(&known, 1);
        hz3_os_cpu_index(&known, shard_of_cpu);
    }
    hz3_nodes = known.count;
    log2_of_part = (uint32_t)__builtin_ctz(shards / parts);
    for (uint32_t cpu = 0; cpu < HZ3_OS_CPUS_MAX; cpu++) {
        shard_of_cpu[cpu] = (uint16_t)hz3_shard_on_node(shard_of_cpu[cpu], known.of_cpu[cpu]);
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

// --- nodes -------------------------------------------------------------------------------------------------------

uint32_t hz3_node_of_shard(uint32_t shard)
{
    return shard >> log2_of_part;
}

uint32_t hz3_shard_on_node(uint32_t shard, uint32_t node)
{
    return node << log2_of_part | (shard & ((1u << log2_of_part) - 1));
}

uint32_t hz3_shards_per_node(void)
{
    return 1u << log2_of_part;
}
