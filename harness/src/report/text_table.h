// A table of texts that the terminal, Markdown and the page show alike.
#ifndef HZB_TEXT_TABLE_H
#define HZB_TEXT_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/util.h"

// Row 0 is the head. The first `left` columns are words, the others figures. All rows have as many columns.
typedef struct TextTable {
    StrList *rows;
    unsigned count;
    unsigned left;
} TextTable;

StrList *text_table_row(TextTable *table);
// Adds a text to a row, and frees it.
void text_table_add(StrList *row, char *text);
void text_table_print(const TextTable *table, bool markdown, FILE *out);
void text_table_html(const TextTable *table, const char *css_class, FILE *out);
void text_table_free(TextTable *table);

#endif
