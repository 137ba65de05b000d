#include "record/record.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/csvio.h"
#include "base/files.h"
#include "base/util.h"

static const char *const counter_columns[] = {"seq", "counter", "value"};
enum { COUNTER_COLUMN_COUNT = 3 };

void row_set(RunRow *row, RunColumn column, const char *format, ...)
{
    assert(column < RUN_COLUMN_COUNT);
    va_list args;
    free(row->field[column]);
    va_start(args, format);
    if (vasprintf(&row->field[column], format, args) < 0) row->field[column] = NULL;
    va_end(args);
}

bool row_number(const RunRow *row, RunColumn column, double *value)
{
    assert(column < RUN_COLUMN_COUNT);
    return row->field[column] && parse_double(row->field[column], value) && isfinite(*value);
}

bool row_status_is(const RunRow *row, const char *status)
{
    return row->field[RUN_status] && strcmp(row->field[RUN_status], status) == 0;
}

void row_clear(RunRow *row)
{
    for (int i = 0; i < RUN_COLUMN_COUNT; i++)
        free(row->field[i]);
    *row = (RunRow){0};
}

// Where each of our columns stands in the file; -1 = an older hzb made the file and did not have it.
static bool map_columns(const char *path, const CsvTable *table, int at[RUN_COLUMN_COUNT])
{
    static const RunColumn needed[] = {RUN_seq, RUN_round, RUN_cell_id, RUN_allocator, RUN_status};
    for (unsigned c = 0; c < table->columns; c++) {
        if (run_column(table->header[c]) >= 0) continue;
        hzb_error("%s: column '%s' is not known to this hzb; a newer one made the file", path, table->header[c]);
        return false;
    }
    for (int c = 0; c < RUN_COLUMN_COUNT; c++)
        at[c] = csv_column(table, run_column_names[c]);
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (at[needed[i]] >= 0) continue;
        hzb_error("%s: column '%s' is missing, expected it in every record", path, run_column_names[needed[i]]);
        return false;
    }
    return true;
}

static bool rows_load(const char *dir, const char *file, RunRows *runs)
{
    CsvTable table;
    int at[RUN_COLUMN_COUNT];
    char *path = xfmt("%s/%s", dir, file);
    *runs = (RunRows){0};
    bool ok = csv_load(path, &table) && map_columns(path, &table, at);
    if (ok) {
        runs->rows = xcalloc(table.row_count, sizeof *runs->rows);
        runs->count = table.row_count;
        for (unsigned r = 0; r < table.row_count; r++)
            for (unsigned c = 0; c < RUN_COLUMN_COUNT; c++)
                runs->rows[r].field[c] = xstrdup(at[c] >= 0 ? table.rows[r][at[c]] : "");
    }
    csv_free_table(&table);
    free(path);
    return ok;
}

bool runs_load(const char *dir, RunRows *runs)
{
    return rows_load(dir, "runs.csv", runs);
}

bool rejected_load(const char *dir, RunRows *rejected)
{
    return rows_load(dir, "rejected.csv", rejected);
}

// Writes `text` as the whole file, on the disk before it gets its name.
static bool write_whole(const char *path, const char *text, size_t length)
{
    char *fresh = xfmt("%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool ok = fd >= 0 && csv_append(fd, text, length);
    if (fd >= 0) ok = close(fd) == 0 && ok;
    ok = ok && rename(fresh, path) == 0;
    if (!ok) {
        hzb_error("%s: %s", path, strerror(errno));
        unlink(fresh);
    }
    free(fresh);
    return ok;
}

static bool write_rows(const char *path, const char *const header[], unsigned columns, const RunRows *runs)
{
    char *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length);
    if (!memory) return false;
    csv_put_row(memory, header, columns);
    for (unsigned i = 0; runs && i < runs->count; i++)
        csv_put_row(memory, (const char *const *)runs->rows[i].field, columns);
    bool ok = fclose(memory) == 0 && write_whole(path, text, length);
    free(text);
    return ok;
}

static bool write_file(const char *dir, const char *file, const char *const header[], unsigned columns,
                       const RunRows *runs)
{
    char *path = xfmt("%s/%s", dir, file);
    bool ok = write_rows(path, header, columns, runs);
    free(path);
    return ok;
}

bool runs_replace(const char *dir, const RunRows *runs)
{
    return write_file(dir, "runs.csv", run_column_names, RUN_COLUMN_COUNT, runs);
}

bool record_create(const char *dir)
{
    return runs_replace(dir, NULL) && write_file(dir, "rejected.csv", run_column_names, RUN_COLUMN_COUNT, NULL) &&
           write_file(dir, "counters.csv", counter_columns, COUNTER_COLUMN_COUNT, NULL);
}

// Samples run in the order of the plan, so the counters of an unfinished one are the last ones.
static bool counter_is_of_finished_run(const char *const fields[], void *context)
{
    const RunRows *runs = context;
    for (unsigned i = 0; i < runs->count; i++)
        if (strcmp(runs->rows[i].field[RUN_seq], fields[0]) == 0) return true;
    return false;
}

static bool repair(const char *dir, const char *file, unsigned columns, CsvKeep keep, void *context)
{
    char *path = xfmt("%s/%s", dir, file);
    bool ok = csv_repair(path, columns, keep, context);
    free(path);
    return ok;
}

// Of the file's own header line, 0 if there is none.
static unsigned columns_of(const char *dir, const char *file)
{
    char *path = xfmt("%s/%s", dir, file), *header = file_line(path);
    unsigned columns = header ? 1 : 0;
    for (const char *c = header; c && *c; c++)
        columns += *c == ',';
    free(header);
    free(path);
    return columns;
}

// A torn row goes first: it would not be loaded.
static bool repair_rows(const char *dir, const char *file)
{
    RunRows rows;
    unsigned columns = columns_of(dir, file);
    if (!repair(dir, file, columns ? columns : RUN_COLUMN_COUNT, NULL, NULL)) return false;
    if (columns == RUN_COLUMN_COUNT) return true;
    return rows_load(dir, file, &rows) && write_file(dir, file, run_column_names, RUN_COLUMN_COUNT, &rows);
}

bool record_repair(const char *dir)
{
    RunRows runs;
    return repair_rows(dir, "runs.csv") && repair_rows(dir, "rejected.csv") && runs_load(dir, &runs) &&
           repair(dir, "counters.csv", COUNTER_COLUMN_COUNT, counter_is_of_finished_run, &runs);
}

static bool append_text(const char *dir, const char *file, const char *text, size_t length)
{
    char *path = xfmt("%s/%s", dir, file);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    bool ok = fd >= 0 && csv_append(fd, text, length);
    if (!ok) hzb_error("%s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    free(path);
    return ok;
}

static bool append_row(const char *dir, const char *file, const RunRow *row)
{
    assert(row->field[RUN_seq] && row->field[RUN_status]); // what it is about, and whether it counts
    char *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length);
    if (!memory) return false;
    csv_put_row(memory, (const char *const *)row->field, RUN_COLUMN_COUNT);
    bool ok = fclose(memory) == 0 && append_text(dir, file, text, length);
    free(text);
    return ok;
}

bool runs_append(const char *dir, const RunRow *row)
{
    return append_row(dir, "runs.csv", row);
}

bool rejected_append(const char *dir, const RunRow *row)
{
    return append_row(dir, "rejected.csv", row);
}

static bool is_of(const char *seq, const RunRow *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(rows[i].field[RUN_seq], seq) == 0) return true;
    return false;
}

bool counters_drop(const char *dir, const RunRow *rows, unsigned count)
{
    CsvTable table;
    char *path = xfmt("%s/counters.csv", dir), *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length);
    bool ok = memory && csv_load(path, &table);
    if (ok) {
        csv_put_row(memory, (const char *const *)table.header, table.columns);
        for (unsigned r = 0; r < table.row_count; r++)
            if (!is_of(table.rows[r][0], rows, count))
                csv_put_row(memory, (const char *const *)table.rows[r], table.columns);
        csv_free_table(&table);
    }
    if (memory) ok = fclose(memory) == 0 && ok;
    ok = ok && write_whole(path, text, length);
    free(text);
    free(path);
    return ok;
}

bool counters_append(const char *dir, unsigned seq, char *const names[], const uint64_t values[], unsigned count)
{
    assert(seq > 0);
    char *text = NULL;
    size_t length = 0;
    if (count == 0) return true;
    FILE *memory = open_memstream(&text, &length);
    if (!memory) return false;
    for (unsigned i = 0; i < count; i++) {
        fprintf(memory, "%u,", seq);
        csv_put(memory, names[i]);
        fprintf(memory, ",%" PRIu64 "\n", values[i]);
    }
    bool ok = fclose(memory) == 0 && append_text(dir, "counters.csv", text, length);
    free(text);
    return ok;
}
