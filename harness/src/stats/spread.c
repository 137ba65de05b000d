#include "stats/spread.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "stats/stats.h"

// How many values to leave out at either end: the most for which the median lies outside in at most 5 of 100 cases.
// Each value lies below the median with probability 1/2. -1 if even all of the values are too few.
static int values_to_cut(unsigned n)
{
    double below = 0; // chance that k or fewer of the values lie below the median
    for (unsigned k = 0; k < n; k++) {
        below += exp(lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0) - n * M_LN2);
        if (below > 0.025) return (int)k - 1;
    }
    return -1;
}

Spread spread_of(double *values, unsigned n)
{
    assert(stats_are_finite(values, n));
    if (n == 0) return (Spread){0};
    qsort(values, n, sizeof *values, stats_ascending);
    double median = n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
    int cut = values_to_cut(n);
    assert(cut < (int)(n + 1) / 2);
    return (Spread){.n = n,
                    .median = median,
                    .min = values[0],
                    .max = values[n - 1],
                    .ci_lo = cut < 0 ? -INFINITY : values[cut],
                    .ci_hi = cut < 0 ? INFINITY : values[n - 1 - (unsigned)cut]};
}
