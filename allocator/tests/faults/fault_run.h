// Runs the workload in a process of its own and says what was wrong with its end.
#ifndef HZ3_FAULT_RUN_H
#define HZ3_FAULT_RUN_H

#include "support.h"

#define RUN_ENV_MAX 12
#define RUN_TIMEOUT_S 90

typedef struct Held { // by the heap, when everything was given back
    size_t used;      // bytes in use
    size_t mappings;
    size_t address_kib;
    size_t resident_kib;
} Held;

typedef struct RunResult {
    bool skipped;
    char why[600]; // empty: as it should be
    size_t refused;
    unsigned n_held;
    Held held[2]; // after the round with the fault, after the round without
} RunResult;

// Where only calls were refused that no allocation depends on, none may be refused.
void judge_refusals(RunResult *result);
// env: the library is LD_PRELOAD's; NULL at the end.
void run_workload(const char *const *env, const char *argument, RunResult *result);
// $BUILD/name, in a buffer of its own for each call.
const char *build_path(const char *format, const char *name);

#endif
