// Latencies: the histograms that a workload of the latency lane leaves in the live page when it is done.
#ifndef HZB_LATENCIES_H
#define HZB_LATENCIES_H

#include <stdbool.h>
#include <stdint.h>

#include "record/record.h"

enum { LATENCY_KINDS = 3, LATENCY_BUCKETS = 512, LATENCY_STALLS = 256 };

// A timed call of 1 ms or more.
typedef struct LatencyStall {
    uint64_t at_ns; // when it began, by CLOCK_MONOTONIC
    uint64_t ns, kind;
} LatencyStall;

// The layout that the workloads share (workloads/latency.h); it follows the slots of the live page.
typedef struct LatencyPage {
    char magic[8];
    uint64_t max_ns[LATENCY_KINDS];
    uint64_t counts[LATENCY_KINDS][LATENCY_BUCKETS]; // eight buckets for each doubling of the nanoseconds
    uint64_t stall_count;
    LatencyStall stalls[LATENCY_STALLS]; // the longest, in no order
} LatencyPage;

bool latencies_are_there(const LatencyPage *page);
// The columns <kind>_p50_ns, _p99_ns, _p999_ns and _max_ns.
void latencies_fill(const LatencyPage *page, RunRow *row);
// A line for each bucket that is not empty: kind,ns,count. Says what is wrong and returns false.
bool latencies_write(const LatencyPage *page, const char *path);
// A line for each stall: t_ms,kind,ns. Times are those since `start_ns`.
bool latencies_write_stalls(const LatencyPage *page, uint64_t start_ns, const char *path);

#endif
