#include "report/plot_scaling.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { THREAD_COUNTS_MIN = 3 };

// A cell runs fewer iterations where there are more threads, so iters do not tell sets apart. Empty values are options
// that were not given.
static bool is_of_set(const char *param)
{
    return !pair_value(param, "threads") && !pair_value(param, "iters") && param[strlen(param) - 1] != '=';
}

static bool point_of(const PlanRow *cell, ScalingPoint *point)
{
    StrList params = list_split(cell->params, ' ');
    const char *threads = pairs_find(&params, "threads");
    *point = (ScalingPoint){.cell_id = cell->cell_id};
    bool ok = threads && parse_u64(threads, &point->threads);
    if (ok) point->set = xfmt("%s:", cell->workload);
    for (unsigned i = 0; i < params.count; i++) {
        if (ok && is_of_set(params.items[i])) {
            char *longer = xfmt("%s %s", point->set, params.items[i]);
            free(point->set);
            point->set = longer;
        }
        free(params.items[i]);
    }
    free(params.items);
    return ok;
}

// Where a point belongs: after those of its set that have no more threads; a new set comes after all others.
static unsigned place_of(const ScalingPoints *points, const ScalingPoint *point)
{
    unsigned at = points->count;
    for (unsigned i = 0; i < points->count; i++) {
        if (strcmp(points->items[i].set, point->set) != 0) continue;
        if (points->items[i].threads > point->threads) return i;
        at = i + 1;
    }
    return at;
}

static void insert(ScalingPoints *points, const ScalingPoint *point)
{
    unsigned at = place_of(points, point);
    assert(point->set && at <= points->count);
    points->items = xrealloc(points->items, points->count + 1, sizeof *points->items);
    memmove(&points->items[at + 1], &points->items[at], (points->count - at) * sizeof *points->items);
    points->items[at] = *point;
    points->count++;
}

// Of the set that begins at `first`: how many points, and how many different numbers of threads.
static unsigned set_length(const ScalingPoints *points, unsigned first, unsigned *thread_counts)
{
    assert(first < points->count);
    unsigned length = 1;
    *thread_counts = 1;
    for (; first + length < points->count; length++) {
        const ScalingPoint *now = &points->items[first + length], *before = now - 1;
        if (strcmp(now->set, before->set) != 0) break;
        *thread_counts += now->threads != before->threads;
    }
    return length;
}

static void drop_short_sets(ScalingPoints *points)
{
    unsigned kept = 0, length, thread_counts;
    for (unsigned first = 0; first < points->count; first += length) {
        length = set_length(points, first, &thread_counts);
        for (unsigned i = first; i < first + length; i++) {
            if (thread_counts >= THREAD_COUNTS_MIN)
                points->items[kept++] = points->items[i];
            else
                free(points->items[i].set);
        }
    }
    points->count = kept;
}

ScalingPoints scaling_points(const Results *results)
{
    ScalingPoints points = {0};
    for (unsigned c = 0; c < results->cells.count; c++) {
        ScalingPoint point;
        if (point_of(results_cell(results, results->cells.items[c]), &point)) insert(&points, &point);
    }
    drop_short_sets(&points);
    return points;
}

void scaling_free(ScalingPoints *points)
{
    for (unsigned i = 0; i < points->count; i++)
        free(points->items[i].set);
    free(points->items);
    *points = (ScalingPoints){0};
}
