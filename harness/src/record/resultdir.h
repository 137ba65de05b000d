// Result folders: made whole or not at all, named once, never reused.
#ifndef HZB_RESULTDIR_H
#define HZB_RESULTDIR_H

#include <stdbool.h>

#include "config/config.h"
#include "config/experiment.h"
#include "plan/plan.h"

// Makes `output`/<UTC>_<host>_<sha>[-dirty]_<matrix> with plan, manifest and empty records, and returns its path, or
// NULL with a message. The folder gets its name when all is in it. `whole` is the plan that a shard was taken from,
// else NULL. Sets experiment->run_id.
char *resultdir_make(const char *output, const Config *config, Experiment *experiment, const Plan *plan,
                     const Plan *whole);
// Points `output`/latest to it.
bool resultdir_set_latest(const char *output, const char *run_id);

#endif
