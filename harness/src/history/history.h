// results/history.sqlite: every run's medians as ratios to one reference allocator measured beside them, so that a
// machine's drift cancels. Derived from the result folders; nothing else is in it.
#ifndef HZB_HISTORY_H
#define HZB_HISTORY_H

#include <sqlite3.h>
#include <stdbool.h>

#define HISTORY_FILE "history.sqlite"

// Opens `results`/history.sqlite; NULL with a message that says what to do.
sqlite3 *history_open(const char *results);
// Makes it anew from the result folders below `results`; slices of a plan are left out.
bool history_rebuild(const char *results, const char *reference);
// Adds one result folder, or replaces what is known of it.
bool history_add(const char *results, const char *dir);

// Prints a line a run.
bool history_list(const char *results);

// The allocator that the ratios are to; NULL with a message.
char *history_reference(sqlite3 *db);
// Prepares a statement; NULL with a message.
sqlite3_stmt *history_query(sqlite3 *db, const char *sql);

#endif
