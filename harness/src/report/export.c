#include "report/export.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/csvio.h"
#include "record/metric.h"

// The Go benchmark format (golang.org/design/14313-benchmark-format), which benchstat reads: a line a sample.
static void put_sample(const RunRow *row)
{
    double value;
    printf("Benchmark/cell=%s/allocator=%s 1", row->field[RUN_cell_id], row->field[RUN_allocator]);
    for (unsigned s = 0; s < SHOWN_METRICS; s++) {
        const char *name = run_column_names[shown_metrics[s].column];
        if (row_number(row, shown_metrics[s].column, &value))
            printf(" %.10g %s", value, strcmp(name, "ops_per_s") == 0 ? "ops/s" : name);
    }
    putchar('\n');
}

void export_benchmarks(const Results *results)
{
    printf("run: %s\nmatrix: %s\n", results->experiment.run_id, results->experiment.matrix);
    puts("Unit ops/s better=higher");
    for (unsigned i = 0; i < results->runs.count; i++)
        if (row_status_is(&results->runs.rows[i], "ok")) put_sample(&results->runs.rows[i]);
}

// Numbers as numbers, texts as texts, what is unknown as null.
static json_t *row_to_json(const RunRow *row)
{
    json_t *object = json_object();
    for (unsigned c = 0; c < RUN_COLUMN_COUNT; c++) {
        double value;
        bool text = c == RUN_checksum || c == RUN_lib_sha256 || c == RUN_bin_sha256;
        if (!row->field[c] || !*row->field[c])
            json_object_set_new(object, run_column_names[c], json_null());
        else if (!text && row_number(row, (RunColumn)c, &value))
            json_object_set_new(object, run_column_names[c], json_real(value));
        else
            json_object_set_new(object, run_column_names[c], json_string(row->field[c]));
    }
    return object;
}

void export_json(const Results *results)
{
    json_t *rows = json_array();
    for (unsigned i = 0; i < results->runs.count; i++)
        json_array_append_new(rows, row_to_json(&results->runs.rows[i]));
    json_dumpf(rows, stdout, JSON_INDENT(1) | JSON_DIGITS);
    putchar('\n');
    json_decref(rows);
}

// What is unknown, such as the interval of fewer than six samples, is an empty field.
static void put_spread(const char *cell_id, const Arm *arm, const char *column, const Spread *spread)
{
    enum { TEXTS = 4, NUMBERS = 6 };
    const double numbers[NUMBERS] = {spread->n, spread->median, spread->min, spread->max, spread->ci_lo, spread->ci_hi};
    const char *fields[TEXTS + NUMBERS] = {cell_id, arm->name, arm->role, column};
    char *texts[NUMBERS];
    for (unsigned i = 0; i < NUMBERS; i++)
        fields[TEXTS + i] = texts[i] = isfinite(numbers[i]) ? xfmt("%.10g", numbers[i]) : xstrdup("");
    csv_put_row(stdout, fields, TEXTS + NUMBERS);
    for (unsigned i = 0; i < NUMBERS; i++)
        free(texts[i]);
}

static void put_derived(const Results *results, const char *cell_id, const Arm *arm, const char *reference)
{
    for (unsigned i = 0; i < results->experiment.derived_count; i++) {
        const CfgDerived *derived = &results->experiment.derived[i];
        Spread spread = reference ? results_expression_ratio(results, cell_id, arm->name, reference, derived->expr)
                                  : results_expression_spread(results, cell_id, arm->name, derived->expr);
        if (spread.n) put_spread(cell_id, arm, derived->name, &spread);
    }
}

void export_summary(const Results *results, const char *reference)
{
    const RunRows *runs = &results->runs;
    puts("cell_id,allocator,role,column,n,median,min,max,ci_lo,ci_hi");
    for (unsigned c = 0; c < results->cells.count; c++)
        for (unsigned a = 0; a < results->experiment.arm_count; a++)
            for (RunColumn column = RUN_wall_s; column < RUN_COLUMN_COUNT; column++) {
                const char *cell_id = results->cells.items[c];
                const Arm *arm = &results->experiment.arms[a];
                if (column == RUN_checksum) continue;
                Spread spread = reference ? results_paired_ratio(runs, cell_id, arm->name, reference, column)
                                          : results_spread(runs, cell_id, arm->name, column);
                if (spread.n) put_spread(cell_id, arm, run_column_names[column], &spread);
            }
    for (unsigned c = 0; c < results->cells.count; c++)
        for (unsigned a = 0; a < results->experiment.arm_count; a++)
            put_derived(results, results->cells.items[c], &results->experiment.arms[a], reference);
}
