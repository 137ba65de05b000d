// What the gate found as workflow commands, which GitHub shows beside a run.
#ifndef HZB_ANNOTATE_H
#define HZB_ANNOTATE_H

#include <stdio.h>

#include "gate/compare.h"

// An error for each comparison that makes the gate red, or one for the verdict if its exit code is not 0 without such a
// comparison. A warning for each regression that does not, for what went wrong, for what is no longer known, and for
// how many are undecided.
void annotate(const Results *results, const Comparisons *comparisons, const Findings *findings, HzbExit exit_code,
              FILE *out);

#endif
