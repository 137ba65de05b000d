// Pinned libraries. results/baselines/<machine>/<name>/ keeps the .so itself, its hash and what it was built from.
// So tonight's candidate runs interleaved with last month's library. As an arm: `baseline:<name>`.
#ifndef HZB_BASELINE_H
#define HZB_BASELINE_H

#include <stdbool.h>

#include "config/arm.h"

// Says what is wrong with the name and returns false.
bool baseline_name_is_good(const char *name);
// Keeps the arm's library under that name, in the place of one that had it, and prints where.
bool baseline_set(const Options *options, const char *name, const Arm *arm);
// The arm of a pinned library, looked up for this machine. Says what is wrong and returns false.
bool baseline_arm(const Options *options, const char *name, Arm *arm);
// Prints a line for each of this machine's.
void baseline_list(const Options *options);
bool baseline_is_set(const Options *options, const char *name);
bool baseline_remove(const Options *options, const char *name);

#endif
