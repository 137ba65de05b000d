// The diagnostic lane's counts: a table a cell, allocators side by side.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/csvio.h"
#include "base/html.h"
#include "report/report_page.h"
#include "sweep/diag.h"

enum { CELL, ALLOCATOR, TOOL, COUNTER, VALUE, FIELDS };

static const char *value_of(const CsvTable *table, const char *cell_id, const char *allocator, char *const *like)
{
    for (unsigned r = 0; r < table->row_count; r++) {
        char *const *row = table->rows[r];
        if (strcmp(row[CELL], cell_id) == 0 && strcmp(row[ALLOCATOR], allocator) == 0 &&
            strcmp(row[TOOL], like[TOOL]) == 0 && strcmp(row[COUNTER], like[COUNTER]) == 0)
            return row[VALUE];
    }
    return "-";
}

static bool is_first(const CsvTable *table, unsigned row)
{
    for (unsigned r = 0; r < row; r++) {
        bool same = true;
        for (unsigned c = 0; c < FIELDS; c++)
            same = same && (c == ALLOCATOR || c == VALUE || strcmp(table->rows[r][c], table->rows[row][c]) == 0);
        if (same) return false;
    }
    return true;
}

static void cell_counts(const Report *report, const CsvTable *table, const char *cell_id, FILE *out)
{
    const Experiment *experiment = &report->results.experiment;
    fputs("<h3>", out);
    html_text(out, cell_id);
    fputs("</h3>\n<div class=\"wide\"><table><thead><tr><th>count</th>", out);
    for (unsigned a = 0; a < experiment->arm_count; a++) {
        fputs("<th>", out);
        html_text(out, experiment->arms[a].name);
        fputs("</th>", out);
    }
    fputs("</tr></thead>\n<tbody>\n", out);
    for (unsigned r = 0; r < table->row_count; r++) {
        if (strcmp(table->rows[r][CELL], cell_id) != 0 || !is_first(table, r)) continue;
        fputs("<tr><td>", out);
        html_fmt(out, "%s, %s", table->rows[r][COUNTER], table->rows[r][TOOL]);
        fputs("</td>", out);
        for (unsigned a = 0; a < experiment->arm_count; a++) {
            fputs("<td>", out);
            html_text(out, value_of(table, cell_id, experiment->arms[a].name, table->rows[r]));
            fputs("</td>", out);
        }
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

void report_diag(const Report *report, FILE *out)
{
    CsvTable table;
    char *path = xfmt("%s/" DIAG_FILE, report->results.dir);
    if (access(path, F_OK) == 0 && csv_load(path, &table)) {
        fputs(
            "<h2 id=\"diagnosis\">Diagnosis</h2>\n<p class=\"dim\">Counts of one process each, under the tool that is "
            "named.</p>\n",
            out);
        for (unsigned c = 0; table.columns == FIELDS && c < report->results.cells.count; c++)
            cell_counts(report, &table, report->results.cells.items[c], out);
        csv_free_table(&table);
    }
    free(path);
}
