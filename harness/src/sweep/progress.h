// What the user sees while a sweep runs: one line with an ETA on a terminal, one line a block elsewhere.
#ifndef HZB_PROGRESS_H
#define HZB_PROGRESS_H

#include "plan/plan.h"
#include "record/record.h"

void progress_before(const Plan *plan, const RunRows *runs);
void progress_block(const Plan *plan, const RunRows *runs, unsigned first);
// A disturbed sample is about to be measured again.
void progress_again(const RunRow *row);
// So is a whole block.
void progress_block_again(const PlanRow *block, const char *why);
void progress_end(void);

// Seconds until the plan is done: measured wall time where a cell has some, expect_s elsewhere.
double progress_eta_s(const Plan *plan, const RunRows *runs);
// Says how many samples are ok, bad and skipped.
void progress_summary(const RunRows *runs);

#endif
