#include "report/report_markdown.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "record/metric.h"
#include "report/claims.h"
#include "report/headline.h"
#include "report/mode_table.h"
#include "report/ranking.h"
#include "stats/stats.h"

// Together with what stands around them, below 100 lines.
enum { ROWS_MAX = 60, FAILURES_MAX = 15, MODES_FRAME = 4 };

// Texts of a table; all rows have the same number of columns.
typedef struct Lines {
    StrList *rows;
    unsigned count, columns;
} Lines;

static void lines_add(Lines *lines, const StrList *row)
{
    assert(lines->count == 0 || row->count == lines->columns);
    lines->rows = xrealloc(lines->rows, lines->count + 1, sizeof *lines->rows);
    lines->rows[lines->count++] = *row;
    lines->columns = row->count;
}

static void add_text(StrList *row, char *text)
{
    list_add(row, text);
    free(text);
}

// Letters, not bytes: the continuation bytes of UTF-8 take no room.
static unsigned width_of(const char *text)
{
    unsigned width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static unsigned column_width(const Lines *lines, unsigned column)
{
    assert(column < lines->columns);
    unsigned width = 0;
    for (unsigned r = 0; r < lines->count; r++)
        if (width_of(lines->rows[r].items[column]) > width) width = width_of(lines->rows[r].items[column]);
    return width;
}

static const char no_interval[] = "±∞";

static bool has_no_interval(const Lines *lines)
{
    for (unsigned r = 0; r < lines->count; r++)
        for (unsigned c = 0; c < lines->columns; c++)
            if (strstr(lines->rows[r].items[c], no_interval)) return true;
    return false;
}

// The first column is the diff's sign; the next `left` ones and those from `words` on are aligned to the left.
static void lines_print(const Lines *lines, unsigned left, unsigned words, FILE *out)
{
    fputs("```diff\n", out);
    for (unsigned r = 0; r < lines->count; r++) {
        const StrList *row = &lines->rows[r];
        char *text = xstrdup(row->items[0]);
        for (unsigned c = 1; c < row->count; c++) {
            int pad = (int)(column_width(lines, c) - width_of(row->items[c]));
            char *next = c <= left || c >= words ? xfmt("%s%s%s%*s", text, c > 1 ? "  " : "", row->items[c], pad, "")
                                                 : xfmt("%s  %*s%s", text, pad, "", row->items[c]);
            free(text);
            text = next;
        }
        size_t length = strlen(text);
        while (length > 0 && text[length - 1] == ' ')
            text[--length] = 0;
        fprintf(out, "%s\n", text);
        free(text);
    }
    fputs("```\n", out);
    if (has_no_interval(lines))
        fprintf(out, "\n%s: fewer than %d samples have no interval.\n", no_interval, INTERVAL_N_MIN);
}

// "38.12M ±2%": the half of the median's interval that reaches farther.
static char *median_text(const Report *report, const char *cell_id, const char *allocator, const char *metric)
{
    int column = run_column(metric);
    Spread spread = {0};
    if (column >= 0) spread = results_spread(&report->results.runs, cell_id, allocator, (RunColumn)column);
    if (spread.n == 0) return xstrdup("-");
    char *value = metric_text(metric, spread.median), *text;
    double reach = fmax(spread.ci_hi - spread.median, spread.median - spread.ci_lo);
    if (!isfinite(reach))
        text = xfmt("%s%s %s", value, metric_unit(metric), no_interval);
    else
        text = xfmt("%s%s ±%.0f%%", value, metric_unit(metric), spread.median > 0 ? 100 * reach / spread.median : 0);
    free(value);
    return text;
}

static char *versus_text(const Finding *finding)
{
    bool quiet = finding->verdict == VERDICT_UNCHANGED && finding->missing == 0;
    char *change = quiet ? xstrdup("~") : finding_change_text(finding);
    char *text = isnan(finding->p) ? xfmt("%s (n=%.0f)", change, isnan(finding->n) ? 0 : finding->n)
                                   : xfmt("%s (p=%.3f n=%.0f)", change, finding->p, isnan(finding->n) ? 0 : finding->n);
    free(change);
    return text;
}

static const char *sign_of(const Finding *finding)
{
    if (finding->known) return "! ";
    switch (finding->verdict) {
    case VERDICT_REGRESSION:
    case VERDICT_FAILED:
        return "- ";
    case VERDICT_IMPROVED:
        return "+ ";
    case VERDICT_INCONCLUSIVE:
        return "! ";
    default:
        return "  ";
    }
}

static void add_finding(const Report *report, const Finding *finding, Lines *lines)
{
    static const char *const confirmed[] = {"", " unconfirmed", " confirmed"};
    StrList row = {0};
    list_add(&row, sign_of(finding));
    list_add(&row, finding->cell_id);
    add_text(&row, metric_label(finding->metric));
    add_text(&row, xfmt("%s -> %s", finding->base, finding->cand));
    add_text(&row, median_text(report, finding->cell_id, finding->base, finding->metric));
    add_text(&row, median_text(report, finding->cell_id, finding->cand, finding->metric));
    add_text(&row, versus_text(finding));
    add_text(&row, xfmt("%s%s%s", verdict_names[finding->verdict],
                        finding->verdict == VERDICT_REGRESSION ? confirmed[finding->confirmation] : "",
                        finding->known ? ", known" : ""));
    lines_add(lines, &row);
}

static StrList head_row(const char *const texts[], unsigned count)
{
    StrList row = {0};
    for (unsigned i = 0; i < count; i++)
        list_add(&row, texts[i]);
    return row;
}

static void known_list(const Findings *findings, FILE *out)
{
    for (unsigned i = 0; i < findings->count; i++) {
        const CfgKnown *known = findings->items[i].known;
        if (known)
            fprintf(out, "\nKnown until %s: %s in %s. %s\n", known->until, known->metric, known->cell, known->why);
    }
    for (unsigned i = 0; i < findings->expired_count; i++) {
        const CfgKnown *known = &findings->expired[i];
        fprintf(out, "\nNo longer known since %s: %s in %s. %s\n", known->until, known->metric, known->cell,
                known->why);
    }
}

static unsigned findings_table(const Report *report, FILE *out)
{
    static const char *const head[] = {"  ", "cell", "metric", "arms", "base", "cand", "vs base", "verdict"};
    const Findings *findings = &report->findings;
    Lines lines = {0};
    StrList row = head_row(head, 8);
    lines_add(&lines, &row);
    const unsigned gated = findings->count - findings_of(findings, VERDICT_UNGATED); // which come last
    const unsigned shown = gated < ROWS_MAX ? gated : ROWS_MAX;
    for (unsigned i = 0; i < shown; i++)
        add_finding(report, &findings->items[i], &lines);
    lines_print(&lines, 3, 7, out);
    if (shown < gated)
        fprintf(out, "%u more rows, none of them worse than these, are in report.html.\n", gated - shown);
    return shown;
}

// One row a cell and metric, one column an allocator. Returns the rows.
static unsigned medians_table(const Report *report, FILE *out)
{
    const Results *results = &report->results;
    Lines lines = {0};
    StrList row = head_row((const char *const[]){"  ", "cell", "metric"}, 3);
    for (unsigned a = 0; a < results->experiment.arm_count; a++)
        list_add(&row, results->experiment.arms[a].name);
    lines_add(&lines, &row);
    for (unsigned c = 0; c < results->cells.count; c++) {
        const PlanRow *cell = results_cell(results, results->cells.items[c]);
        const Workload *workload = experiment_workload(&results->experiment, cell->workload);
        for (unsigned m = 0; m < workload->metrics_count && lines.count <= ROWS_MAX; m++) {
            row = head_row((const char *const[]){"  ", cell->cell_id}, 2);
            add_text(&row, metric_label(workload->metrics[m].name));
            for (unsigned a = 0; a < results->experiment.arm_count; a++)
                add_text(&row, median_text(report, cell->cell_id, results->experiment.arms[a].name,
                                           workload->metrics[m].name));
            lines_add(&lines, &row);
        }
    }
    lines_print(&lines, 2, UINT_MAX, out);
    if (lines.count > ROWS_MAX) fputs("More cells are in report.html.\n", out);
    return lines.count;
}

static unsigned rankings(const Report *report, FILE *out)
{
    const StrList *metrics = &report->results.experiment.ranking;
    unsigned rows = 0;
    for (unsigned i = 0; i < metrics->count; i++) {
        int column = run_column(metrics->items[i]);
        if (column < 0) continue; // a record of another hzb
        Ranking ranking = ranking_make(&report->results, (RunColumn)column);
        TextTable table = ranking_table(&ranking, true);
        char *title = ranking_title(&ranking);
        if (table.count > 0) fprintf(out, "%s%s:\n\n", i > 0 ? "\n" : "", title);
        if (rows + table.count <= ROWS_MAX)
            text_table_print(&table, true, out);
        else
            fputs("It is in report.html.\n", out);
        rows += table.count;
        free(title);
        text_table_free(&table);
        ranking_free(&ranking);
    }
    return rows;
}

// As many as there is room for, of the cells in which the machine was in several modes. One row an arm and metric.
static void modes_of_cells(const Report *report, unsigned room, FILE *out)
{
    const Results *results = &report->results;
    bool more = false;
    for (unsigned i = 0; i < results->cells.count; i++) {
        TextTable table = mode_table(results, results->cells.items[i]);
        Lines lines = {0};
        for (unsigned r = 0; r < table.count && table.count + MODES_FRAME <= room; r++) {
            StrList row = head_row((const char *const[]){"  "}, 1);
            for (unsigned c = 0; c < table.rows[r].count; c++)
                list_add(&row, table.rows[r].items[c]);
            lines_add(&lines, &row);
        }
        more |= table.count > lines.count;
        text_table_free(&table);
        if (lines.count == 0) continue;
        fprintf(out, "\n%s by mode of the machine:\n", results->cells.items[i]);
        lines_print(&lines, 2, UINT_MAX, out);
        room -= lines.count + MODES_FRAME;
    }
    if (more) fputs("\nMore figures by mode are in report.html.\n", out);
}

static void claims_list(const Results *results, FILE *out)
{
    if (results->experiment.claims_count == 0) return;
    fprintf(out, "\n%u of %u claims hold, %u are open, %u fail.\n", claims_of(results, CLAIM_HOLDS),
            results->experiment.claims_count, claims_of(results, CLAIM_OPEN), claims_of(results, CLAIM_FAILS));
}

static void bad_samples(const Report *report, FILE *out)
{
    const RunRows *runs = &report->results.runs;
    unsigned bad = 0;
    for (unsigned i = 0; i < runs->count; i++) {
        const RunRow *row = &runs->rows[i];
        if (row_status_is(row, "ok") || row_status_is(row, "skipped")) continue;
        if (bad == 0) fputs("\nSamples that do not count:\n", out);
        if (bad++ < FAILURES_MAX)
            fprintf(out, "- seq %s, %s, %s: %s (%s)\n", row->field[RUN_seq], row->field[RUN_cell_id],
                    row->field[RUN_allocator], row->field[RUN_status], row->field[RUN_invalid_reason]);
    }
    if (bad > FAILURES_MAX) fprintf(out, "- and %u more\n", bad - FAILURES_MAX);
    fprintf(out, "\n%u of %u samples recorded, %u of them do not count; %u attempts were made again.\n", runs->count,
            report->results.plan.count, bad, report->rejected.count);
}

void report_markdown(const Report *report, FILE *out)
{
    char *sentence = report_sentence(report);
    fprintf(out, "### hzb: %s, matrix %s\n\n", report_overall(report), report->results.experiment.matrix);
    StrList list = headlines(report);
    for (unsigned i = 0; i < list.count; i++)
        fprintf(out, "- %s\n%s", list.items[i], i + 1 == list.count ? "\n" : "");
    list_free(&list);
    fprintf(out, "%s\n\n", sentence);
    const bool judged = report->findings.count > findings_of(&report->findings, VERDICT_UNGATED);
    const unsigned rows = judged                                         ? findings_table(report, out)
                          : report->results.experiment.ranking.count > 0 ? rankings(report, out)
                                                                         : medians_table(report, out);
    modes_of_cells(report, ROWS_MAX > rows ? ROWS_MAX - rows : 0, out);
    known_list(&report->findings, out);
    claims_list(&report->results, out);
    bad_samples(report, out);
    char *probes = report_probes(report);
    if (*probes) fprintf(out, "%s\n", probes);
    free(probes);
    fprintf(out, "`%s` on %s, %s, kernel %s, %s\n", report->results.experiment.run_id,
            report_fact(report, "host", "hostname"), report_fact(report, "host", "cpu_model"),
            report_fact(report, "host", "kernel"), report_fact(report, "host", "libc"));
    free(sentence);
}
