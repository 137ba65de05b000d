// The plan: every process to run, in order. Written once as plan.csv, never changed.
#ifndef HZB_PLAN_H
#define HZB_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "config/config.h"
#include "config/experiment.h"
#include "config/options.h"

typedef struct PlanRow {
    unsigned seq;   // 1.. in execution order; a shard has gaps
    unsigned round; // 1..
    unsigned slot;  // 1.. within the block = (round, cell)
    char *cell_id;
    char *workload;
    char *params; // all of them, `key=value` joined by blanks
    char *allocator;
    char *role;
    uint64_t seed;          // equal within a block
    unsigned env_pad_bytes; // equal within a block: moves the stack alike for all arms
    double timeout_s;
    double expect_s;
} PlanRow;

// The plan that a shard was taken from, in the folder of each shard.
#define PLAN_WHOLE_FILE "plan_whole.csv"

typedef struct Plan {
    PlanRow *rows;
    unsigned count;
} Plan;

// Ids of the cells that the filters leave. Also checks that --metric can decide something in them. It is asked before
// libraries are built. Says what is wrong and returns false.
bool plan_select(const Config *config, const Options *options, StrList *cells);

// Rounds outermost, then cells, then arms. So the arms of a cell run next to each other, and every cell is spread over
// the whole run. Rounds that the rule may do without are planned too, and the second set after all of the first. The
// sweep records as skipped what turns out not to be needed. Sets experiment->rule.
bool plan_make(const Config *config, const Options *options, Experiment *experiment, Plan *plan);

// Which arm of n stands in a slot, both from 0. The order is rotated from pair of rounds to pair and reversed in every
// second round. So over a pair of rounds each arm's slots add up to n - 1.
unsigned plan_arm_of_slot(unsigned round, unsigned cell, unsigned slot, unsigned n);

void plan_write(const Plan *plan, FILE *out);
bool plan_load(const char *dir, Plan *plan);
// PLAN_WHOLE_FILE; without one, which is no error, `whole` has no rows.
bool plan_load_whole(const char *dir, Plan *whole);
// Of a plan that was loaded.
void plan_free(Plan *plan);
bool plan_same_block(const PlanRow *a, const PlanRow *b);
// Ids of its cells, in order of appearance.
StrList plan_cells(const Plan *plan);
double plan_expect_s(const Plan *plan);
// "3 min 20 s"
char *duration_text(double seconds);

#endif
