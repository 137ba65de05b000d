// How far apart equal libraries seemed to be on this host: the A/A arms of its last result folders.
#ifndef HZB_NOISE_H
#define HZB_NOISE_H

#include "plan/plan.h"

typedef struct NoiseSample {
    const char *cell_id, *params, *metric;
    double change;   // |cand/base - 1|, or its inverse's if that is more
    unsigned folder; // from 1
} NoiseSample;

typedef struct Noise {
    NoiseSample *samples;
    unsigned count;
} Noise;

// From the stats.csv of the newest folders beside `dir` that the same host measured before it, merged ones too.
void noise_load(const char *dir, Noise *noise);
// 95th percentile of a metric in a cell that had the same parameters, NAN with less than NOISE_RUNS_MIN folders to go
// by.
double noise_p95(const Noise *noise, const PlanRow *cell, const char *metric);

// A threshold is raised to at most NOISE_CAP times what the gate asks for.
enum { NOISE_RUNS_MIN = 5, NOISE_RUNS_MAX = 20, NOISE_CAP = 2 };

#endif
