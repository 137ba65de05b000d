// The latencies of a cell's allocators, all rounds together: how many calls took longer than so long.
#ifndef HZB_PLOT_LATENCY_H
#define HZB_PLOT_LATENCY_H

#include <stdio.h>

#include "record/results.h"

// Writes the rows kind,allocator,ns,share_above of a cell. Returns how many.
unsigned latency_rows(const Results *results, const char *cell_id, FILE *out);

#endif
