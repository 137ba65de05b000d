// Which cells make up the curves over the number of threads.
#ifndef HZB_PLOT_SCALING_H
#define HZB_PLOT_SCALING_H

#include <stdint.h>

#include "record/results.h"

typedef struct ScalingPoint {
    char *set; // workload and all parameters but threads and iters
    uint64_t threads;
    const char *cell_id;
} ScalingPoint;

typedef struct ScalingPoints {
    ScalingPoint *items;
    unsigned count;
} ScalingPoints;

// The cells of every set that has at least three numbers of threads, in the order of the plan, within a set by threads.
// None when there is no such set.
ScalingPoints scaling_points(const Results *results);
void scaling_free(ScalingPoints *points);

#endif
