// Latency lane: every k-th malloc, free and remote free of a worker is timed, k drawn anew each time, into histograms.
//
// The lane is a build of its own (WORKLOADS_LATENCY=1, programs named *_timed): the others have none of it. What is
// timed costs two reads of the time-stamp counter, some 20 ns, which are part of each figure.
#ifndef WORKLOADS_LATENCY_H
#define WORKLOADS_LATENCY_H

#include "rng.h"

#include <stdbool.h>
#include <stddef.h>

#ifndef WORKLOADS_LATENCY
#define WORKLOADS_LATENCY 0
#endif

enum { LATENCY_LANE = WORKLOADS_LATENCY };

// A free is remote when another worker allocated the block.
typedef enum LatencyKind { LATENCY_MALLOC, LATENCY_FREE, LATENCY_REMOTE_FREE, LATENCY_KINDS } LatencyKind;

// Eight buckets for each doubling of the nanoseconds.
enum { LATENCY_BUCKETS = 512, LATENCY_EVERY_DEFAULT = 100 };

// A timed call that took so long that somebody may have noticed.
typedef struct LatencyStall {
    uint64_t at_ns; // when the call began, by CLOCK_MONOTONIC
    uint64_t ns;
    uint64_t kind;
} LatencyStall;

enum { LATENCY_STALL_NS = 1000000, LATENCY_STALLS = 256 };

// The longest ones, in no order.
typedef struct LatencyStalls {
    uint64_t count;
    LatencyStall items[LATENCY_STALLS];
} LatencyStalls;

// The layout that the harness shares: it follows the live page's slots. All threads' histograms together, at the end.
typedef struct LatencyPage {
    char magic[8]; // written last
    uint64_t max_ns[LATENCY_KINDS];
    uint64_t counts[LATENCY_KINDS][LATENCY_BUCKETS];
    LatencyStalls stalls;
} LatencyPage;

// One worker's; nobody else touches it while the worker works.
typedef struct Latency {
    uint64_t countdown; // calls until the next that is timed
    uint64_t every;     // its mean
    Rng rng;            // apart from the workload's: timing changes nothing that is asked for
    uint64_t max_ns[LATENCY_KINDS];
    uint64_t counts[LATENCY_KINDS][LATENCY_BUCKETS];
    LatencyStalls stalls;
} Latency;

Latency *latency_make(uint64_t every, uint64_t seed, uint64_t stream);
void *latency_malloc(Latency *latency, size_t size);
void latency_free(Latency *latency, void *block, bool is_remote);
void latency_merge(LatencyPage *page, const Latency *latency);
void latency_print(const LatencyPage *page);

static inline bool latency_is_due(Latency *latency)
{
    return --latency->countdown == 0;
}

#endif
