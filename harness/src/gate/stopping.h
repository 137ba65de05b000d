// When there are enough rounds: what of the plan need not be run.
#ifndef HZB_STOPPING_H
#define HZB_STOPPING_H

#include "gate/gate.h"

// Carried from block to block of a sweep.
typedef struct GateState {
    Noise noise;
    unsigned family; // gated comparisons with a p, once they were counted
    bool first_judged;
    StrList flagged;         // cells that the first set flagged, known once it is complete
    unsigned flags;          // and how many of its comparisons with a p
    const Plan *whole;       // what the plan is a slice of, or NULL
    const RunRows *rejected; // attempts that were made again, or NULL
} GateState;

// Why the block that begins with the plan's row `index` = results->runs.count need not be run, or NULL. Decided from
// the record alone, so that a resumed sweep decides alike.
char *gate_skip_reason(const Results *results, GateState *state);

// Why one arm of a block that is run need not be, or NULL.
const char *gate_arm_skip_reason(const Experiment *experiment, const PlanRow *row);

// Says so if a cell gets too few rounds for any of its comparisons to come out significant among all of them, those of
// other slices too.
void gate_warn_if_blind(const Experiment *experiment, const Plan *whole);

#endif
