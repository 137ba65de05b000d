#include "report/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "record/metric.h"
#include "report/mode_table.h"
#include "report/ranking.h"

enum { COLUMNS = SHOWN_METRICS + 3 };

static const char unknown[] = "-";

// Texts of one table; row 0 is the header.
typedef struct Grid {
    char *(*rows)[COLUMNS];
    unsigned count;
} Grid;

// Row of the grid with the best value; 0 (the header) if the column is no metric of the workload.
static unsigned best_row(const CfgMetric *metric, const Spread *spreads, unsigned rows)
{
    unsigned best = 0;
    for (unsigned r = 1; metric && r < rows; r++) {
        if (spreads[r].n == 0) continue;
        bool more = spreads[r].median > spreads[best].median;
        if (!best || more == (metric->direction == DIRECTION_UP)) best = r;
    }
    return best;
}

static void mark(char **text, bool markdown)
{
    char *marked = markdown ? xfmt("**%s**", *text) : xfmt("%s*", *text);
    free(*text);
    *text = marked;
}

// What reads the same as the best is marked too; nothing is if all of them do.
static void mark_best(Grid *grid, unsigned column, unsigned best, bool markdown)
{
    assert(best > 0 && best < grid->count); // row 0 is the header
    unsigned same = 0, known = 0;
    char *text = xstrdup(grid->rows[best][column]);
    for (unsigned r = 1; r < grid->count; r++) {
        known += strcmp(grid->rows[r][column], unknown) != 0;
        same += strcmp(grid->rows[r][column], text) == 0;
    }
    for (unsigned r = 1; same < known && r < grid->count; r++)
        if (strcmp(grid->rows[r][column], text) == 0) mark(&grid->rows[r][column], markdown);
    free(text);
}

static void fill_column(const Results *results, const char *cell_id, const Workload *workload, bool markdown,
                        Grid *grid, unsigned s)
{
    assert(s < SHOWN_METRICS && grid->count == results->experiment.arm_count + 1);
    Spread *spreads = xcalloc(grid->count, sizeof *spreads);
    const RunColumn column = shown_metrics[s].column;
    grid->rows[0][s + 1] = xstrdup(shown_metrics[s].title);
    for (unsigned r = 1; r < grid->count; r++) {
        spreads[r] = results_spread(&results->runs, cell_id, results->experiment.arms[r - 1].name, column);
        grid->rows[r][s + 1] =
            spreads[r].n ? metric_text(run_column_names[column], spreads[r].median) : xstrdup(unknown);
    }
    unsigned best = best_row(metric_of(workload, column), spreads, grid->count);
    if (best) mark_best(grid, s + 1, best, markdown);
    free(spreads);
}

static Grid make_grid(const Results *results, const char *cell_id, bool markdown)
{
    const Experiment *experiment = &results->experiment;
    const Workload *workload = experiment_workload(experiment, results_cell(results, cell_id)->workload);
    Grid grid = {.count = experiment->arm_count + 1};
    grid.rows = xcalloc(grid.count, sizeof *grid.rows);
    grid.rows[0][0] = xstrdup("allocator");
    grid.rows[0][SHOWN_METRICS + 1] = xstrdup("ok");
    grid.rows[0][SHOWN_METRICS + 2] = xstrdup("bad");
    for (unsigned a = 0; a < experiment->arm_count; a++) {
        SampleCount count = results_count(&results->runs, cell_id, experiment->arms[a].name);
        grid.rows[a + 1][0] = xstrdup(experiment->arms[a].name);
        grid.rows[a + 1][SHOWN_METRICS + 1] = count.skipped && !count.ok ? xstrdup("skipped") : xfmt("%u", count.ok);
        grid.rows[a + 1][SHOWN_METRICS + 2] = xfmt("%u", count.bad);
    }
    for (unsigned s = 0; s < SHOWN_METRICS; s++)
        fill_column(results, cell_id, workload, markdown, &grid, s);
    return grid;
}

// A metric that no arm of the cell has takes no room.
static bool is_shown(const Grid *grid, unsigned column)
{
    for (unsigned r = 1; r < grid->count; r++)
        if (strcmp(grid->rows[r][column], unknown) != 0) return true;
    return false;
}

static unsigned column_width(const Grid *grid, unsigned column)
{
    size_t width = 0;
    for (unsigned r = 0; r < grid->count; r++)
        if (strlen(grid->rows[r][column]) > width) width = strlen(grid->rows[r][column]);
    return (unsigned)width;
}

static void print_text(const Grid *grid, FILE *out)
{
    for (unsigned r = 0; r < grid->count; r++) {
        for (unsigned c = 0; c < COLUMNS; c++) {
            if (!is_shown(grid, c)) continue;
            int width = (int)column_width(grid, c);
            // A marked number keeps its last digit under those of the others.
            const char *text = grid->rows[r][c];
            bool marked = text[strlen(text) - 1] == '*';
            fprintf(out, c == 0 ? "  %-*s" : "  %*s", c == 0 || marked ? width + (c > 0) : width, text);
            if (c > 0 && !marked && c + 1 < COLUMNS) fputc(' ', out);
        }
        fputc('\n', out);
    }
}

static void print_markdown(const Grid *grid, FILE *out)
{
    for (unsigned r = 0; r < grid->count; r++) {
        for (unsigned c = 0; c < COLUMNS; c++)
            if (is_shown(grid, c)) fprintf(out, "| %s ", grid->rows[r][c]);
        fputs("|\n", out);
        if (r > 0) continue;
        for (unsigned c = 0; c < COLUMNS; c++)
            if (is_shown(grid, c)) fputs(c == 0 ? "|---" : "|---:", out);
        fputs("|\n", out);
    }
}

static const char by_mode[] = "By mode of the machine, told by a round trip between its CPUs:";

static void print_modes(const Results *results, const char *cell_id, bool markdown, FILE *out)
{
    TextTable table = mode_table(results, cell_id);
    if (table.count > 0) fprintf(out, markdown ? "\n%s\n\n" : "  %s\n", by_mode);
    text_table_print(&table, markdown, out);
    text_table_free(&table);
}

static void free_grid(Grid *grid)
{
    for (unsigned r = 0; r < grid->count; r++)
        for (unsigned c = 0; c < COLUMNS; c++)
            free(grid->rows[r][c]);
    free(grid->rows);
}

static void print_bad(const Results *results, bool markdown, FILE *out)
{
    bool any = false;
    for (unsigned i = 0; i < results->runs.count; i++) {
        const RunRow *row = &results->runs.rows[i];
        if (row_status_is(row, "ok") || row_status_is(row, "skipped")) continue;
        if (!any)
            fputs(markdown ? "\nBad samples, not in the medians:\n\n" : "\nBad samples, not in the medians:\n", out);
        any = true;
        fprintf(out, "%sseq %s, %s, %s: %s (%s)\n", markdown ? "- " : "  ", row->field[RUN_seq],
                row->field[RUN_cell_id], row->field[RUN_allocator], row->field[RUN_status],
                row->field[RUN_invalid_reason]);
    }
}

bool table_ranking(const Results *results, const char *metric, bool markdown, FILE *out)
{
    int column = run_column(metric);
    if (column < 0) return false; // or it is a record of another hzb
    Ranking ranking = ranking_make(results, (RunColumn)column);
    TextTable table = ranking_table(&ranking, markdown);
    char *title = ranking_title(&ranking);
    if (table.count > 0) fprintf(out, markdown ? "%s:\n\n" : "%s:\n", title);
    text_table_print(&table, markdown, out);
    if (table.count > 0) fputc('\n', out);
    free(title);
    const bool any = table.count > 0;
    text_table_free(&table);
    ranking_free(&ranking);
    return any;
}

void table_print(const Results *results, bool markdown, FILE *out)
{
    for (unsigned i = 0; i < results->experiment.ranking.count; i++)
        table_ranking(results, results->experiment.ranking.items[i], markdown, out);
    for (unsigned i = 0; i < results->cells.count; i++) {
        const PlanRow *cell = results_cell(results, results->cells.items[i]);
        fprintf(out, markdown ? "%s**%s**: %s `%s`\n\n" : "%s%s: %s %s\n", i ? "\n" : "", cell->cell_id, cell->workload,
                cell->params);
        Grid grid = make_grid(results, cell->cell_id, markdown);
        if (markdown)
            print_markdown(&grid, out);
        else
            print_text(&grid, out);
        free_grid(&grid);
        print_modes(results, cell->cell_id, markdown, out);
    }
    if (results->runs.count < results->plan.count)
        fprintf(out, "\n%u of %u samples are recorded.\n", results->runs.count, results->plan.count);
    print_bad(results, markdown, out);
}
