#include "stats/stats.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

// So many values have fewer pairs than an unsigned can count.
enum { WALSH_N_MAX = 65535 };
// What sums of many shares may be off.
#define ROUNDING 1e-9

int stats_ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool stats_are_finite(const double *values, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!isfinite(values[i])) return false;
    return true;
}

bool stats_are_ascending(const double *values, unsigned n)
{
    for (unsigned i = 1; i < n; i++)
        if (!(values[i - 1] <= values[i])) return false;
    return true;
}

// Hoare's selection: afterwards v[k] is what sorting would put there, with nothing greater before it. A
// sweep asks for the median of thousands of pairs after each block, and sorting them would disturb what is measured
// next.
static double select_kth(double *v, unsigned n, unsigned k)
{
    assert(k < n);
    long left = 0, right = (long)n - 1;
    while (left < right) {
        double pivot = v[left + (right - left) / 2];
        long i = left, j = right;
        while (i <= j) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i > j) break;
            double swap = v[i];
            v[i++] = v[j];
            v[j--] = swap;
        }
        if ((long)k <= j)
            right = j;
        else if ((long)k >= i)
            left = i;
        else
            break;
    }
    return v[k];
}

static double median_in_place(double *v, unsigned n)
{
    double upper = select_kth(v, n, n / 2);
    if (n % 2) return upper;
    double lower = v[0];
    for (unsigned i = 1; i < n / 2; i++)
        if (v[i] > lower) lower = v[i];
    return (lower + upper) / 2;
}

static double *copy_of(const double *d, unsigned n)
{
    double *copy = xcalloc(n, sizeof *copy);
    memcpy(copy, d, n * sizeof *copy);
    return copy;
}

double stats_median(const double *d, unsigned n)
{
    assert(n > 0 && stats_are_finite(d, n));
    double *copy = copy_of(d, n), median = median_in_place(copy, n);
    free(copy);
    return median;
}

// Means of all pairs, each value paired with itself too; n (n + 1) / 2 of them.
static double *walsh_averages(const double *d, unsigned n, unsigned *count)
{
    assert(n > 0 && n <= WALSH_N_MAX);
    double *means = xcalloc((size_t)n * (n + 1) / 2, sizeof *means);
    *count = 0;
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = i; j < n; j++)
            means[(*count)++] = (d[i] + d[j]) / 2;
    return means;
}

double stats_hodges_lehmann(const double *d, unsigned n)
{
    assert(stats_are_finite(d, n));
    unsigned count;
    double *means = walsh_averages(d, n, &count), estimate = median_in_place(means, count);
    free(means);
    return estimate;
}

double stats_quantile(const double *sorted, unsigned n, double share)
{
    assert(n > 0 && share >= 0 && share <= 1 && stats_are_ascending(sorted, n));
    double at = (n - 1) * share, below = floor(at);
    unsigned i = (unsigned)below;
    if (i + 1 >= n) return sorted[n - 1];
    return sorted[i] + (at - below) * (sorted[i + 1] - sorted[i]);
}

static int by_size(const void *a, const void *b)
{
    double x = fabs(*(const double *)a), y = fabs(*(const double *)b);
    return (x > y) - (x < y);
}

// Ranks of |v|, which is sorted by size, times two: mean ranks of ties become whole numbers.
static void double_ranks(const double *v, unsigned n, unsigned *ranks)
{
    for (unsigned i = 0, end; i < n; i = end) {
        assert(i == 0 || fabs(v[i - 1]) < fabs(v[i]));
        for (end = i + 1; end < n && fabs(v[end]) == fabs(v[i]);)
            end++;
        for (unsigned k = i; k < end; k++)
            ranks[k] = i + 1 + end;
    }
}

// Probability of each sum, up to `bound`, of the ranks whose sign comes out positive; each sign is a fair coin.
static double *sum_shares(const unsigned *ranks, unsigned n, unsigned bound)
{
    assert(n > 0 && n <= WILCOXON_N_MAX);
    double *share = xcalloc((size_t)bound + 1, sizeof *share);
    share[0] = 1;
    for (unsigned k = 0; k < n; k++)
        for (unsigned s = bound + 1; s-- > 0;)
            share[s] = (share[s] + (s >= ranks[k] ? share[s - ranks[k]] : 0)) / 2;
    return share;
}

static double share_up_to(const unsigned *ranks, unsigned n, unsigned bound)
{
    double *share = sum_shares(ranks, n, bound), sum = 0;
    for (unsigned s = 0; s <= bound; s++)
        sum += share[s];
    free(share);
    assert(sum > 0 && sum <= 1 + ROUNDING);
    return sum;
}

double stats_wilcoxon(const double *d, unsigned n)
{
    assert(stats_are_finite(d, n));
    double *v = xcalloc(n, sizeof *v), p = 1;
    unsigned count = 0, positive = 0, total = 0;
    for (unsigned i = 0; i < n; i++)
        if (d[i] < 0 || d[i] > 0) v[count++] = d[i];
    unsigned *ranks = xcalloc(count, sizeof *ranks);
    qsort(v, count, sizeof *v, by_size);
    double_ranks(v, count, ranks);
    for (unsigned i = 0; i < count; i++) {
        total += ranks[i];
        if (v[i] > 0) positive += ranks[i];
    }
    if (count > WILCOXON_N_MAX)
        p = NAN;
    else if (count > 0) // the distribution is symmetric: the smaller tail twice
        p = fmin(1, 2 * share_up_to(ranks, count, positive < total - positive ? positive : total - positive));
    free(v);
    free(ranks);
    return p;
}

// How many of the least pair means lie outside the interval: one more than the greatest sum of positive ranks whose
// tail is still no more than `tail`.
static unsigned means_outside(unsigned n, double tail)
{
    unsigned *ranks = xcalloc(n, sizeof *ranks), bound = n * (n + 1) / 4, outside = 0;
    for (unsigned i = 0; i < n; i++)
        ranks[i] = i + 1;
    double *share = sum_shares(ranks, n, bound), sum = 0;
    for (unsigned s = 0; s <= bound && (sum += share[s]) <= tail; s++)
        outside = s + 1;
    free(share);
    free(ranks);
    return outside;
}

Interval stats_interval(const double *d, unsigned n, double level)
{
    assert(level > 0 && level < 1 && stats_are_finite(d, n));
    Interval interval = {NAN, NAN};
    if (n < INTERVAL_N_MIN || n > WILCOXON_N_MAX) return interval;
    unsigned count, outside = means_outside(n, (1 - level) / 2);
    if (outside == 0) return interval;
    double *means = walsh_averages(d, n, &count);
    interval.lo = select_kth(means, count, outside - 1);
    interval.hi = select_kth(means, count, count - outside);
    free(means);
    return interval;
}

static int by_target(const void *a, const void *b)
{
    return stats_ascending(*(double *const *)a, *(double *const *)b);
}

void stats_holm(double *p, unsigned n)
{
    double **order = xcalloc(n, sizeof *order), least = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++)
        if (!isnan(p[i])) order[count++] = &p[i];
    qsort(order, count, sizeof *order, by_target);
    for (unsigned k = 0; k < count; k++) {
        assert(*order[k] >= 0 && *order[k] <= 1 + ROUNDING);
        least = fmin(1, fmax(least, (count - k) * *order[k]));
        *order[k] = least;
    }
    free(order);
}
