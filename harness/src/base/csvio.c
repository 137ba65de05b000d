#include "base/csvio.h"

#include <assert.h>
#include <csv.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/util.h"

// One parse: libcsv hands over fields, then the end of a row.
typedef struct RowReader {
    char **fields;
    unsigned count;
    bool row_ended;
} RowReader;

static void on_field(void *text, size_t length, void *context)
{
    RowReader *row = context;
    row->fields = xrealloc(row->fields, row->count + 1, sizeof *row->fields);
    char *field = xcalloc(length + 1, 1);
    if (length) memcpy(field, text, length);
    row->fields[row->count++] = field;
}

static void on_row(int terminator, void *context)
{
    (void)terminator;
    ((RowReader *)context)->row_ended = true;
}

static void row_drop(RowReader *row)
{
    for (unsigned i = 0; i < row->count; i++)
        free(row->fields[i]);
    free(row->fields);
    *row = (RowReader){0};
}

static void row_into_table(CsvTable *table, RowReader *row)
{
    if (!table->header) {
        table->header = row->fields;
        table->columns = row->count;
    } else {
        table->rows = xrealloc(table->rows, table->row_count + 1, sizeof *table->rows);
        table->rows[table->row_count++] = row->fields;
    }
    *row = (RowReader){0};
}

// Feeds byte by byte, so that a row's end is known to the byte.
static bool parse_into(const char *path, const char *text, size_t length, CsvTable *table)
{
    struct csv_parser parser;
    RowReader row = {0};
    bool ok = csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) == 0;
    for (size_t at = 0; ok && at < length; at++) {
        ok = text[at] && csv_parse(&parser, text + at, 1, on_field, on_row, &row) == 1;
        if (!ok || !row.row_ended) continue;
        ok = !table->header || row.count == table->columns;
        if (ok) row_into_table(table, &row);
    }
    if (ok) ok = csv_fini(&parser, on_field, on_row, &row) == 0 && row.count == 0;
    if (!ok && !table->header) hzb_error("%s: row 1 is not a whole header line", path);
    if (!ok && table->header)
        hzb_error("%s: row %u is not a whole row of %u fields", path, table->row_count + 2, table->columns);
    row_drop(&row);
    csv_free(&parser);
    return ok;
}

bool csv_load(const char *path, CsvTable *table)
{
    *table = (CsvTable){0};
    size_t length;
    char *text = file_bytes(path, &length);
    if (!text) {
        hzb_error("%s: %s", path, strerror(errno));
        return false;
    }
    bool ok = parse_into(path, text, length, table);
    if (ok && !table->header) {
        hzb_error("%s: is empty, expected a header line", path);
        ok = false;
    }
    free(text);
    if (!ok) csv_free_table(table);
    return ok;
}

void csv_free_table(CsvTable *table)
{
    for (unsigned r = 0; r < table->row_count; r++) {
        for (unsigned c = 0; c < table->columns; c++)
            free(table->rows[r][c]);
        free(table->rows[r]);
    }
    for (unsigned c = 0; c < table->columns; c++)
        free(table->header[c]);
    free(table->rows);
    free(table->header);
    *table = (CsvTable){0};
}

int csv_column(const CsvTable *table, const char *name)
{
    for (unsigned c = 0; c < table->columns; c++)
        if (strcmp(table->header[c], name) == 0) return (int)c;
    return -1;
}

void csv_put(FILE *out, const char *field)
{
    if (!field || !*field) return;
    size_t length = strlen(field);
    bool plain = !strpbrk(field, ",\"\r\n") && field[0] != ' ' && field[length - 1] != ' ';
    if (plain)
        fputs(field, out);
    else
        csv_fwrite(out, field, length);
}

void csv_put_row(FILE *out, const char *const fields[], unsigned count)
{
    assert(count > 0);
    for (unsigned i = 0; i < count; i++) {
        if (i) fputc(',', out);
        csv_put(out, fields[i]);
    }
    fputc('\n', out);
}

typedef struct RepairScan {
    size_t end;    // offset after the last row to keep
    unsigned rows; // up to there, with the header
    bool damaged;  // a whole row has the wrong number of fields
} RepairScan;

static bool is_all_nul(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i]) return false;
    return true;
}

static RepairScan repair_scan(const char *text, size_t length, unsigned columns, CsvKeep keep, void *context)
{
    struct csv_parser parser;
    RowReader row = {0};
    RepairScan scan = {0};
    if (csv_init(&parser, CSV_STRICT) != 0) return scan;
    for (size_t at = 0; at < length && !scan.damaged; at++) {
        if (is_all_nul(text + at, length - at)) break; // what a crash of the machine may leave
        scan.damaged = !text[at] || csv_parse(&parser, text + at, 1, on_field, on_row, &row) != 1;
        if (scan.damaged || !row.row_ended) continue;
        scan.damaged = row.count != columns;
        if (scan.damaged || (scan.rows && keep && !keep((const char *const *)row.fields, context))) break;
        scan.end = at + 1;
        scan.rows++;
        row_drop(&row);
    }
    row_drop(&row);
    csv_free(&parser);
    return scan;
}

bool csv_repair(const char *path, unsigned columns, CsvKeep keep, void *context)
{
    size_t length;
    char *text = file_bytes(path, &length);
    if (!text) {
        hzb_error("%s: %s", path, strerror(errno));
        return false;
    }
    RepairScan scan = repair_scan(text, length, columns, keep, context);
    free(text);
    if (scan.damaged || scan.rows == 0) {
        hzb_error("%s: row %u is not a whole row of %u fields", path, scan.rows + 1, columns);
        return false;
    }
    if (truncate(path, (off_t)scan.end) == 0) return true;
    hzb_error("%s: cannot cut the torn last row: %s", path, strerror(errno));
    return false;
}

bool csv_append(int fd, const char *text, size_t length)
{
    assert(length > 0 && text[length - 1] == '\n'); // whole rows: half of one would look torn
    ssize_t written = write(fd, text, length);
    if (written >= 0 && (size_t)written < length) errno = ENOSPC; // a part of it: there is no room for the rest
    return written == (ssize_t)length && fsync(fd) == 0;
}
