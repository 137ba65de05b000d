#include "history/trend.h"

#include <assert.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "history/history.h"
#include "record/metric.h"
#include "report/plot.h"
#include "stats/changepoint.h"
#include "stats/spread.h"

typedef struct Point {
    char *run_id, *commit, *bin_sha256, *reference_sha256;
    double ratio;
} Point;

// One figure of one allocator in one cell of one matrix, on one machine and with the same parameters.
typedef struct Series {
    char *key[6]; // matrix, host, cell_id, params, allocator, metric
    bool more_is_better;
    Point *points;
    unsigned count;
    ChangePoint *changes;
    unsigned change_count;
} Series;

enum { KEY_MATRIX = 0, KEY_HOST = 1, KEY_CELL = 2, KEY_PARAMS = 3, KEY_ALLOCATOR = 4, KEY_METRIC = 5, KEYS = 6 };

typedef struct SeriesList {
    Series *items;
    unsigned count;
} SeriesList;

static char *column_text(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    return xstrdup(text ? (const char *)text : "");
}

static void list_runs(sqlite3 *db)
{
    sqlite3_stmt *statement =
        history_query(db, "SELECT run_id, ifnull(overall, 'unjudged'), ok, samples FROM runs ORDER BY created_utc");
    unsigned count = 0;
    while (statement && sqlite3_step(statement) == SQLITE_ROW) {
        printf("%-50s  %-12s  %d of %d ok\n", sqlite3_column_text(statement, 0), sqlite3_column_text(statement, 1),
               sqlite3_column_int(statement, 2), sqlite3_column_int(statement, 3));
        count++;
    }
    sqlite3_finalize(statement);
    if (count == 0) puts("no runs");
}

static bool matches(const char *pattern, const char *option, const char *text, bool *ok)
{
    regex_t regex;
    if (!pattern || !*ok) return *ok;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
        hzb_error("%s '%s': not a regular expression", option, pattern);
        *ok = false;
        return false;
    }
    bool found = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return found;
}

static Series *series_of(SeriesList *list, sqlite3_stmt *statement)
{
    char *key[KEYS];
    bool same = list->count > 0;
    for (int k = 0; k < KEYS; k++) {
        key[k] = column_text(statement, k);
        same = same && strcmp(key[k], list->items[list->count - 1].key[k]) == 0;
    }
    if (!same) {
        list->items = xrealloc(list->items, list->count + 1, sizeof *list->items);
        list->items[list->count] = (Series){0};
        memcpy(list->items[list->count++].key, key, sizeof key);
    }
    return &list->items[list->count - 1];
}

static void add_point(SeriesList *list, sqlite3_stmt *statement)
{
    Series *series = series_of(list, statement);
    series->more_is_better = strcmp((const char *)sqlite3_column_text(statement, 6), "up") == 0;
    series->points = xrealloc(series->points, series->count + 1, sizeof *series->points);
    series->points[series->count++] = (Point){.run_id = column_text(statement, 7),
                                              .commit = column_text(statement, 8),
                                              .bin_sha256 = column_text(statement, 9),
                                              .reference_sha256 = column_text(statement, 10),
                                              .ratio = sqlite3_column_double(statement, 11)};
}

static void find_changes(Series *series)
{
    double *values = xcalloc(series->count, sizeof *values);
    for (unsigned i = 0; i < series->count; i++)
        values[i] = series->points[i].ratio;
    series->changes = xcalloc(series->count, sizeof *series->changes);
    series->change_count = change_points(values, series->count, series->changes);
    free(values);
}

static bool load_series(sqlite3 *db, const Options *options, SeriesList *list)
{
    bool ok = true;
    sqlite3_stmt *statement = history_query(
        db, "SELECT matrix, host, cell_id, params, allocator, metric, direction, run_id,"
            " git_sha || CASE dirty WHEN 1 THEN '-dirty' ELSE '' END, bin_sha256, reference_sha256, ratio"
            " FROM ratios JOIN runs USING(run_id) WHERE ratio IS NOT NULL"
            " AND allocator <> (SELECT reference FROM pin) ORDER BY 1, 2, 3, 4, 5, 6, created_utc, run_id");
    while (statement && ok && sqlite3_step(statement) == SQLITE_ROW) {
        const char *cell = (const char *)sqlite3_column_text(statement, KEY_CELL);
        const char *allocator = (const char *)sqlite3_column_text(statement, KEY_ALLOCATOR);
        const char *metric = (const char *)sqlite3_column_text(statement, KEY_METRIC);
        if (matches(options->cell_regex, "-w", cell, &ok) && matches(options->allocator_regex, "-a", allocator, &ok) &&
            (!options->metric || strcmp(options->metric, metric) == 0))
            add_point(list, statement);
    }
    sqlite3_finalize(statement);
    for (unsigned i = 0; i < list->count; i++)
        find_changes(&list->items[i]);
    return statement && ok;
}

// Median of the level that holds at a point: from the change before it to the next one.
static double level_at(const Series *series, unsigned at)
{
    unsigned from = 0, to = series->count;
    for (unsigned c = 0; c < series->change_count; c++) {
        if (series->changes[c].at <= at) from = series->changes[c].at;
        if (series->changes[c].at > at && series->changes[c].at < to) to = series->changes[c].at;
    }
    assert(from <= at && at < to);
    double *values = xcalloc(to - from, sizeof *values);
    for (unsigned i = from; i < to; i++)
        values[i - from] = series->points[i].ratio;
    double median = spread_of(values, to - from).median;
    free(values);
    return median;
}

static char *series_name(const Series *series)
{
    char *metric = metric_label(series->key[KEY_METRIC]);
    char *name =
        xfmt("%s %s, %s, %s", series->key[KEY_MATRIX], series->key[KEY_CELL], series->key[KEY_ALLOCATOR], metric);
    free(metric);
    return name;
}

// Names the first run of the new level. If the program or the reference changed with it, that is said too, as the
// allocator may then not have changed at all.
static void print_change(const Series *series, const ChangePoint *change)
{
    assert(change->at >= 1 && change->at < series->count);
    const Point *before = &series->points[change->at - 1], *first = &series->points[change->at];
    double from = level_at(series, change->at - 1), to = level_at(series, change->at);
    bool worse = (to < from) == series->more_is_better;
    char *name = series_name(series);
    printf("%s: %+.2f %%, %s, since %s (commit %s, after %s; p=%.3f)%s%s\n", name, 100 * (to / from - 1),
           worse ? "worse" : "better", first->run_id, first->commit, before->commit, change->p,
           strcmp(before->bin_sha256, first->bin_sha256) != 0 ? "; the workload's program changed with it" : "",
           strcmp(before->reference_sha256, first->reference_sha256) != 0 ? "; the reference changed with it" : "");
    free(name);
}

static void print_changes(const SeriesList *list)
{
    unsigned count = 0;
    for (unsigned i = 0; i < list->count; i++)
        for (unsigned c = 0; c < list->items[i].change_count; c++, count++)
            print_change(&list->items[i], &list->items[i].changes[c]);
    printf("%u change%s in %u series\n", count, count == 1 ? "" : "s", list->count);
}

static bool write_trend(const char *path, const Series *series)
{
    FILE *out = file_create(path);
    if (!out) return false;
    fputs("allocator,number,run_id,commit,ratio,level,change\n", out);
    for (unsigned i = 0; i < series->count; i++) {
        bool change = false;
        for (unsigned c = 0; c < series->change_count; c++)
            change = change || series->changes[c].at == i;
        fprintf(out, "%s,%u,%s,%s,%.6g,%.6g,%d\n", series->key[KEY_ALLOCATOR], i + 1, series->points[i].run_id,
                series->points[i].commit, series->points[i].ratio, level_at(series, i), change);
    }
    return file_finish(out, path);
}

// Series that differ by host or parameters only are numbered.
static char *file_name(const SeriesList *list, unsigned index)
{
    static const int parts[] = {KEY_MATRIX, KEY_CELL, KEY_ALLOCATOR, KEY_METRIC};
    const Series *series = &list->items[index];
    unsigned namesakes = 0;
    for (unsigned i = 0; i < index; i++) {
        bool same = true;
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
            same = same && strcmp(list->items[i].key[parts[p]], series->key[parts[p]]) == 0;
        namesakes += same;
    }
    char *number = namesakes ? xfmt("_%u", namesakes + 1) : xstrdup("");
    char *name = xfmt("%s_%s_%s_%s%s", series->key[KEY_MATRIX], series->key[KEY_CELL], series->key[KEY_ALLOCATOR],
                      series->key[KEY_METRIC], number);
    free(number);
    return name;
}

static bool draw_trend(const char *scripts, const char *dir, const char *reference, const SeriesList *list,
                       unsigned index)
{
    const Series *series = &list->items[index];
    char *name = file_name(list, index);
    char *path = xfmt("%s/%s.csv", dir, name), *what = series_name(series);
    char *title = xfmt("%s, against %s, on %s", what, reference, series->key[KEY_HOST]);
    bool ok = write_trend(path, series) && plots_draw(scripts, dir, "trend", name, title);
    for (unsigned c = 0; ok && c < series->change_count; c++)
        print_change(series, &series->changes[c]);
    free(name);
    free(path);
    free(what);
    free(title);
    return ok;
}

static bool draw_trends(sqlite3 *db, const Options *options, const SeriesList *list)
{
    char *dir = xfmt("%s/history", options_output(options));
    sqlite3_stmt *pin = history_query(db, "SELECT reference FROM pin");
    bool ok = pin && sqlite3_step(pin) == SQLITE_ROW && folder_make(dir);
    char *reference = ok ? column_text(pin, 0) : NULL;
    sqlite3_finalize(pin);
    if (list->count == 0) hzb_error("history: no series of that cell, allocator and metric");
    for (unsigned i = 0; ok && i < list->count; i++)
        ok = draw_trend(options_plots_dir(options), dir, reference, list, i);
    return ok && list->count;
}

HzbExit trend_list(const Options *options)
{
    sqlite3 *db = history_open(options_output(options));
    if (!db) return HZB_IO;
    list_runs(db);
    sqlite3_close(db);
    return HZB_OK;
}

HzbExit trend_changes(const Options *options)
{
    SeriesList list = {0};
    sqlite3 *db = history_open(options_output(options));
    if (!db) return HZB_IO;
    bool loaded = load_series(db, options, &list);
    if (loaded) print_changes(&list);
    sqlite3_close(db);
    return loaded ? HZB_OK : HZB_USAGE;
}

HzbExit trend_draw(const Options *options)
{
    SeriesList list = {0};
    sqlite3 *db = history_open(options_output(options));
    if (!db) return HZB_IO;
    bool loaded = load_series(db, options, &list), drawn = loaded && draw_trends(db, options, &list);
    sqlite3_close(db);
    return drawn ? HZB_OK : loaded ? HZB_IO : HZB_USAGE;
}
