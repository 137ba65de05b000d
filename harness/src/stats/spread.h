// Median of a few values, and how far it can be believed.
#ifndef HZB_SPREAD_H
#define HZB_SPREAD_H

// Without values n is 0 and the rest means nothing.
typedef struct Spread {
    unsigned n;
    double median, min, max;
    double ci_lo, ci_hi; // 95 % interval of the median, from order alone; infinite below 6 values
} Spread;

// Sorts `values`. An even count has the mean of the two in the middle as its median.
Spread spread_of(double *values, unsigned n);

#endif
