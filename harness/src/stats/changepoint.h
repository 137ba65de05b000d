// Where a series of nights changes its level: E-divisive (Matteson and James), by energy distance and permutation. It
// assumes no distribution, and finds several changes by cutting what it has cut.
#ifndef HZB_CHANGEPOINT_H
#define HZB_CHANGEPOINT_H

typedef struct ChangePoint {
    unsigned at;          // first value of the new level
    double p;             // share of shuffled series that look as broken
    double before, after; // medians of the old level and of the new one
} ChangePoint;

// Fills `points` (room for n) in the order of the series and returns how many there are. Levels whose medians are less
// than the share `least` apart are one. The permutations are drawn from a fixed seed: the same series has the same
// changes.
unsigned change_points(const double *values, unsigned n, double least, ChangePoint *points);

#endif
