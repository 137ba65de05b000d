// What the matrix says is known, held against what was found.
#ifndef HZB_KNOWN_H
#define HZB_KNOWN_H

#include "gate/compare.h"

// Marks the regressions that were known on the day of the record, so that the record is always judged alike.
void known_mark(const Experiment *experiment, Comparisons *comparisons);
// Adds the entries whose last day had passed then.
void known_collect_expired(const Experiment *experiment, Findings *findings);

#endif
