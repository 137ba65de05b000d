#include "hz3_epoch.h"

#include "hz3.h"
#include "hz3_api.h"
#include "hz3_central.h"
#include "hz3_front.h"
#include "hz3_init.h"
#include "hz3_knobs.h"
#include "hz3_mapping.h"
#include "hz3_release_boundary.h"
#include "hz3_stats.h"

// A flag and no lock: it stays set across the madvise calls, and nobody ever waits for it.
static _Atomic bool running;

HZ3_EXPORT void hz3_epoch_force(void)
{
    if (!hz3_init() || atomic_exchange_explicit(&running, true, memory_order_acquire)) {
        return;
    }
    hz3_stat_add(epochs, 1);
    hz3_front_drain(HZ3_FRONT_IDLE);
    hz3_central_drain(HZ3_DRAIN_SURPLUS, hz3_knobs.S65_RELEASE_COVERAGE, hz3_knobs.S65_MEDIUM_RECLAIM_BUDGET_RUNS);
    hz3_mapping_trim(false);
    hz3_release_purge_all();
    atomic_store_explicit(&running, false, memory_order_release);
}

size_t hz3_epoch_trim_all(void)
{
    hz3_front_drain(HZ3_FRONT_ALL);
    hz3_central_drain(HZ3_DRAIN_ALL, true, UINT64_MAX);
    return hz3_mapping_trim(true) + hz3_release_purge_all();
}

void hz3_epoch_fork_child(void)
{
    atomic_store_explicit(&running, false, memory_order_relaxed);
}
