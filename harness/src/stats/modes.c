#include "stats/modes.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/util.h"
#include "stats/stats.h"

Modes modes_find(const double *figures, unsigned n)
{
    double *sorted = xcalloc(n, sizeof *sorted);
    unsigned known = 0;
    for (unsigned i = 0; i < n; i++)
        if (isfinite(figures[i]) && figures[i] > 0) sorted[known++] = figures[i];
    qsort(sorted, known, sizeof *sorted, stats_ascending);
    Modes modes = {xcalloc(known, sizeof *modes.items), 0};
    for (unsigned first = 0, end; first < known; first = end) {
        for (end = first + 1; end < known && sorted[end] <= sorted[end - 1] * MODES_GAP;)
            end++;
        modes.items[modes.count++] = (Mode){.lo = sorted[first],
                                            .hi = sorted[end - 1],
                                            .median = stats_median(&sorted[first], end - first),
                                            .n = end - first};
    }
    free(sorted);
    return modes;
}

void modes_free(Modes *modes)
{
    free(modes->items);
    *modes = (Modes){0};
}

int modes_index(const Modes *modes, double figure)
{
    for (unsigned m = 1; m < modes->count; m++)
        assert(modes->items[m - 1].hi < modes->items[m].lo);
    int nearest = -1;
    double least = MODES_GAP;
    if (!isfinite(figure) || figure <= 0) return -1;
    for (unsigned m = 0; m < modes->count; m++) {
        const Mode *mode = &modes->items[m];
        double ratio = fmax(mode->lo / figure, figure / mode->hi); // at most 1 within the mode
        if (ratio > least) continue;
        least = ratio;
        nearest = (int)m;
    }
    return nearest;
}
