// The diagnostic lane: every cell once more under perf, strace and callgrind, for counts instead of times. They are
// written to diag.csv: cell_id, allocator, tool, counter, value. A tool that is missing or sees nothing here (no
// hardware counters in most virtual machines) is named and left out.
#ifndef HZB_DIAG_H
#define HZB_DIAG_H

#include <stdbool.h>

#define DIAG_FILE "diag.csv"

// Of a result folder that was measured. Says what failed and returns false.
bool diag_run(const char *dir);

#endif
