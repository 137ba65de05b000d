#include "report/plot_rss.h"

#include <stdlib.h>
#include <string.h>

#include "base/csvio.h"
#include "base/util.h"
#include "record/metric.h"
#include "report/curves.h"
#include "report/plot_latency.h"

// One curve file, read.
typedef struct Curve {
    const char *allocator;
    CsvTable table;
    Stall *stalls;
    unsigned stall_count;
} Curve;

// In the place of a counter: rows of their own, which have no figure of the curve.
static const char stall_column[] = "stall_ms";

static bool load_curve(const char *path, CsvTable *table)
{
    if (!csv_load(path, table)) return false;
    if (table->columns >= CURVE_FIXED) return true;
    hzb_error("%s: row 1: %u columns, expected t_ms,phase,rss_kib,live_kib and counters", path, table->columns);
    csv_free_table(table);
    return false;
}

// A damaged curve, as a power cut leaves, costs its own line alone.
static unsigned load_curves(const Results *results, const char *cell_id, Curve *curves)
{
    unsigned count = 0;
    for (unsigned a = 0; a < results->experiment.arm_count; a++) {
        const char *arm = results->experiment.arms[a].name;
        const RunRow *run = results_median_peak_run(&results->runs, cell_id, arm);
        if (!run) continue;
        char *path = xfmt("%s/rss/%s.csv", results->dir, run->field[RUN_seq]);
        curves[count].allocator = arm;
        if (load_curve(path, &curves[count].table)) {
            curves[count].stall_count = stalls_load(results, run->field[RUN_seq], &curves[count].stalls);
            count++;
        } else
            hzb_note("%s: left out of the figure", path);
        free(path);
    }
    return count;
}

// All counters that any of the curves has; those of others stay empty.
static StrList counter_names(const Curve *curves, unsigned count)
{
    StrList names = {0};
    for (unsigned i = 0; i < count; i++)
        for (unsigned c = CURVE_FIXED; c < curves[i].table.columns; c++)
            if (!list_has(&names, curves[i].table.header[c])) list_add(&names, curves[i].table.header[c]);
    for (unsigned i = 0; i < count; i++)
        if (curves[i].stall_count > 0 && !list_has(&names, stall_column)) list_add(&names, stall_column);
    return names;
}

static void put_mib(FILE *out, const char *kib)
{
    double value;
    fputc(',', out);
    if (parse_double(kib, &value)) fprintf(out, "%.3f", value / 1024);
}

static void put_curve(FILE *out, const Curve *curve, const double *aligned_ms, const StrList *counters)
{
    bool *keep = curve_thin(&curve->table);
    for (unsigned r = 0; r < curve->table.row_count; r++) {
        char **field = curve->table.rows[r];
        if (!keep[r]) continue;
        fprintf(out, "%s,%s,", curve->allocator, field[CURVE_T_MS]);
        csv_put(out, field[CURVE_PHASE]);
        put_mib(out, field[CURVE_RSS_KIB]);
        put_mib(out, field[CURVE_LIVE_KIB]);
        fprintf(out, ",%.3f", aligned_ms[r]);
        for (unsigned i = 0; i < counters->count; i++) {
            int column = csv_column(&curve->table, counters->items[i]);
            fprintf(out, ",%s", column < 0 ? "" : field[column]);
        }
        fputc('\n', out);
    }
    free(keep);
}

static void put_stalls(FILE *out, const Curve *curve, const double *aligned_ms, const StrList *counters)
{
    for (unsigned s = 0; s < curve->stall_count; s++) {
        const Stall *stall = &curve->stalls[s];
        fprintf(out, "%s,%.3f,,,,%.3f", curve->allocator, stall->t_ms,
                curve_aligned_ms(&curve->table, aligned_ms, stall->t_ms));
        for (unsigned i = 0; i < counters->count; i++) {
            fputc(',', out);
            if (strcmp(counters->items[i], stall_column) == 0) fprintf(out, "%.6g", stall->ms);
        }
        fputc('\n', out);
    }
}

static double **aligned_times(const Curve *curves, unsigned count)
{
    const CsvTable **tables = xcalloc(count, sizeof *tables);
    for (unsigned i = 0; i < count; i++)
        tables[i] = &curves[i].table;
    double **aligned = curves_align(tables, count);
    free(tables);
    return aligned;
}

// gnuplot takes what two empty lines separate as data sets of their own.
static void put_curves(FILE *out, const Curve *curves, unsigned count)
{
    StrList counters = counter_names(curves, count);
    double **aligned = aligned_times(curves, count);
    fputs("allocator,t_ms,phase,rss_mib,live_mib,aligned_ms", out);
    for (unsigned i = 0; i < counters.count; i++)
        fprintf(out, ",%.*s", (int)strcspn(counters.items[i], ",\""), counters.items[i]);
    fputc('\n', out);
    for (unsigned i = 0; i < count; i++) {
        if (i) fputs("\n\n", out);
        put_curve(out, &curves[i], aligned[i], &counters);
        put_stalls(out, &curves[i], aligned[i], &counters);
        free(aligned[i]);
    }
    free(aligned);
}

unsigned rss_rows(const Results *results, const char *cell_id, FILE *out)
{
    Curve *curves = xcalloc(results->experiment.arm_count, sizeof *curves);
    const unsigned count = load_curves(results, cell_id, curves);
    if (count) put_curves(out, curves, count);
    for (unsigned i = 0; i < count; i++) {
        csv_free_table(&curves[i].table);
        free(curves[i].stalls);
    }
    free(curves);
    return count;
}
