// How often the gate flags, and what that costs, by drawing rounds from one long record.
#ifndef HZB_POOL_H
#define HZB_POOL_H

#include <stdbool.h>

#include "config/config.h"
#include "config/options.h"

// Sweeps the matrix many times with `cand` as its only candidate. In place of processes, each block is a recorded one
// of the same cell, drawn without replacement. All else, rounds and confirmation too, is as in a real sweep.
// Prints one line.
bool pool_replay(const Config *config, const Options *options, const char *cand, bool is_same);

#endif
