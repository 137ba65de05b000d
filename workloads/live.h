// Live page: how many requested bytes each thread counts as alive, in memory that the harness may share and sample.
#ifndef WORKLOADS_LIVE_H
#define WORKLOADS_LIVE_H

#include "latency.h"
#include "util.h"

#include <stdatomic.h>

enum { LIVE_SLOTS = 1024 };

// Written by one thread, with plain stores. The thread that frees a block subtracts it, even if
// another one allocated it. So a slot may be negative; only the sum over all slots means something.
typedef struct LiveSlot {
    _Alignas(CACHE_LINE) _Atomic int64_t bytes;
} LiveSlot;

typedef struct LivePage {
    char magic[8];
    uint32_t version;
    uint32_t n_slots;
    _Alignas(CACHE_LINE) LiveSlot slots[];
} LivePage;

// Maps $HZB_LIVE_FD, or private pages of the same layout when it is not set; dies when `threads` do not fit.
LivePage *live_open(unsigned threads);

// Where the harness looks for the latencies, or private memory of that layout when it does not share any.
LatencyPage *live_latencies(const LivePage *page);

uint64_t live_sum(const LivePage *page);

static inline void live_publish(LiveSlot *slot, int64_t bytes)
{
    atomic_store_explicit(&slot->bytes, bytes, memory_order_relaxed);
}

#endif
