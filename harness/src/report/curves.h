// Curves of several processes on one axis of time, and with no more points than a figure shows.
#ifndef HZB_CURVES_H
#define HZB_CURVES_H

#include <stdbool.h>

#include "base/csvio.h"

// The columns of rss/<seq>.csv before the counters.
enum { CURVE_T_MS, CURVE_PHASE, CURVE_RSS_KIB, CURVE_LIVE_KIB, CURVE_FIXED };

// The time of each row in ms, phases aligned: each is as long as it is on average. If the curves do not have the same
// phases, their own time. The caller frees the array and what it holds.
double **curves_align(const CsvTable *const *tables, unsigned count);
// Where a time in ms of the curve stands among the aligned ones.
double curve_aligned_ms(const CsvTable *table, const double *aligned_ms, double t_ms);

enum { CURVE_POINTS = 240 };
// Which rows are drawn, about CURVE_POINTS of them: where a phase begins, and the highest and the lowest of each
// stretch between. The caller frees it.
bool *curve_thin(const CsvTable *table);

#endif
