// The statistics that decide. Figures of one comparison are the logarithms d of cand/base, one a round.
#ifndef HZB_STATS_H
#define HZB_STATS_H

#include <stdint.h>

// Above this many non-zero differences a p-value is unknown: 0.5 to that power is still a normal double.
enum { WILCOXON_N_MAX = 1000 };
// The least and the greatest of fewer lie on both sides of the median in less than 95 of 100 cases, so no interval
// does.
enum { INTERVAL_N_MIN = 6 };

typedef struct Interval {
    double lo, hi;
} Interval;

// For qsort.
int stats_ascending(const void *a, const void *b);
// Median of a copy; n > 0.
double stats_median(const double *d, unsigned n);
// Hodges-Lehmann: median of the means of all pairs, each value paired with itself too. n > 0.
double stats_hodges_lehmann(const double *d, unsigned n);
// Value at `share` (0..1) of sorted values, interpolated as R's type 7. n > 0.
double stats_quantile(const double *sorted, unsigned n, double share);
// Percentile bootstrap of the Hodges-Lehmann estimate over rounds. The same seed gives the same interval. n > 0.
Interval stats_bootstrap(const double *d, unsigned n, unsigned resamples, uint64_t seed, double level);
// Two-sided p of the signed-rank test. Zeros are dropped, ties share their mean rank, and the distribution is the exact
// one of just these ranks. 1 without a difference, NAN above WILCOXON_N_MAX.
double stats_wilcoxon(const double *d, unsigned n);
// Holm's adjustment in place; NAN (unknown) stays and does not count.
void stats_holm(double *p, unsigned n);

#endif
