// What went wrong in a record, one line for each allocator, cell and way.
#ifndef HZB_FAILURES_H
#define HZB_FAILURES_H

#include "gate/finding.h"
#include "record/record.h"

void failures_collect(const RunRows *runs, Findings *findings);

#endif
