#include "record/results.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/expression.h"
#include "record/machine_modes.h"
#include "record/manifest.h"

bool results_load(const char *dir, Results *results)
{
    *results = (Results){.dir = dir};
    if (!manifest_load(dir, &results->experiment) || !plan_load(dir, &results->plan) || !runs_load(dir, &results->runs))
        return false;
    results->cells = plan_cells(&results->plan);
    results->modes = machine_modes(&results->experiment, &results->runs);
    return true;
}

void results_drop_rows(Results *results)
{
    for (unsigned i = 0; i < results->runs.count; i++)
        row_clear(&results->runs.rows[i]);
    free(results->runs.rows);
    plan_free(&results->plan);
    modes_free(&results->modes);
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

static bool skipped_by_the_gate(const RunRow *row)
{
    return row_status_is(row, "skipped") && strncmp(row->field[RUN_invalid_reason], "gate:", strlen("gate:")) == 0;
}

static bool same_block(const RunRow *a, const RunRow *b)
{
    return strcmp(a->field[RUN_round], b->field[RUN_round]) == 0 &&
           strcmp(a->field[RUN_cell_id], b->field[RUN_cell_id]) == 0;
}

// Rounds that the gate ran for some arms alone are no part of a table: all of its figures come from the same rounds.
// The rows of a block are neighbours.
static bool round_is_whole(const RunRows *runs, unsigned index)
{
    const RunRow *row = &runs->rows[index];
    for (unsigned i = index; i < runs->count && same_block(&runs->rows[i], row); i++)
        if (skipped_by_the_gate(&runs->rows[i])) return false;
    for (unsigned i = index; i > 0 && same_block(&runs->rows[i - 1], row); i--)
        if (skipped_by_the_gate(&runs->rows[i - 1])) return false;
    return true;
}

static bool value_at(const RunRows *runs, unsigned index, const char *cell_id, const char *allocator, RunColumn column,
                     double *value)
{
    const RunRow *row = &runs->rows[index];
    return row_is_of(row, cell_id, allocator) && row_status_is(row, "ok") && row_number(row, column, value) &&
           round_is_whole(runs, index);
}

Spread results_spread(const RunRows *runs, const char *cell_id, const char *allocator, RunColumn column)
{
    double *values = xcalloc(runs->count, sizeof *values);
    unsigned n = 0;
    for (unsigned i = 0; i < runs->count; i++)
        if (value_at(runs, i, cell_id, allocator, column, &values[n])) n++;
    Spread spread = spread_of(values, n);
    free(values);
    return spread;
}

Spread results_mode_spread(const Results *results, const char *cell_id, const char *allocator, RunColumn column,
                           unsigned mode)
{
    const RunRows *runs = &results->runs;
    double *values = xcalloc(runs->count, sizeof *values);
    unsigned n = 0;
    assert(mode < results->modes.count);
    for (unsigned i = 0; i < runs->count; i++)
        if (value_at(runs, i, cell_id, allocator, column, &values[n]) &&
            machine_mode_of(&results->modes, &runs->rows[i]) == (int)mode)
            n++;
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
        if (!value_at(runs, i, cell_id, allocator, column, &value)) continue;
        for (unsigned k = 0; k < runs->count; k++)
            if (strcmp(runs->rows[k].field[RUN_round], runs->rows[i].field[RUN_round]) == 0 &&
                value_at(runs, k, cell_id, reference, column, &other) && other > 0 && isfinite(value / other))
                ratios[n++] = value / other;
    }
    Spread spread = spread_of(ratios, n);
    free(ratios);
    return spread;
}

static bool column_value(const void *context, const char *name, double *value)
{
    const int column = run_column(name);
    return column >= 0 && row_number(context, (RunColumn)column, value);
}

static bool expression_at(const RunRows *runs, unsigned index, const char *cell_id, const char *allocator,
                          const char *expr, double *value)
{
    const RunRow *row = &runs->rows[index];
    const char *place;
    return row_is_of(row, cell_id, allocator) && row_status_is(row, "ok") && round_is_whole(runs, index) &&
           expression_value(expr, column_value, row, value, &place) == EXPRESSION_OK;
}

Spread results_expression_spread(const Results *results, const char *cell_id, const char *allocator, const char *expr)
{
    const RunRows *runs = &results->runs;
    double *values = xcalloc(runs->count, sizeof *values);
    unsigned n = 0;
    for (unsigned i = 0; i < runs->count; i++)
        if (expression_at(runs, i, cell_id, allocator, expr, &values[n])) n++;
    Spread spread = spread_of(values, n);
    free(values);
    return spread;
}

Spread results_expression_ratio(const Results *results, const char *cell_id, const char *allocator,
                                const char *reference, const char *expr)
{
    const RunRows *runs = &results->runs;
    double *ratios = xcalloc(runs->count, sizeof *ratios), value, other;
    unsigned n = 0;
    for (unsigned i = 0; i < runs->count; i++) {
        if (!expression_at(runs, i, cell_id, allocator, expr, &value)) continue;
        for (unsigned k = 0; k < runs->count && n < runs->count; k++)
            if (same_block(&runs->rows[k], &runs->rows[i]) &&
                expression_at(runs, k, cell_id, reference, expr, &other) && isfinite(value / other))
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
        if (value_at(runs, i, cell_id, allocator, RUN_peak_rss_kib, &peaks[n])) n++;
    }
    spread_of(peaks, n); // sorts
    const RunRow *found = NULL;
    for (unsigned i = 0; n && !found && i < runs->count; i++) {
        const RunRow *row = &runs->rows[i];
        if (value_at(runs, i, cell_id, allocator, RUN_peak_rss_kib, &peak) && peak == peaks[(n - 1) / 2]) found = row;
    }
    free(peaks);
    return found;
}
