// The latencies of a cell's allocators, all rounds together: how many calls took longer than so long.
#ifndef HZB_PLOT_LATENCY_H
#define HZB_PLOT_LATENCY_H

#include <stdio.h>

#include "record/results.h"

typedef struct Stall {
    double t_ms, ms; // since the process started; how long
} Stall;
// What the latency lane has of a sample, by time: the timed calls that took 1 ms or more. The caller frees it.
unsigned stalls_load(const Results *results, const char *seq, Stall **stalls);

// Writes the head and the rows kind,allocator,ns,share_above of a cell. Returns how many rows.
unsigned latency_rows(const Results *results, const char *cell_id, FILE *out);

#endif
