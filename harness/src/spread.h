/* Median, least and most of a few values. */
#ifndef HZB_SPREAD_H
#define HZB_SPREAD_H

/* Without values n is 0 and the rest means nothing. */
typedef struct {
    unsigned n;
    double median, min, max;
} Spread;

/* Sorts `values`. An even count has the mean of the two in the middle as its median. */
Spread spread_of(double *values, unsigned n);

#endif
