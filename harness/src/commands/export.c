/* `hzb export`: samples for other people's tools. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "record/metric.h"
#include "record/results.h"

/* The Go benchmark format (golang.org/design/14313-benchmark-format), which benchstat reads: a line a sample. */
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

static void put_benchmarks(const Results *results)
{
    printf("run: %s\nmatrix: %s\n", results->experiment.run_id, results->experiment.matrix);
    puts("Unit ops/s better=higher");
    for (unsigned i = 0; i < results->runs.count; i++)
        if (row_status_is(&results->runs.rows[i], "ok")) put_sample(&results->runs.rows[i]);
}

/* Numbers as numbers, texts as texts, what is unknown as null. */
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

static void put_json(const Results *results)
{
    json_t *rows = json_array();
    for (unsigned i = 0; i < results->runs.count; i++)
        json_array_append_new(rows, row_to_json(&results->runs.rows[i]));
    json_dumpf(rows, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
    putchar('\n');
    json_decref(rows);
}

HzbExit command_export(const Options *options)
{
    Results results;
    if (!results_load(options_result_dir(options), &results)) return HZB_IO;
    if (options->json)
        put_json(&results);
    else
        put_benchmarks(&results);
    return fflush(stdout) == 0 ? HZB_OK : HZB_IO;
}
