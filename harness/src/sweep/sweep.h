// Executes the plan of a result folder from where its record ends.
#ifndef HZB_SWEEP_H
#define HZB_SWEEP_H

#include <stdbool.h>

#include "base/util.h"

// Waits until no other hzb measures on this host, and holds that place until the program ends.
bool host_lock(const char *path);

// What is run: what is missing of the plan; the same only to see that all of it works; or what is missing and then
// every block again in which the machine disturbed some sample, or one failed.
typedef enum SweepWhat { SWEEP_REST, SWEEP_VERIFY, SWEEP_AGAIN } SweepWhat;

// Runs every planned process that has no row in runs.csv. HZB_OK if every sample of the whole record is ok or skipped,
// else HZB_BAD_SAMPLES. HZB_ENV_CHANGED if libraries, programs or the machine are not those of the manifest.
HzbExit sweep(const char *dir, SweepWhat what);

#endif
