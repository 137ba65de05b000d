// How the columns of runs.csv that people compare are named and written.
#ifndef HZB_METRIC_H
#define HZB_METRIC_H

#include "config/experiment.h"
#include "record/record.h"

typedef struct ShownMetric {
    RunColumn column;
    const char *title; // with its unit
} ShownMetric;

enum { SHOWN_METRICS = 9 };
extern const ShownMetric shown_metrics[SHOWN_METRICS];

// Time that other guests take from the machine makes this figure another one: a speed, or the time that work took.
// Memory and counts stay what they are, and memory goes back after a time that a process sleeps.
bool metric_is_of_speed(const char *name);

// The workload's metric that is this column, or NULL.
const CfgMetric *metric_of(const Workload *workload, RunColumn column);

// "M", "MiB", "s" or "" for a count: the unit that metric_text() writes values in.
const char *metric_unit(const char *name);
char *metric_text(const char *name, double value);
// The column's name as people say it: "ops/s", "peak RSS".
char *metric_label(const char *name);

#endif
