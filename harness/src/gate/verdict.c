#include "gate/verdict.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/csvio.h"

static const char *const ruling_names[] = {"",          "regression", "improved", "unchanged", "inconclusive",
                                           "identical", "failed"};
static const char *const overall_names[] = {"clean", "regression", "inconclusive", "failed"};

static const char *const stats_columns[] = {"cell_id", "workload", "params",      "metric",      "direction", "base",
                                            "cand",    "n",        "base_median", "cand_median", "ratio",     "ci_lo",
                                            "ci_hi",   "p",        "p_holm",      "threshold",   "verdict"};
enum { STATS_COLUMN_COUNT = sizeof stats_columns / sizeof *stats_columns };

static const char *direction_name(const Comparison *c)
{
    return c->direction == DIRECTION_UP ? "up" : "down";
}

static char *number_text(double value)
{
    return isfinite(value) ? xfmt("%.10g", value) : xstrdup("");
}

static void put_comparison(const Comparison *c, FILE *out)
{
    const double numbers[] = {c->base_median, c->cand_median, exp(c->d), exp(c->d_lo),
                              exp(c->d_hi),   c->p,           c->p_holm, c->threshold};
    const char *fields[STATS_COLUMN_COUNT] = {
        c->cell->cell_id,  c->cell->workload, c->cell->params, run_column_names[c->column],
        direction_name(c), c->base->name,     c->cand->name};
    char *texts[9];
    texts[0] = xfmt("%u", c->n);
    for (unsigned i = 0; i < 8; i++)
        texts[i + 1] = number_text(numbers[i]);
    for (unsigned i = 0; i < 9; i++)
        fields[7 + i] = texts[i];
    fields[STATS_COLUMN_COUNT - 1] = ruling_names[c->ruling];
    csv_put_row(out, fields, STATS_COLUMN_COUNT);
    for (unsigned i = 0; i < 9; i++)
        free(texts[i]);
}

bool verdict_write_stats(const char *dir, const Comparisons *comparisons)
{
    char *path = xfmt("%s/stats.csv", dir);
    FILE *out = fopen(path, "we");
    if (out) csv_put_row(out, stats_columns, STATS_COLUMN_COUNT);
    for (unsigned i = 0; out && i < comparisons->count; i++)
        put_comparison(&comparisons->items[i], out);
    bool ok = out && !ferror(out);
    ok = out && fclose(out) == 0 && ok;
    if (!ok) hzb_error("%s: %s", path, strerror(errno));
    free(path);
    return ok;
}

static json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *comparison_json(const Comparison *c)
{
    json_t *confirmed = c->confirmation == CONFIRM_UNKNOWN ? json_null() : json_boolean(c->confirmation == CONFIRM_YES);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:i}", "cell_id",
                     c->cell->cell_id, "metric", run_column_names[c->column], "direction", direction_name(c), "base",
                     c->base->name, "cand", c->cand->name, "n", (int)c->n, "base_median", number_json(c->base_median),
                     "cand_median", number_json(c->cand_median), "ratio", number_json(exp(c->d)), "ci_lo",
                     number_json(exp(c->d_lo)), "ci_hi", number_json(exp(c->d_hi)), "p", number_json(c->p), "p_holm",
                     number_json(c->p_holm), "threshold", number_json(c->threshold), "verdict", ruling_names[c->ruling],
                     "confirmed", confirmed, "missing", (int)c->missing);
}

/* Samples of one arm in one cell that went wrong in one way; the way is the reason up to its first colon. */
typedef struct {
    const RunRow *row;
    unsigned count;
} FailureGroup;

static bool same_failure(const RunRow *a, const RunRow *b)
{
    static const RunColumn columns[] = {RUN_cell_id, RUN_allocator, RUN_status};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        if (strcmp(a->field[columns[i]], b->field[columns[i]]) != 0) return false;
    const char *x = a->field[RUN_invalid_reason], *y = b->field[RUN_invalid_reason];
    return strcspn(x, ":") == strcspn(y, ":") && strncmp(x, y, strcspn(x, ":")) == 0;
}

static FailureGroup *group_failures(const RunRows *runs, unsigned *count)
{
    FailureGroup *groups = xcalloc(runs->count, sizeof *groups);
    *count = 0;
    for (unsigned i = 0; i < runs->count; i++) {
        const RunRow *row = &runs->rows[i];
        unsigned g = 0;
        if (row_status_is(row, "ok") || row_status_is(row, "skipped")) continue;
        while (g < *count && !same_failure(groups[g].row, row))
            g++;
        groups[g].row = row;
        groups[g].count++;
        if (g == *count) ++*count;
    }
    return groups;
}

static json_t *failures_json(const RunRows *runs)
{
    unsigned count;
    FailureGroup *groups = group_failures(runs, &count);
    json_t *array = json_array();
    for (unsigned g = 0; g < count; g++) {
        char *const *field = groups[g].row->field;
        json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:i, s:s}", "cell_id", field[RUN_cell_id], "allocator",
                                               field[RUN_allocator], "status", field[RUN_status], "count",
                                               (int)groups[g].count, "reason", field[RUN_invalid_reason]));
    }
    free(groups);
    return array;
}

bool verdict_write_json(const Results *results, const Comparisons *comparisons, Overall overall, HzbExit exit_code)
{
    json_t *cells = json_array();
    for (unsigned i = 0; i < comparisons->count; i++)
        if (comparisons->items[i].gate) json_array_append_new(cells, comparison_json(&comparisons->items[i]));
    json_t *root = json_pack("{s:i, s:i, s:s, s:o, s:o}", "version", 1, "exit_code", (int)exit_code, "overall",
                             overall_names[overall], "cells", cells, "failures", failures_json(&results->runs));
    char *path = xfmt("%s/verdict.json", results->dir);
    bool ok = root && json_dump_file(root, path, JSON_INDENT(2)) == 0;
    if (!ok) hzb_error("%s: cannot be written", path);
    json_decref(root);
    free(path);
    return ok;
}

static const char *ruling_text(const Comparison *c)
{
    if (c->ruling != RULING_REGRESSION) return ruling_names[c->ruling];
    if (c->confirmation == CONFIRM_UNKNOWN) return "REGRESSION";
    return c->confirmation == CONFIRM_YES ? "REGRESSION, confirmed" : "regression, not confirmed";
}

static char *missing_text(const Comparison *c)
{
    if (c->missing > 0) return xfmt(" (in %u rounds only %s has a value)", c->missing, c->base->name);
    bool none = c->n == 0 && c->rounds_ok > 0;
    return none ? xfmt(" (%s has no value)", c->base->name) : xstrdup("");
}

static char *change_text(double ratio)
{
    return isfinite(ratio) ? xfmt("%+.2f %%", (ratio - 1) * 100) : xstrdup("-");
}

static void print_comparison(const Comparison *c, int cell_width, int arms_width, FILE *out)
{
    char *change = change_text(exp(c->d)), *lo = change_text(exp(c->d_lo)), *hi = change_text(exp(c->d_hi));
    char *p = isnan(c->p_holm) ? xstrdup("-") : xfmt("%.4f", c->p_holm);
    char *limit = isnan(c->threshold) ? xstrdup("exact") : xfmt("%.1f %%", c->threshold * 100);
    char *arms = xfmt("%s : %s", c->cand->name, c->base->name), *missing = missing_text(c);
    if (c->gate->exact) {
        free(change);
        change = isnan(c->cand_median) ? xstrdup("-") : xfmt("%g, was %g", c->cand_median, c->base_median);
    }
    fprintf(out, "  %-*s  %-14s  %-*s  %3u  %10s  %9s ..%9s  %6s  %6s  %s%s%s\n", cell_width, c->cell->cell_id,
            run_column_names[c->column], arms_width, arms, c->n, change, lo, hi, p, limit, ruling_text(c), missing,
            compare_is_gated(c) ? "" : " (A/A)");
    char *const texts[] = {change, lo, hi, p, limit, arms, missing};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
}

static void print_failures(const Results *results, FILE *out)
{
    unsigned count;
    FailureGroup *groups = group_failures(&results->runs, &count);
    if (count > 0) fputs("\nSamples that do not count:\n", out);
    for (unsigned g = 0; g < count; g++) {
        char *const *field = groups[g].row->field;
        fprintf(out, "  %s, %s: %u %s (%s)\n", field[RUN_cell_id], field[RUN_allocator], groups[g].count,
                field[RUN_status], field[RUN_invalid_reason]);
    }
    free(groups);
}

void verdict_print(const Results *results, const Comparisons *comparisons, Overall overall, FILE *out)
{
    size_t cell_width = 4, arms_width = 11;
    for (unsigned i = 0; i < comparisons->count; i++) {
        const Comparison *c = &comparisons->items[i];
        size_t arms = strlen(c->cand->name) + 3 + strlen(c->base->name);
        if (c->gate && strlen(c->cell->cell_id) > cell_width) cell_width = strlen(c->cell->cell_id);
        if (c->gate && arms > arms_width) arms_width = arms;
    }
    fprintf(out, "  %-*s  %-14s  %-*s  %3s  %10s  %20s  %6s  %6s  %s\n", (int)cell_width, "cell", "metric",
            (int)arms_width, "cand : base", "n", "change", "95 % interval", "p", "limit", "verdict");
    for (unsigned i = 0; i < comparisons->count; i++)
        if (comparisons->items[i].gate) print_comparison(&comparisons->items[i], (int)cell_width, (int)arms_width, out);
    print_failures(results, out);
    if (results->runs.count < results->plan.count)
        fprintf(out, "\n%u of %u samples are recorded.\n", results->runs.count, results->plan.count);
    fprintf(out, "\nverdict: %s\n", overall_names[overall]);
}
