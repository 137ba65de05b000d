#include "base/hz3_shard.h"

#include "base/hz3_knobs.h"
#include "base/hz3_os.h"

static uint32_t shard_mask;
static uint16_t shard_of_cpu[HZ3_OS_CPUS_MAX]; // dense, whatever numbers the process's CPUs have

void hz3_shard_init(void)
{
    uint32_t cpus = hz3_os_cpu_index(shard_of_cpu);
    uint32_t shards = hz3_knobs.SHARDS != 0 ? (uint32_t)hz3_knobs.SHARDS : cpus;
    shards = hz3_round_up_power_of_two(shards < HZ3_SHARDS_MAX ? shards : HZ3_SHARDS_MAX);
    for (uint32_t cpu = 0; cpu < HZ3_OS_CPUS_MAX; cpu++) {
        shard_of_cpu[cpu] &= (uint16_t)(shards - 1);
    }
    shard_mask = shards - 1;
}

uint32_t hz3_shard_count(void)
{
    return shard_mask + 1;
}

uint32_t hz3_shard_of_cpu(uint32_t cpu)
{
    return shard_of_cpu[cpu % HZ3_OS_CPUS_MAX];
}

uint32_t hz3_shard_now(void)
{
    return hz3_shard_of_cpu(hz3_os_cpu());
}
