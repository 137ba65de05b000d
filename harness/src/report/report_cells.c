#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/html.h"
#include "record/metric.h"
#include "report/claims.h"
#include "report/mode_table.h"
#include "report/ranking.h"
#include "report/report_page.h"

// Does any allocator have this in that cell? Columns without a value are not shown.
static bool is_known(const Results *results, const char *cell_id, RunColumn column)
{
    for (unsigned a = 0; a < results->experiment.arm_count; a++)
        if (results_spread(&results->runs, cell_id, results->experiment.arms[a].name, column).n) return true;
    return false;
}

static void value_cell(const Spread *spread, RunColumn column, FILE *out)
{
    const char *name = run_column_names[column];
    if (spread->n == 0) {
        fputs("<td>-</td>", out);
        return;
    }
    bool interval = isfinite(spread->ci_lo);
    char *median = metric_text(name, spread->median);
    char *low = metric_text(name, interval ? spread->ci_lo : spread->min);
    char *high = metric_text(name, interval ? spread->ci_hi : spread->max);
    fprintf(out, "<td>%s<small>%s..%s</small></td>", median, low, high);
    free(median);
    free(low);
    free(high);
}

static void cell_row(const Results *results, const char *cell_id, const Arm *arm, FILE *out)
{
    SampleCount count = results_count(&results->runs, cell_id, arm->name);
    fputs("<tr><td>", out);
    html_text(out, arm->name);
    fprintf(out, "<small>%s</small></td>", arm->role);
    for (unsigned s = 0; s < SHOWN_METRICS; s++) {
        RunColumn column = shown_metrics[s].column;
        if (!is_known(results, cell_id, column)) continue;
        Spread spread = results_spread(&results->runs, cell_id, arm->name, column);
        value_cell(&spread, column, out);
    }
    fprintf(out, "<td>%u</td><td%s>%u</td><td>%u</td></tr>\n", count.ok, count.bad ? " class=\"v-failed\"" : "",
            count.bad, count.skipped);
}

static void cell_table(const Results *results, const PlanRow *cell, FILE *out)
{
    fputs("<h3 id=\"cell-", out);
    html_text(out, cell->cell_id);
    fputs("\">", out);
    html_text(out, cell->cell_id);
    fputs("</h3>\n<p class=\"dim\"><code>", out);
    html_fmt(out, "%s %s", cell->workload, cell->params);
    fputs("</code></p>\n<div class=\"wide\"><table><thead><tr><th>allocator</th>", out);
    for (unsigned s = 0; s < SHOWN_METRICS; s++)
        if (is_known(results, cell->cell_id, shown_metrics[s].column))
            fprintf(out, "<th>%s</th>", shown_metrics[s].title);
    fputs("<th>ok</th><th>bad</th><th>skipped</th></tr></thead>\n<tbody>\n", out);
    for (unsigned a = 0; a < results->experiment.arm_count; a++)
        cell_row(results, cell->cell_id, &results->experiment.arms[a], out);
    fputs("</tbody></table></div>\n", out);
}

static void modes_table(const Results *results, const char *cell_id, FILE *out)
{
    TextTable table = mode_table(results, cell_id);
    text_table_html(&table, "modes", out);
    text_table_free(&table);
}

void report_rankings(const Report *report, FILE *out)
{
    const StrList *metrics = &report->results.experiment.ranking;
    if (metrics->count > 0) fputs("<h2 id=\"ranking\">Ranking</h2>\n", out);
    for (unsigned i = 0; i < metrics->count; i++) {
        int column = run_column(metrics->items[i]);
        if (column < 0) continue; // a record of another hzb
        Ranking ranking = ranking_make(&report->results, (RunColumn)column);
        TextTable table = ranking_table(&ranking, false);
        char *title = ranking_title(&ranking);
        if (table.count > 0) fprintf(out, "<p>%s.</p>\n", title); // words of hzb's own
        text_table_html(&table, "ranking", out);
        free(title);
        text_table_free(&table);
        ranking_free(&ranking);
    }
}

// As narrow as a phone: what a claim is about stands below its cell.
static void claim_row(const Results *results, const CfgClaim *claim, FILE *out)
{
    static const char *const classes[CLAIM_VERDICTS] = {"improved", "inconclusive", "regression"};
    const ClaimFigure figure = claim_figure(results, claim);
    char *bound = claim_bound_text(claim);
    fputs("<tr><td>", out);
    html_fmt(out, "%s", claim->cell);
    fputs("<small>", out);
    html_fmt(out, "%s of %s", claim->metric, claim->arm);
    fputs("</small>", out);
    if (claim->vs) {
        fputs("<small>", out);
        html_fmt(out, "against %s", figure.versus ? figure.versus : claim->vs);
        fputs("</small>", out);
    }
    fprintf(out, "</td><td class=\"l v-%s\">%s</td><td>", classes[figure.verdict], claim_verdict_names[figure.verdict]);
    if (isnan(figure.median))
        fputs("-", out);
    else
        fprintf(out, "%.4g<small>%.4g..%.4g</small>", figure.median, figure.lo, figure.hi);
    fprintf(out, "</td><td>%s</td></tr>\n", bound);
    free(bound);
}

void report_claims(const Report *report, FILE *out)
{
    const Experiment *experiment = &report->results.experiment;
    if (experiment->claims_count == 0) return;
    fputs("<h2 id=\"claims\">Claims</h2>\n<div class=\"wide\"><table><thead><tr><th>cell</th><th class=\"l\">claim</th>"
          "<th>figure</th><th>bound</th></tr></thead>\n<tbody>\n",
          out);
    for (unsigned i = 0; i < experiment->claims_count; i++)
        claim_row(&report->results, &experiment->claims[i], out);
    fputs("</tbody></table></div>\n", out);
}

void report_cells(const Report *report, FILE *out)
{
    fputs(
        "<h2 id=\"cells\">Cells</h2>\n<p class=\"dim\">Medians of the samples that count; below each its 95 % interval "
        "by order statistics, or the least and the most of fewer than six. Where the machine was in several modes, "
        "told "
        "by a round trip between its CPUs, the medians stand by mode, too, with the share of the samples.</p>\n",
        out);
    for (unsigned c = 0; c < report->results.cells.count; c++) {
        cell_table(&report->results, results_cell(&report->results, report->results.cells.items[c]), out);
        modes_table(&report->results, report->results.cells.items[c], out);
    }
}
