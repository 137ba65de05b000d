// What the samples of one allocator in one cell come to.
#ifndef HZB_RESULTS_H
#define HZB_RESULTS_H

#include "config/experiment.h"
#include "plan/plan.h"
#include "record/record.h"
#include "stats/spread.h"

// A whole result folder, read.
typedef struct Results {
    const char *dir;
    Experiment experiment;
    Plan plan;
    RunRows runs;
    StrList cells; // ids, in the order of the plan
    Modes modes;   // of the machine, among all samples
} Results;

bool results_load(const char *dir, Results *results);
// Frees the rows of plan and record, for callers that read many folders.
void results_drop_rows(Results *results);
// Any planned row of that cell.
const PlanRow *results_cell(const Results *results, const char *cell_id);

// Over the ok samples that have a value in this column.
Spread results_spread(const RunRows *runs, const char *cell_id, const char *allocator, RunColumn column);
// The same of the ratio to the reference's sample in the same round, as both processes ran next to each other.
Spread results_paired_ratio(const RunRows *runs, const char *cell_id, const char *allocator, const char *reference,
                            RunColumn column);

// The same of what is computed from the columns of each sample (base/expression.h).
Spread results_expression_spread(const Results *results, const char *cell_id, const char *allocator, const char *expr);
Spread results_expression_ratio(const Results *results, const char *cell_id, const char *allocator,
                                const char *reference, const char *expr);

// Over those of them that ran in one mode of the machine, an index of results->modes.
Spread results_mode_spread(const Results *results, const char *cell_id, const char *allocator, RunColumn column,
                           unsigned mode);

typedef struct SampleCount {
    unsigned ok, bad, skipped;
} SampleCount;
SampleCount results_count(const RunRows *runs, const char *cell_id, const char *allocator);

// The ok sample whose peak RSS is the (lower) median one, or NULL.
const RunRow *results_median_peak_run(const RunRows *runs, const char *cell_id, const char *allocator);

#endif
