#include "stats/changepoint.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "stats/spread.h"
#include "stats/stats.h"

// Below three values a level is an accident. A change has p <= 0.001: of the series and its shuffled copies, 5000 in
// all, at most so many are as broken as it is.
enum { SEGMENT_MIN = 3, SHUFFLES = 4999, AS_BROKEN_MAX = (SHUFFLES + 1) / 1000 };

// The energy distance between values[0..cut) and values[cut..n), scaled so that cuts can be compared. `between` and the
// others are sums of |x - y| over pairs.
static double divergence(double between, double within_left, double within_right, double left, double right)
{
    assert(left > 0 && right > 0);
    double energy = 2 * between / (left * right);
    if (left > 1) energy -= within_left / (left * (left - 1) / 2);
    if (right > 1) energy -= within_right / (right * (right - 1) / 2);
    return left * right / (left + right) * energy;
}

static double distance_sum(const double *values, unsigned from, unsigned to, double value)
{
    double sum = 0;
    for (unsigned i = from; i < to; i++)
        sum += fabs(values[i] - value);
    return sum;
}

// The best cut and its divergence; moving the cut by one value changes the sums by that value's distances.
static double best_cut(const double *values, unsigned n, unsigned *cut)
{
    assert(n >= 2 * SEGMENT_MIN);
    double between = 0, left = 0, right = 0, best = -INFINITY;
    for (unsigned i = 0; i < n; i++)
        right += distance_sum(values, i + 1, n, values[i]);
    for (unsigned at = 1; at < n; at++) {
        double to_left = distance_sum(values, 0, at - 1, values[at - 1]);
        double to_right = distance_sum(values, at, n, values[at - 1]);
        left += to_left;
        right -= to_right;
        between += to_right - to_left;
        if (at < SEGMENT_MIN || n - at < SEGMENT_MIN) continue;
        double now = divergence(between, left, right, at, n - at);
        if (now > best) {
            best = now;
            *cut = at;
        }
    }
    return best;
}

static void shuffle(double *values, unsigned n, uint64_t *state)
{
    for (unsigned i = n; i > 1; i--) {
        *state += 1;
        unsigned k = (unsigned)(mix64(*state) % i);
        double value = values[i - 1];
        values[i - 1] = values[k];
        values[k] = value;
    }
}

// How many are as broken as the series itself, which is one of them. Noise is known as such after a few copies, so the
// count ends above AS_BROKEN_MAX.
static unsigned count_as_broken(const double *values, unsigned n, double observed)
{
    double *copy = xcalloc(n, sizeof *copy);
    unsigned as_broken = 1, cut;
    uint64_t state = 1;
    memcpy(copy, values, n * sizeof *copy);
    for (unsigned s = 0; s < SHUFFLES && as_broken <= AS_BROKEN_MAX; s++) {
        shuffle(copy, n, &state);
        as_broken += best_cut(copy, n, &cut) >= observed;
    }
    free(copy);
    return as_broken;
}

static unsigned search(const double *values, unsigned from, unsigned to, ChangePoint *points, unsigned count)
{
    assert(from <= to);
    unsigned n = to - from, cut = 0;
    if (n < 2 * SEGMENT_MIN) return count;
    double divergence_found = best_cut(values + from, n, &cut);
    assert(cut >= SEGMENT_MIN && cut <= n - SEGMENT_MIN);
    if (divergence_found <= 0) return count;
    unsigned as_broken = count_as_broken(values + from, n, divergence_found);
    if (as_broken > AS_BROKEN_MAX) return count;
    count = search(values, from, from + cut, points, count);
    points[count++] = (ChangePoint){.at = from + cut, .p = as_broken / (SHUFFLES + 1.0)};
    return search(values, from + cut, to, points, count);
}

static double level_of(const double *values, unsigned from, unsigned to)
{
    assert(from < to);
    double *copy = xcalloc(to - from, sizeof *copy);
    memcpy(copy, values + from, (to - from) * sizeof *copy);
    double median = spread_of(copy, to - from).median;
    free(copy);
    return median;
}

static void set_levels(const double *values, unsigned n, ChangePoint *points, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        points[i].before = level_of(values, i ? points[i - 1].at : 0, points[i].at);
        points[i].after = level_of(values, points[i].at, i + 1 < count ? points[i + 1].at : n);
    }
}

static double size_of(const ChangePoint *point)
{
    double apart = fabs(point->after - point->before);
    return apart > 0 ? apart / fabs(point->before) : 0;
}

// The smallest goes first: a drift in small steps keeps what they add up to.
static unsigned drop_small(const double *values, unsigned n, double least, ChangePoint *points, unsigned count)
{
    for (;;) {
        unsigned smallest = 0;
        set_levels(values, n, points, count);
        for (unsigned i = 1; i < count; i++)
            if (size_of(&points[i]) < size_of(&points[smallest])) smallest = i;
        if (count == 0 || size_of(&points[smallest]) >= least) return count;
        count--;
        memmove(&points[smallest], &points[smallest + 1], (count - smallest) * sizeof *points);
    }
}

unsigned change_points(const double *values, unsigned n, double least, ChangePoint *points)
{
    assert(stats_are_finite(values, n));
    assert(least >= 0);
    return drop_small(values, n, least, points, search(values, 0, n, points, 0));
}
