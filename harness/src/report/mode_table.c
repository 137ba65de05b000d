#include "report/mode_table.h"

#include <stdlib.h>
#include <string.h>

#include "record/machine_modes.h"
#include "record/metric.h"

// Over all modes.
static unsigned samples_of(const Results *results, const char *cell_id, const char *allocator, RunColumn column)
{
    unsigned n = 0;
    for (unsigned mode = 0; mode < results->modes.count; mode++)
        n += results_mode_spread(results, cell_id, allocator, column, mode).n;
    return n;
}

// Any column that each sample has would do.
static bool cell_saw(const Results *results, const char *cell_id, unsigned mode)
{
    for (unsigned a = 0; a < results->experiment.arm_count; a++)
        if (results_mode_spread(results, cell_id, results->experiment.arms[a].name, RUN_wall_s, mode).n) return true;
    return false;
}

static unsigned *modes_of(const Results *results, const char *cell_id, unsigned *count)
{
    unsigned *modes = xcalloc(results->modes.count, sizeof *modes);
    *count = 0;
    for (unsigned mode = 0; mode < results->modes.count; mode++)
        if (cell_saw(results, cell_id, mode)) modes[(*count)++] = mode;
    return modes;
}

unsigned modes_seen(const Results *results, const char *cell_id)
{
    unsigned count;
    free(modes_of(results, cell_id, &count));
    return count;
}

unsigned mode_rows(const Results *results, const char *cell_id, FILE *out)
{
    unsigned count = 0;
    fputs("allocator,probe_pp_ns,ops_per_s\n", out);
    for (unsigned i = 0; i < results->runs.count; i++) {
        const RunRow *row = &results->runs.rows[i];
        const bool is_one = strcmp(row->field[RUN_cell_id], cell_id) == 0 && row_status_is(row, "ok") &&
                            machine_mode_of(&results->modes, row) >= 0 && !machine_mode_changed(&results->modes, row);
        if (!is_one) continue;
        fprintf(out, "%s,%s,%s\n", row->field[RUN_allocator], row->field[RUN_probe_pp_ns], row->field[RUN_ops_per_s]);
        count++;
    }
    return count;
}

static char *figure(const CfgMetric *metric, const Spread *spread, unsigned samples)
{
    if (spread->n == 0) return xstrdup("-");
    char *median = metric_text(metric->name, spread->median);
    char *text = xfmt("%s (%.0f %%)", median, 100.0 * spread->n / samples);
    free(median);
    return text;
}

static void add_figures(const Results *results, const char *cell_id, const Arm *arm, const CfgMetric *metric,
                        const unsigned *modes, unsigned count, TextTable *table)
{
    RunColumn column = (RunColumn)run_column(metric->name);
    unsigned samples = samples_of(results, cell_id, arm->name, column);
    if (samples == 0) return;
    StrList *row = text_table_row(table);
    char *label = metric_label(metric->name);
    const char *unit = metric_unit(metric->name);
    list_add(row, arm->name);
    text_table_add(row, xfmt("%s%s%s", label, *unit ? ", " : "", unit));
    for (unsigned m = 0; m < count; m++) {
        Spread spread = results_mode_spread(results, cell_id, arm->name, column, modes[m]);
        text_table_add(row, figure(metric, &spread, samples));
    }
    free(label);
}

TextTable mode_table(const Results *results, const char *cell_id)
{
    const Experiment *experiment = &results->experiment;
    const Workload *workload = experiment_workload(experiment, results_cell(results, cell_id)->workload);
    TextTable table = {.left = 2};
    unsigned count, *modes = modes_of(results, cell_id, &count);
    if (count > 1) {
        StrList *head = text_table_row(&table);
        list_add(head, "allocator");
        list_add(head, "metric");
        for (unsigned m = 0; m < count; m++)
            text_table_add(head, xfmt("at %.0f ns", results->modes.items[modes[m]].median));
        for (unsigned i = 0; i < workload->metrics_count; i++)
            for (unsigned a = 0; a < experiment->arm_count; a++)
                add_figures(results, cell_id, &experiment->arms[a], &workload->metrics[i], modes, count, &table);
    }
    free(modes);
    return table;
}
