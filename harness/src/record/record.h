// The record: runs.csv (one row a planned process), rejected.csv (same columns: attempts that the machine disturbed and
// that were made again) and counters.csv. A sample counts once its row in runs.csv is on the disk; everything else
// about it (curve, logs, counters) is written before.
#ifndef HZB_RECORD_H
#define HZB_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "config/columns.h"

// A row of runs.csv; NULL or "" = unknown.
typedef struct RunRow {
    char *field[RUN_COLUMN_COUNT];
} RunRow;

void row_set(RunRow *row, RunColumn column, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool row_number(const RunRow *row, RunColumn column, double *value);
bool row_status_is(const RunRow *row, const char *status);
void row_clear(RunRow *row);

typedef struct RunRows {
    RunRow *rows;
    unsigned count;
} RunRows;

// By the names in the file's header: a column that an older hzb did not have yet is empty in every row. One that this
// hzb does not know is an error, for it would be lost when the file is written again.
bool runs_load(const char *dir, RunRows *runs);
bool rejected_load(const char *dir, RunRows *rejected);
// Writes the header lines into a new result folder.
bool record_create(const char *dir);
// Makes the files of an unfinished run ready to be appended to. Torn last rows go, and so do the counters of samples
// that have no row in runs.csv. Files of an older hzb get the columns of this one.
bool record_repair(const char *dir);
bool runs_append(const char *dir, const RunRow *row);
bool rejected_append(const char *dir, const RunRow *row);
// Replaces runs.csv in one step: used when a whole block turns out invalid.
bool runs_replace(const char *dir, const RunRows *runs);
// Removes the counters of these samples, which are measured again.
bool counters_drop(const char *dir, const RunRow *rows, unsigned count);
bool counters_append(const char *dir, unsigned seq, char *const names[], const uint64_t values[], unsigned count);

#endif
