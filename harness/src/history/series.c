#include "history/series.h"

#include <assert.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "history/history.h"
#include "record/metric.h"
#include "stats/spread.h"

static char *column_text(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    return xstrdup(text ? (const char *)text : "");
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
                                              .ratio = sqlite3_column_double(statement, 11),
                                              .created_utc = column_text(statement, 12)};
}

static void find_changes(Series *series, double least)
{
    double *values = xcalloc(series->count, sizeof *values);
    for (unsigned i = 0; i < series->count; i++)
        values[i] = series->points[i].ratio;
    series->changes = xcalloc(series->count, sizeof *series->changes);
    series->change_count = change_points(values, series->count, least, series->changes);
    free(values);
}

bool series_load(sqlite3 *db, const Options *options, SeriesList *list)
{
    bool ok = true;
    char *allocators = options->allocator_regex ? whole_match(options->allocator_regex) : NULL;
    sqlite3_stmt *statement = history_query(
        db, "SELECT matrix, host, cell_id, params, allocator, metric, direction, run_id,"
            " git_sha || CASE dirty WHEN 1 THEN '-dirty' ELSE '' END, bin_sha256, reference_sha256, ratio, created_utc"
            " FROM ratios JOIN runs USING(run_id) WHERE ratio IS NOT NULL"
            " AND allocator <> (SELECT reference FROM pin) ORDER BY 1, 2, 3, 4, 5, 6, created_utc, run_id");
    while (statement && ok && sqlite3_step(statement) == SQLITE_ROW) {
        const char *cell = (const char *)sqlite3_column_text(statement, KEY_CELL);
        const char *allocator = (const char *)sqlite3_column_text(statement, KEY_ALLOCATOR);
        const char *metric = (const char *)sqlite3_column_text(statement, KEY_METRIC);
        if (matches(options->cell_regex, "-w", cell, &ok) && matches(allocators, "-a", allocator, &ok) &&
            (!options->metric || strcmp(options->metric, metric) == 0))
            add_point(list, statement);
    }
    sqlite3_finalize(statement);
    free(allocators);
    for (unsigned i = 0; i < list->count; i++)
        find_changes(&list->items[i], options_least(options));
    return statement && ok;
}

double series_level(const Series *series, unsigned at)
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

char *series_name(const Series *series)
{
    char *metric = metric_label(series->key[KEY_METRIC]);
    char *name =
        xfmt("%s %s, %s, %s", series->key[KEY_MATRIX], series->key[KEY_CELL], series->key[KEY_ALLOCATOR], metric);
    free(metric);
    return name;
}
