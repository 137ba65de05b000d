#include "history/trend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "history/changes.h"
#include "history/history.h"
#include "history/series.h"
#include "report/plot.h"

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
                series->points[i].commit, series->points[i].ratio, series_level(series, i), change);
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
    for (unsigned c = 0; ok && c < series->change_count; c++) {
        char *line = change_line(series, &series->changes[c]);
        puts(line);
        free(line);
    }
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
    char *reference = ok ? xstrdup((const char *)sqlite3_column_text(pin, 0)) : NULL;
    sqlite3_finalize(pin);
    if (list->count == 0) hzb_error("history: no series of that cell, allocator and metric");
    for (unsigned i = 0; ok && i < list->count; i++)
        ok = draw_trend(options_plots_dir(options), dir, reference, list, i);
    return ok && list->count;
}

HzbExit trend_draw(const Options *options)
{
    SeriesList list = {0};
    sqlite3 *db = history_open(options_output(options));
    if (!db) return HZB_IO;
    bool loaded = series_load(db, options, &list), drawn = loaded && draw_trends(db, options, &list);
    sqlite3_close(db);
    return drawn ? HZB_OK : loaded ? HZB_IO : HZB_USAGE;
}
