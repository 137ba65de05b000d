// The modes that the machine was in while a record was made: groups of its probes' distances between CPUs.
#ifndef HZB_MACHINE_MODES_H
#define HZB_MACHINE_MODES_H

#include "config/experiment.h"
#include "record/record.h"
#include "stats/modes.h"

// Of all samples in a record, together with those that the machine showed before (experiment->modes_before).
Modes machine_modes(const Experiment *experiment, const RunRows *runs);
// Of a sample: index of the mode that its probes before and after agree on, -1 if they don't or were not made.
int machine_mode_of(const Modes *modes, const RunRow *row);
// The probes before and after a sample are known and of different modes.
bool machine_mode_changed(const Modes *modes, const RunRow *row);

// What the newest result folders in `parent` that this machine measured say of its modes.
Modes machine_modes_before(const char *parent);

#endif
