// A sweep that is under way. For the files of sweep/ only.
#ifndef HZB_SWEEP_STATE_H
#define HZB_SWEEP_STATE_H

#include <stdbool.h>

#include "gate/stopping.h"
#include "process/runner.h"

typedef struct Sweep {
    const char *dir;
    Experiment experiment;
    Plan plan, whole; // no rows in `whole`: this is no slice
    RunRows runs;     // what is in runs.csv
    RunRows rejected; // what is in rejected.csv
    RunContext context;
    GateState gate;
    StrList cells;
    bool lost_again;   // the lost blocks of the first set were measured again
    bool decided;      // whether the block that is being recorded is run
    char *skip_reason; // of the block that is being recorded, or NULL
} Sweep;

// First row of the block that a row belongs to, and whether the block ends with it.
unsigned block_start(const Plan *plan, unsigned index);
bool block_ends_at(const Plan *plan, unsigned index);

// Runs one planned process until the machine leaves it alone, three times at most.
HzbExit measure_one(Sweep *sweep, const PlanRow *planned, RunResult *result);
// Moves a row into `rows`.
void sweep_keep(RunRows *rows, RunRow *row);

#endif
