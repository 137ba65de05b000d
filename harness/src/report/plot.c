#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/csvio.h"
#include "base/files.h"
#include "base/subprocess.h"
#include "gate/verdict.h"
#include "record/manifest.h"
#include "record/metric.h"
#include "record/results.h"
#include "report/mode_table.h"
#include "report/plot.h"
#include "report/plot_latency.h"
#include "report/plot_rss.h"
#include "report/plot_scaling.h"
#include "report/ranking.h"

typedef struct Plots {
    const Results *results;
    const char *scripts; // folder of the .gp files
    char *dir;           // plots/ of the result folder
    char *note;          // for the corner of each figure
} Plots;

static FILE *open_csv(const Plots *plots, const char *name)
{
    char *path = xfmt("%s/%s.csv", plots->dir, name);
    FILE *out = fopen(path, "we");
    if (!out) hzb_error("%s: %s", path, strerror(errno));
    free(path);
    return out;
}

static bool close_csv(FILE *out, const char *name)
{
    bool ok = !ferror(out);
    ok = fclose(out) == 0 && ok;
    if (!ok) hzb_error("plots/%s.csv: %s", name, strerror(errno));
    return ok;
}

bool plots_draw(const char *scripts, const char *dir, const char *script, const char *name, const char *title,
                const char *note)
{
    static const char *const formats[] = {"svg", "narrow.svg", "png"};
    char *script_path = xfmt("%s/%s.gp", scripts, script), *in = xfmt("%s/%s.csv", dir, name);
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof formats / sizeof *formats; i++) {
        char *out = xfmt("%s/%s.%s", dir, name, formats[i]), *said;
        const char *argv[] = {"gnuplot", "-c", script_path, in, out, title, note, NULL};
        int status = command_output(argv, STDERR_JOINED, &said);
        ok = status == 0;
        if (!ok)
            hzb_error("gnuplot %s: %s", script_path, status < 0 ? "cannot be run" : said);
        else
            printf("%s\n", out);
        free(said);
        free(out);
    }
    free(script_path);
    free(in);
    return ok;
}

static bool draw(const Plots *plots, const char *script, const char *name, const char *title)
{
    return plots_draw(plots->scripts, plots->dir, script, name, title, plots->note);
}

static void put_spread(FILE *out, const Spread *spread)
{
    if (spread->n)
        fprintf(out, ",%.10g,%.10g,%.10g,%u\n", spread->median, spread->min, spread->max, spread->n);
    else
        fputs(",,,,0\n", out);
}

static bool has_speed(const Results *results, const char *cell_id)
{
    for (unsigned a = 0; a < results->experiment.arm_count; a++)
        if (results_spread(&results->runs, cell_id, results->experiment.arms[a].name, RUN_ops_per_s).n) return true;
    return false;
}

static bool throughput(const Plots *plots)
{
    const Results *results = plots->results;
    FILE *out = open_csv(plots, "throughput");
    if (!out) return false;
    fputs("workload_cell,allocator,ops_per_s_median,ops_per_s_min,ops_per_s_max,n\n", out);
    for (unsigned c = 0; c < results->cells.count; c++) {
        for (unsigned a = 0; a < results->experiment.arm_count; a++) {
            const char *cell = results->cells.items[c], *arm = results->experiment.arms[a].name;
            if (!has_speed(results, cell)) continue; // such as one that counts instructions
            Spread spread = results_spread(&results->runs, cell, arm, RUN_ops_per_s);
            fprintf(out, "%s,%s", cell, arm);
            put_spread(out, &spread);
        }
    }
    return close_csv(out, "throughput") && draw(plots, "throughput", "throughput", results->experiment.matrix);
}

// An allocator's points of a set follow each other, so that a line joins them.
static bool scaling(const Plots *plots)
{
    const Results *results = plots->results;
    ScalingPoints points = scaling_points(results);
    FILE *out = points.count ? open_csv(plots, "scaling") : NULL;
    bool ok = points.count == 0;
    if (out) {
        fputs("set,threads,allocator,ops_per_s_median,ops_per_s_min,ops_per_s_max,n\n", out);
        for (unsigned a = 0; a < results->experiment.arm_count; a++) {
            const char *arm = results->experiment.arms[a].name;
            for (unsigned i = 0; i < points.count; i++) {
                const ScalingPoint *point = &points.items[i];
                Spread spread = results_spread(&results->runs, point->cell_id, arm, RUN_ops_per_s);
                csv_put(out, point->set);
                fprintf(out, ",%" PRIu64 ",%s", point->threads, arm);
                put_spread(out, &spread);
            }
        }
        ok = close_csv(out, "scaling") && draw(plots, "scaling", "scaling", results->experiment.matrix);
    }
    scaling_free(&points);
    return ok;
}

// The head and the rows of a cell's figure; returns how many rows.
typedef unsigned CellRows(const Results *results, const char *cell_id, FILE *out);

static bool cell_figure(const Plots *plots, const PlanRow *cell, const char *script, CellRows *rows, const char *title)
{
    char *name = xfmt("%s_%s", script, cell->cell_id);
    FILE *out = open_csv(plots, name);
    bool ok = out != NULL;
    if (out) {
        const unsigned count = rows(plots->results, cell->cell_id, out);
        ok = close_csv(out, name) && (count == 0 || draw(plots, script, name, title));
    }
    free(name);
    return ok;
}

static unsigned pareto_rows(const Results *results, const char *cell_id, FILE *out)
{
    unsigned points = 0;
    fputs("allocator,ops_per_s_median,peak_rss_mib_median\n", out);
    for (unsigned a = 0; a < results->experiment.arm_count; a++) {
        const char *arm = results->experiment.arms[a].name;
        Spread ops = results_spread(&results->runs, cell_id, arm, RUN_ops_per_s);
        Spread peak = results_spread(&results->runs, cell_id, arm, RUN_peak_rss_kib);
        if (ops.n == 0 || peak.n == 0) continue;
        fprintf(out, "%s,%.10g,%.3f\n", arm, ops.median, peak.median / 1024);
        points++;
    }
    return points;
}

// The figure breaks it into lines.
static char *title_of(const PlanRow *cell)
{
    return xfmt("%s: %s", cell->cell_id, cell->params);
}

// NAN is an empty field: unknown.
static void put_ratio(FILE *out, double ratio)
{
    if (isnan(ratio))
        fputc(',', out);
    else
        fprintf(out, ",%.6g", ratio);
}

static bool has_place(const Finding *finding)
{
    return !isnan(finding->ratio) && finding->verdict != VERDICT_UNGATED;
}

// Candidates against their base; nothing where nothing was judged.
static bool forest(const Plots *plots)
{
    Findings findings;
    unsigned rows = 0;
    if (!verdict_read(plots->results->dir, &findings)) return false;
    for (unsigned i = 0; i < findings.count; i++)
        rows += has_place(&findings.items[i]);
    if (rows == 0) return true;
    FILE *out = open_csv(plots, "forest");
    if (!out) return false;
    fputs("metric,direction,cell_id,base,cand,ratio,ci_lo,ci_hi,threshold,verdict\n", out);
    for (unsigned i = 0; i < findings.count; i++) {
        const Finding *finding = &findings.items[i];
        if (!has_place(finding)) continue;
        char *metric = metric_label(finding->metric);
        fprintf(out, "%s,%s,%s,%s,%s", metric, finding->direction == DIRECTION_UP ? "up" : "down", finding->cell_id,
                finding->base, finding->cand);
        put_ratio(out, finding->ratio);
        put_ratio(out, finding->ci_lo);
        put_ratio(out, finding->ci_hi);
        put_ratio(out, finding->threshold);
        fprintf(out, ",%s\n", verdict_names[finding->verdict]);
        free(metric);
    }
    return close_csv(out, "forest") && draw(plots, "forest", "forest", plots->results->experiment.matrix);
}

static void put_ranked(FILE *out, const char *cell, const char *arm, double ratio, double low, double high)
{
    fprintf(out, "%s,%s", cell, arm);
    put_ratio(out, ratio);
    put_ratio(out, low);
    put_ratio(out, high);
    fputc('\n', out);
}

// The best mean first: those get the colours. A candidate is always among them.
static unsigned *arms_by_rank(const Plots *plots, const Ranking *ranking)
{
    unsigned *order = xcalloc(ranking->arms.count, sizeof *order), n = 0;
    for (int is_cand = 1; is_cand >= 0; is_cand--)
        for (unsigned rank = 1; rank <= ranking->arms.count; rank++)
            for (unsigned a = 0; a < ranking->arms.count; a++) {
                const Arm *arm = experiment_arm(&plots->results->experiment, ranking->arms.items[a]);
                if ((strcmp(arm->role, "cand") == 0) == (is_cand == 1) && ranking_place(ranking, a) == rank)
                    order[n++] = a;
            }
    return order;
}

static bool draw_ranking(const Plots *plots, const char *metric)
{
    const int column = run_column(metric);
    Ranking ranking = column < 0 ? (Ranking){0} : ranking_make(plots->results, (RunColumn)column);
    const unsigned arms = ranking.arms.count;
    char *name = xfmt("ranking_%s", metric);
    FILE *out = arms > 0 ? open_csv(plots, name) : NULL;
    bool ok = arms == 0;
    if (out) {
        unsigned *order = arms_by_rank(plots, &ranking);
        char *title = ranking_title(&ranking);
        fputs("cell,allocator,ratio,low,high\n", out);
        for (unsigned i = 0; i < arms; i++)
            put_ranked(out, "geometric_mean", ranking.arms.items[order[i]], ranking.means[order[i]], NAN, NAN);
        for (unsigned c = 0; c < ranking.cells.count; c++)
            for (unsigned i = 0; i < arms; i++) {
                const unsigned at = c * arms + order[i];
                put_ranked(out, ranking.cells.items[c], ranking.arms.items[order[i]], ranking.ratios[at],
                           ranking.low[at], ranking.high[at]);
            }
        ok = close_csv(out, name) && draw(plots, "ranking", name, title);
        free(title);
        free(order);
    }
    free(name);
    ranking_free(&ranking);
    return ok;
}

// Nothing for a cell of another lane.
static bool latency(const Plots *plots, const PlanRow *cell, const char *title)
{
    const size_t length = strlen(cell->workload);
    const bool is_timed = length > 6 && strcmp(cell->workload + length - 6, "_timed") == 0;
    return !is_timed || cell_figure(plots, cell, "latency", latency_rows, title);
}

// Nothing for a cell that saw the machine in one mode only.
static bool modes(const Plots *plots, const PlanRow *cell, const char *title)
{
    return modes_seen(plots->results, cell->cell_id) < 2 || !has_speed(plots->results, cell->cell_id) ||
           cell_figure(plots, cell, "modes", mode_rows, title);
}

// Of many cells and arms the ranking says more than a curve for each would.
static bool draw_cells(const Plots *plots)
{
    const Results *results = plots->results;
    bool ok = true;
    for (unsigned i = 0; ok && i < results->experiment.ranking.count; i++)
        ok = draw_ranking(plots, results->experiment.ranking.items[i]);
    for (unsigned c = 0; ok && results->experiment.ranking.count == 0 && c < results->cells.count; c++) {
        const PlanRow *cell = results_cell(results, results->cells.items[c]);
        char *title = title_of(cell);
        ok = cell_figure(plots, cell, "rss_curve", rss_rows, title) &&
             cell_figure(plots, cell, "pareto", pareto_rows, title) && latency(plots, cell, title) &&
             modes(plots, cell, title);
        free(title);
    }
    return ok;
}

static bool draw_samples(const Plots *plots)
{
    return scaling(plots) && draw_cells(plots) && throughput(plots); // the last: plots_complete takes it for all
}

// How many samples a figure stands for: "n = 5", or "n = 3..12" where cells and arms differ.
static char *n_text(const Results *results)
{
    unsigned least = UINT_MAX, most = 0;
    for (unsigned c = 0; c < results->cells.count; c++)
        for (unsigned a = 0; a < results->experiment.arm_count; a++) {
            unsigned ok = results_count(&results->runs, results->cells.items[c], results->experiment.arms[a].name).ok;
            if (ok == 0) continue;
            if (ok < least) least = ok;
            if (ok > most) most = ok;
        }
    if (most == 0) return xstrdup("n = 0");
    return least == most ? xfmt("n = %u", most) : xfmt("n = %u..%u", least, most);
}

// "2026-11-30, commit 81b94ffded, vm, AMD EPYC, n = 5"
static char *note_of(const Results *results)
{
    json_t *manifest = manifest_json(results->dir);
    const json_t *host = json_object_get(manifest, "host"), *git = json_object_get(manifest, "git");
    const char *created = json_string_value(json_object_get(manifest, "created_utc"));
    const char *sha = json_string_value(json_object_get(git, "sha"));
    const char *name = json_string_value(json_object_get(host, "hostname"));
    const char *cpu = json_string_value(json_object_get(host, "cpu_model"));
    char *n = n_text(results);
    char *note =
        xfmt("%.10s, commit %s%s, %s, %s, %s", created ? created : "?", sha ? sha : "?",
             json_is_true(json_object_get(git, "dirty")) ? " with changes" : "", name ? name : "?", cpu ? cpu : "?", n);
    free(n);
    json_decref(manifest);
    return note;
}

static bool open_plots(const Results *results, const char *scripts, Plots *plots)
{
    *plots = (Plots){
        .results = results, .scripts = scripts, .dir = xfmt("%s/plots", results->dir), .note = note_of(results)};
    return folder_make(plots->dir);
}

bool plots_complete(const Results *results, const char *scripts)
{
    Plots plots;
    if (!open_plots(results, scripts, &plots)) return false;
    char *last = xfmt("%s/throughput.narrow.svg", plots.dir), *record = xfmt("%s/runs.csv", results->dir);
    FileId drawn, measured;
    bool fresh = file_id(last, &drawn) && file_id(record, &measured) && drawn.mtime_ns >= measured.mtime_ns;
    free(last);
    free(record);
    return (fresh || draw_samples(&plots)) && forest(&plots);
}

bool plots_all(const Results *results, const char *scripts)
{
    Plots plots;
    return open_plots(results, scripts, &plots) && draw_samples(&plots) && forest(&plots);
}
