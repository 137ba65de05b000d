// Where levels changed, in words, and which changes should wake somebody.
#ifndef HZB_CHANGES_H
#define HZB_CHANGES_H

#include "config/options.h"
#include "history/series.h"

// Prints where the levels of the series that the options select changed. HZB_REGRESSION if one of them persists for the
// worse: it began within the newest runs, and the newest level is still as much worse than the one before.
HzbExit changes_print(const Options *options);

// Whether a change is one of those that changes_print() exits for.
bool change_is_alarm(const Series *series, const ChangePoint *change, const Options *options);
// What is known of a change, without a line's end.
char *change_line(const Series *series, const ChangePoint *change);

#endif
