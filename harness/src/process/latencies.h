// Latencies: the histograms that a workload of the latency lane leaves in the live page when it is done.
#ifndef HZB_LATENCIES_H
#define HZB_LATENCIES_H

#include <stdbool.h>
#include <stdint.h>

#include "record/record.h"

enum { LATENCY_KINDS = 3, LATENCY_BUCKETS = 512 };

// The layout that the workloads share (workloads/latency.h); it follows the slots of the live page.
typedef struct LatencyPage {
    char magic[8];
    uint64_t max_ns[LATENCY_KINDS];
    uint64_t counts[LATENCY_KINDS][LATENCY_BUCKETS]; // eight buckets for each doubling of the nanoseconds
} LatencyPage;

bool latencies_are_there(const LatencyPage *page);
// The columns <kind>_p50_ns, _p99_ns, _p999_ns and _max_ns.
void latencies_fill(const LatencyPage *page, RunRow *row);
// A line for each bucket that is not empty: kind,ns,count. Says what is wrong and returns false.
bool latencies_write(const LatencyPage *page, const char *path);

#endif
