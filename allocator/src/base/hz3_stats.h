// Event counters in per-shard stripes: hz3_stat_add(name, n). The stripes lie in a page that HZ3_STATS_FILE maps to a
// file, so that another process can sample them; its layout is in hz3.h.
#ifndef HZ3_STATS_H
#define HZ3_STATS_H

#include "base/hz3_shard.h"
#include "base/hz3_types.h"

typedef enum Hz3Counter {
#define HZ3_COUNTER(name, meaning) HZ3_STAT_##name,
#include "base/hz3_stats.def"
#undef HZ3_COUNTER
    HZ3_STAT_COUNT,
} Hz3Counter;

// Rounded up to whole cache lines: one stripe is written by one CPU most of the time.
#define HZ3_STAT_STRIPE_SLOTS ((HZ3_STAT_COUNT + 7u) & ~7u)

typedef struct Hz3StatStripe {
    _Alignas(64) _Atomic uint64_t value[HZ3_STAT_STRIPE_SLOTS];
} Hz3StatStripe;

extern Hz3StatStripe *hz3_stat_stripes;

#define hz3_stat_add(name, n) hz3_stats_add(HZ3_STAT_##name, (uint64_t)(n))
#define hz3_stat_sum(name) hz3_stats_sum(HZ3_STAT_##name)

// One instruction without a lock prefix where there is such a thing: a stripe belongs to a CPU, and one instruction
// cannot be preempted halfway. A thread that moves to another CPU just before it can lose a count, and so can CPUs that
// share a stripe (more than HZ3_SHARDS): then a sum may be a little too small, and for a moment smaller than it was. A
// locked instruction would wait for every store before it, the program's included.
static inline void hz3_stats_add(Hz3Counter counter, uint64_t n)
{
    _Atomic uint64_t *value = &hz3_stat_stripes[hz3_shard_now()].value[counter];
#if defined(__x86_64__)
    __asm__ volatile("addq %1, %0" : "+m"(*value) : "r"(n));
#else
    atomic_fetch_add_explicit(value, n, memory_order_relaxed);
#endif
}

// Sum over the stripes; once writers are quiet it stays, less the counts that were lost.
uint64_t hz3_stats_sum(Hz3Counter counter);

// How every entry point ends that has no memory to give: counts, sets errno to ENOMEM, returns NULL.
HZ3_COLD void *hz3_alloc_failed(void);

// Maps HZ3_STATS_FILE when it is set; without it, or when it cannot be created, the counters stay in memory.
void hz3_stats_init(void);
// The child's counts are its own: they leave the parent's file alone.
void hz3_stats_fork_child(void);
// The lines that HZ3_STATS=1 prints once. front: whose slabs serve this process, "cpu" or "thread". ledger_drops: the
// value of hz3_ledger_drops().
void hz3_stats_print(const char *front, uint32_t ledger_drops);

#endif
