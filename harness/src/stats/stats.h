// The statistics that decide. Figures of one comparison are the logarithms d of cand/base, one a round.
#ifndef HZB_STATS_H
#define HZB_STATS_H

#include <stdbool.h>
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
// For assertions: a NAN among the values makes every order of them meaningless.
bool stats_are_finite(const double *values, unsigned n);
bool stats_are_ascending(const double *values, unsigned n);

// Median of a copy; n > 0.
double stats_median(const double *d, unsigned n);
// Hodges-Lehmann: median of the means of all pairs, each value paired with itself too. n > 0.
double stats_hodges_lehmann(const double *d, unsigned n);
// Value at `share` (0..1) of sorted values, interpolated as R's type 7. n > 0.
double stats_quantile(const double *sorted, unsigned n, double share);
// Interval of the Hodges-Lehmann estimate by inverting the exact signed-rank test: the values that would not be
// rejected as the median of d at 1 - level, if no two |d| were equal. Without ties it holds 0 if and only if
// stats_wilcoxon(d) > 1 - level. INTERVAL_N_MIN <= n <= WILCOXON_N_MAX; else both ends are NAN.
Interval stats_interval(const double *d, unsigned n, double level);
// Two-sided p of the signed-rank test. Zeros are dropped, ties share their mean rank, and the distribution is the exact
// one of just these ranks. 1 without a difference, NAN above WILCOXON_N_MAX.
double stats_wilcoxon(const double *d, unsigned n);
// Holm's adjustment in place; NAN (unknown) stays and does not count.
void stats_holm(double *p, unsigned n);

#endif
