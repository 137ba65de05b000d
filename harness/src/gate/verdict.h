// The files that keep what the gate found, written and read.
#ifndef HZB_VERDICT_H
#define HZB_VERDICT_H

#include <stdbool.h>

#include "base/util.h"
#include "gate/finding.h"

#define STATS_FILE "stats.csv"
#define VERDICT_FILE "verdict.json"
enum { VERDICT_JSON_VERSION = 1, VERDICT_DIRECTIONS = 2 };

// As both files have them; by Direction.
extern const char *const verdict_direction_names[VERDICT_DIRECTIONS];

// dir/stats.csv: every comparison.
bool verdict_write_stats(const char *dir, const Findings *findings);
// dir/verdict.json: the gated ones, and what went wrong.
bool verdict_write_json(const char *dir, const Findings *findings, HzbExit exit_code);

// The findings of dir/stats.csv alone, in its order. Says what is wrong and returns false.
bool verdict_read_stats(const char *dir, Findings *findings);
// Of both files; a folder without either has no findings. Says what is wrong with a file that is there and returns
// false. Worst verdicts come first, otherwise the order is the files'.
bool verdict_read(const char *dir, Findings *findings);

#endif
