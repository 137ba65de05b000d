// Runs one planned process and fills its row of runs.csv.
#ifndef HZB_RUNNER_H
#define HZB_RUNNER_H

#include <stdbool.h>

#include "config/experiment.h"
#include "plan/plan.h"
#include "record/record.h"

typedef struct RunContext {
    const Experiment *experiment;
    const char *dir;      // result folder
    const char *work_dir; // private, on a memory file system where there is one
    int signal_fd;        // SIGINT and SIGTERM, blocked; -1 in tests
    bool verify_only;     // --test: the machine's disturbances make no sample invalid
} RunContext;

typedef enum RunEnd { RUN_DONE, RUN_INTERRUPTED, RUN_BROKEN } RunEnd;

// What there is to record.
typedef struct RunResult {
    RunRow row;
    char **counter_names;
    uint64_t *counter_values;
    unsigned counter_count;
} RunResult;

// RUN_DONE: the result is complete, whatever its status; curve and logs are written. RUN_BROKEN: hzb itself could not
// do its work and has said why.
RunEnd run_one(const RunContext *context, const PlanRow *plan, RunResult *result);
void run_result_free(RunResult *result);

#endif
