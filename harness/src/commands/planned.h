// The shared first half of plan and run: from the files and options to a plan.
#ifndef HZB_PLANNED_H
#define HZB_PLANNED_H

#include <stdbool.h>

#include "config/config.h"
#include "config/experiment.h"
#include "config/options.h"
#include "plan/plan.h"

typedef struct Planned {
    Config config;
    Experiment experiment;
    Plan whole; // before a shard was taken
    Plan plan;
} Planned;

// Says what is wrong and returns false.
bool planned_make(const Options *options, Planned *planned);
// Says how much there is to do, and which cells can flag nothing.
void planned_announce(const Planned *planned);

#endif
