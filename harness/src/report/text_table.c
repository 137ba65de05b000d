#include "report/text_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/html.h"

StrList *text_table_row(TextTable *table)
{
    table->rows = xrealloc(table->rows, table->count + 1, sizeof *table->rows);
    table->rows[table->count] = (StrList){0};
    return &table->rows[table->count++];
}

void text_table_add(StrList *row, char *text)
{
    list_add(row, text);
    free(text);
}

static int width_of(const TextTable *table, unsigned column)
{
    size_t width = 0;
    for (unsigned r = 0; r < table->count; r++)
        if (strlen(table->rows[r].items[column]) > width) width = strlen(table->rows[r].items[column]);
    return (int)width;
}

static void print_text(const TextTable *table, FILE *out)
{
    for (unsigned r = 0; r < table->count; r++) {
        for (unsigned c = 0; c < table->rows[r].count; c++)
            fprintf(out, c < table->left ? "  %-*s" : "  %*s", width_of(table, c), table->rows[r].items[c]);
        fputc('\n', out);
    }
}

static void print_markdown(const TextTable *table, FILE *out)
{
    for (unsigned r = 0; r < table->count; r++) {
        for (unsigned c = 0; c < table->rows[r].count; c++)
            fprintf(out, "| %s ", table->rows[r].items[c]);
        fputs("|\n", out);
        for (unsigned c = 0; r == 0 && c < table->rows[r].count; c++)
            fputs(c < table->left ? "|---" : "|---:", out);
        if (r == 0) fputs("|\n", out);
    }
}

void text_table_print(const TextTable *table, bool markdown, FILE *out)
{
    (markdown ? print_markdown : print_text)(table, out);
}

void text_table_html(const TextTable *table, const char *css_class, FILE *out)
{
    if (table->count == 0) return;
    fprintf(out, "<div class=\"wide\"><table class=\"%s\"><thead>", css_class);
    for (unsigned r = 0; r < table->count; r++) {
        fputs("<tr>", out);
        for (unsigned c = 0; c < table->rows[r].count; c++) {
            fputs(r == 0 ? "<th>" : "<td>", out);
            html_text(out, table->rows[r].items[c]);
            fputs(r == 0 ? "</th>" : "</td>", out);
        }
        fputs(r == 0 ? "</tr></thead>\n<tbody>\n" : "</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

void text_table_free(TextTable *table)
{
    for (unsigned r = 0; r < table->count; r++)
        list_free(&table->rows[r]);
    free(table->rows);
    *table = (TextTable){0};
}
