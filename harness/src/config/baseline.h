/* Pinned libraries: results/baselines/<machine>/<name>/ keeps the .so itself, with its hash and what it was built from,
   so that tonight's candidate runs interleaved with last month's library. As an arm: `baseline:<name>`. */
#ifndef HZB_BASELINE_H
#define HZB_BASELINE_H

#include <stdbool.h>

#include "config/experiment.h"

#define BASELINE_PREFIX "baseline:"

/* The arm of a pinned library, looked up for this machine. Says what is wrong and returns false. */
bool baseline_arm(const Options *options, const char *name, Arm *arm);

#endif
