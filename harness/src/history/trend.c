#include "history/trend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/html.h"
#include "history/changes.h"
#include "history/history.h"
#include "history/series.h"
#include "report/page_frame.h"
#include "report/plot.h"

static bool write_trend(const char *path, const Series *series)
{
    FILE *out = file_create(path);
    if (!out) return false;
    fputs("allocator,created_utc,run_id,commit,ratio,level,change\n", out);
    for (unsigned i = 0; i < series->count; i++) {
        bool change = false;
        for (unsigned c = 0; c < series->change_count; c++)
            change = change || series->changes[c].at == i;
        fprintf(out, "%s,%s,%s,%s,%.6g,%.6g,%d\n", series->key[KEY_ALLOCATOR], series->points[i].created_utc,
                series->points[i].run_id, series->points[i].commit, series->points[i].ratio, series_level(series, i),
                change);
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

// --- the page ---

typedef struct Page {
    const Options *options;
    const SeriesList *list;
    const char *reference;
    char *dir;
} Page;

static char *series_title(const Page *page, unsigned index)
{
    const Series *series = &page->list->items[index];
    char *what = series_name(series);
    char *title = xfmt("%s, against %s, on %s", what, page->reference, series->key[KEY_HOST]);
    free(what);
    return title;
}

static bool draw_figure(const Page *page, unsigned index)
{
    char *name = file_name(page->list, index), *title = series_title(page, index);
    const Series *series = &page->list->items[index];
    char *note = xfmt("%u run%s of %s on %s", series->count, series->count == 1 ? "" : "s", series->key[KEY_MATRIX],
                      series->key[KEY_HOST]);
    char *path = xfmt("%s/%s.csv", page->dir, name);
    bool ok = write_trend(path, &page->list->items[index]) &&
              plots_draw(options_plots_dir(page->options), page->dir, "trend", name, title, note);
    free(note);
    free(name);
    free(title);
    free(path);
    return ok;
}

// The day of a time such as 2027-01-31T02:00:00Z.
static int day_length(const char *utc)
{
    return (int)strcspn(utc, "T");
}

static unsigned put_alarms(const Page *page, FILE *out)
{
    unsigned alarms = 0;
    for (unsigned i = 0; i < page->list->count; i++) {
        const Series *series = &page->list->items[i];
        for (unsigned c = 0; c < series->change_count; c++) {
            if (!change_is_alarm(series, &series->changes[c], page->options)) continue;
            char *line = change_line(series, &series->changes[c]);
            fprintf(out, "%s<li><a href=\"#s%u\">", alarms++ ? "" : "<ul>\n", i + 1);
            html_text(out, line);
            fputs("</a></li>\n", out);
            free(line);
        }
    }
    if (alarms) fputs("</ul>\n", out);
    return alarms;
}

static void put_figure(const Page *page, unsigned index, FILE *out)
{
    const Series *series = &page->list->items[index];
    const Point *first = &series->points[0], *last = &series->points[series->count - 1];
    char *name = file_name(page->list, index), *title = series_title(page, index);
    char *path = xfmt("%s/%s.narrow.svg", page->dir, name);
    fprintf(out, "<section id=\"s%u\">\n", index + 1);
    html_svg_figure(out, path, index + 1, title);
    fputs("<p class=\"dim\">", out);
    html_fmt(out, "%u run%s, %.*s to %.*s, commits %s to %s; %s.", series->count, series->count == 1 ? "" : "s",
             day_length(first->created_utc), first->created_utc, day_length(last->created_utc), last->created_utc,
             first->commit, last->commit, series->more_is_better ? "more is better" : "less is better");
    fputs("</p>\n", out);
    for (unsigned c = 0; c < series->change_count; c++) {
        char *line = change_line(series, &series->changes[c]);
        fputs("<p>", out);
        html_text(out, line);
        fputs("</p>\n", out);
        free(line);
    }
    fputs("</section>\n", out);
    free(name);
    free(title);
    free(path);
}

static bool write_page(const Page *page)
{
    char *path = xfmt("%s/trend.html", page->dir);
    FILE *out = file_create(path);
    if (out) {
        page_begin(out, "hzb: from run to run");
        fputs("<header>\n<h1>From run to run</h1>\n<p>Medians as ratios to ", out);
        html_fmt(out, "%s of the same run. What got worse within the newest %u runs, and still is:", page->reference,
                 options_newest(page->options));
        fputs("</p>\n", out);
        if (put_alarms(page, out) == 0) fputs("<p>nothing</p>\n", out);
        fputs("</header>\n<main class=\"figures\">\n", out);
        for (unsigned i = 0; i < page->list->count; i++)
            put_figure(page, i, out);
        fputs("</main>\n", out);
        page_end(out);
    }
    bool ok = file_finish(out, path);
    if (ok) printf("%s\n", path);
    free(path);
    return ok;
}

static bool draw_page(const Page *page)
{
    bool ok = folder_make(page->dir);
    for (unsigned i = 0; ok && i < page->list->count; i++)
        ok = draw_figure(page, i);
    return ok && write_page(page);
}

HzbExit trend_draw(const Options *options)
{
    SeriesList list = {0};
    sqlite3 *db = history_open(options_output(options));
    if (!db) return HZB_IO;
    char *reference = history_reference(db);
    bool loaded = series_load(db, options, &list);
    sqlite3_close(db);
    if (!loaded) return HZB_USAGE;
    if (!reference) return HZB_IO;
    if (list.count == 0) {
        hzb_error("history: no series of that cell, allocator and metric");
        return HZB_IO;
    }
    Page page = {options, &list, reference, xfmt("%s/history", options_output(options))};
    bool drawn = draw_page(&page);
    free(page.dir);
    free(reference);
    return drawn ? HZB_OK : HZB_IO;
}
