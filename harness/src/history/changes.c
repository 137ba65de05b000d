#include "history/changes.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history/history.h"

static bool is_worse(const Series *series, const ChangePoint *change)
{
    return (change->after < change->before) == series->more_is_better;
}

// The level of today is still worse than the one before the change, by as much as makes a change.
static bool persists(const Series *series, const ChangePoint *change, double least)
{
    double newest = series_level(series, series->count - 1), loss = newest - change->before;
    if (series->more_is_better) loss = -loss;
    return is_worse(series, change) && loss > 0 && loss >= least * fabs(change->before);
}

// Names the first run of the new level. If the program or the reference changed with it, that is said too, as the
// allocator may then not have changed at all.
char *change_line(const Series *series, const ChangePoint *change)
{
    assert(change->at >= 1 && change->at < series->count);
    const Point *before = &series->points[change->at - 1], *first = &series->points[change->at];
    char *name = series_name(series);
    char *line =
        xfmt("%s: %+.2f %%, %s, since %s (commit %s, after %s; p=%.4f)%s%s", name,
             100 * (change->after / change->before - 1), is_worse(series, change) ? "worse" : "better", first->run_id,
             first->commit, before->commit, change->p,
             strcmp(before->bin_sha256, first->bin_sha256) != 0 ? "; the workload's program changed with it" : "",
             strcmp(before->reference_sha256, first->reference_sha256) != 0 ? "; the reference changed with it" : "");
    free(name);
    return line;
}

bool change_is_alarm(const Series *series, const ChangePoint *change, const Options *options)
{
    bool is_new = change->at + options_newest(options) >= series->count;
    return is_new && persists(series, change, options_least(options));
}

// Returns how many changes of the series are for the worse, persist, and began within its newest runs.
static unsigned print_series(const Series *series, const Options *options)
{
    unsigned alarms = 0;
    for (unsigned c = 0; c < series->change_count; c++) {
        const ChangePoint *change = &series->changes[c];
        bool alarm = change_is_alarm(series, change, options);
        char *line = change_line(series, change);
        printf("%s%s\n", alarm ? "! " : "  ", line);
        free(line);
        alarms += alarm;
    }
    return alarms;
}

HzbExit changes_print(const Options *options)
{
    SeriesList list = {0};
    unsigned count = 0, alarms = 0;
    sqlite3 *db = history_open(options_output(options));
    if (!db) return HZB_IO;
    bool loaded = series_load(db, options, &list);
    sqlite3_close(db);
    if (!loaded) return HZB_USAGE;
    for (unsigned i = 0; i < list.count; i++) {
        alarms += print_series(&list.items[i], options);
        count += list.items[i].change_count;
    }
    printf("%u change%s in %u series; %u of the newest %u runs for the worse, and still so (!)\n", count,
           count == 1 ? "" : "s", list.count, alarms, options_newest(options));
    return alarms ? HZB_REGRESSION : HZB_OK;
}
