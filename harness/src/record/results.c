#include "record/results.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "record/manifest.h"

bool results_load(const char *dir, Results *results)
{
    *results = (Results){.dir = dir};
    if (!manifest_load(dir, &results->experiment) || !plan_load(dir, &results->plan) || !runs_load(dir, &results->runs))
        return false;
    results->cells = plan_cells(&results->plan);
    return true;
}

void results_drop_rows(Results *results)
{
    for (unsigned i = 0; i < results->runs.count; i++)
        row_clear(&results->runs.rows[i]);
    free(results->runs.rows);
    plan_free(&results->plan);
    results->runs = (RunRows){0};
}

const PlanRow *results_cell(const Results *results, const char *cell_id)
{
    for (unsigned i = 0; i < results->plan.count; i++)
        if (strcmp(results->plan.rows[i].cell_id, cell_id) == 0) return &results->plan.rows[i];
    assert(!"a cell of the plan");
    return NULL;
}

static bool row_is_of(const RunRow *row, const char *cell_id, const char *allocator)
{
    return strcmp(row->field[RUN_cell_id], cell_id) == 0 && strcmp(row->field[RUN_allocator], allocator) == 0;
}

static bool value_of(const RunRow *row, const char *cell_id, const char *allocator, RunColumn column, double *value)
{
    return row_is_of(row, cell_id, allocator) && row_status_is(row, "ok") && row_number(row, column, value);
}

Spread results_spread(const RunRows *runs, const char *cell_id, const char *allocator, RunColumn column)
{
    double *values = xcalloc(runs->count, sizeof *values);
    unsigned n = 0;
    for (unsigned i = 0; i < runs->count; i++)
        if (value_of(&runs->rows[i], cell_id, allocator, column, &values[n])) n++;
    Spread spread = spread_of(values, n);
    free(values);
    return spread;
}

Spread results_paired_ratio(const RunRows *runs, const char *cell_id, const char *allocator, const char *reference,
                            RunColumn column)
{
    double *ratios = xcalloc(runs->count, sizeof *ratios), value, other;
    unsigned n = 0;
    for (unsigned i = 0; i < runs->count; i++) {
        if (!value_of(&runs->rows[i], cell_id, allocator, column, &value)) continue;
        for (unsigned k = 0; k < runs->count; k++)
            if (strcmp(runs->rows[k].field[RUN_round], runs->rows[i].field[RUN_round]) == 0 &&
                value_of(&runs->rows[k], cell_id, reference, column, &other) && other > 0 && isfinite(value / other))
                ratios[n++] = value / other;
    }
    Spread spread = spread_of(ratios, n);
    free(ratios);
    return spread;
}

SampleCount results_count(const RunRows *runs, const char *cell_id, const char *allocator)
{
    SampleCount count = {0};
    for (unsigned i = 0; i < runs->count; i++) {
        const RunRow *row = &runs->rows[i];
        if (!row_is_of(row, cell_id, allocator)) continue;
        if (row_status_is(row, "ok"))
            count.ok++;
        else if (row_status_is(row, "skipped"))
            count.skipped++;
        else
            count.bad++;
    }
    return count;
}

const RunRow *results_median_peak_run(const RunRows *runs, const char *cell_id, const char *allocator)
{
    double *peaks = xcalloc(runs->count, sizeof *peaks), peak;
    unsigned n = 0;
    for (unsigned i = 0; i < runs->count; i++) {
        const RunRow *row = &runs->rows[i];
        if (value_of(row, cell_id, allocator, RUN_peak_rss_kib, &peaks[n])) n++;
    }
    spread_of(peaks, n); // sorts
    const RunRow *found = NULL;
    for (unsigned i = 0; n && !found && i < runs->count; i++) {
        const RunRow *row = &runs->rows[i];
        if (value_of(row, cell_id, allocator, RUN_peak_rss_kib, &peak) && peak == peaks[(n - 1) / 2]) found = row;
    }
    free(peaks);
    return found;
}
