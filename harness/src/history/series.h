// The course of a figure from run to run, as the history has it.
#ifndef HZB_SERIES_H
#define HZB_SERIES_H

#include <sqlite3.h>
#include <stdbool.h>

#include "config/options.h"
#include "stats/changepoint.h"

typedef struct Point {
    char *run_id, *created_utc, *commit, *bin_sha256, *reference_sha256;
    double ratio;
} Point;

enum { KEY_MATRIX = 0, KEY_HOST = 1, KEY_CELL = 2, KEY_PARAMS = 3, KEY_ALLOCATOR = 4, KEY_METRIC = 5, KEYS = 6 };

// One figure of one allocator in one cell of one matrix, on one machine and with the same parameters.
typedef struct Series {
    char *key[KEYS];
    bool more_is_better;
    Point *points; // the oldest first
    unsigned count;
    ChangePoint *changes;
    unsigned change_count;
} Series;

typedef struct SeriesList {
    Series *items;
    unsigned count;
} SeriesList;

// The series that the options select, with their changes. Says what is wrong and returns false.
bool series_load(sqlite3 *db, const Options *options, SeriesList *list);

// Median of the level that holds at a point: from the change before it to the next one.
double series_level(const Series *series, unsigned at);
// "nightly mixed_t2_r0, hz3, ops/s"
char *series_name(const Series *series);

#endif
