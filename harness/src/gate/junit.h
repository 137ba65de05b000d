// junit.xml: what the gate found, for the test reports of CI systems.
#ifndef HZB_JUNIT_H
#define HZB_JUNIT_H

#include <stdbool.h>

#include "gate/compare.h"

#define JUNIT_FILE "junit.xml"

// A test case for each gated comparison of a candidate: regressions are failures, failed ones errors, undecided ones
// skipped. If the gate's exit code is not 0 and none of them says why, one more error does. So the file is red exactly
// when the gate is. `findings` are those of the comparisons.
bool junit_write(const char *dir, const Results *results, const Comparisons *comparisons, const Findings *findings,
                 HzbExit exit_code);

#endif
