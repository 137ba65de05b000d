/* What the gate found, for files and for eyes. */
#ifndef HZB_VERDICT_H
#define HZB_VERDICT_H

#include "gate/gate.h"

/* dir/stats.csv: every comparison. */
bool verdict_write_stats(const char *dir, const Comparisons *comparisons);
/* dir/verdict.json: the gated ones, and what went wrong. */
bool verdict_write_json(const Results *results, const Comparisons *comparisons, Overall overall, HzbExit exit_code);
void verdict_print(const Results *results, const Comparisons *comparisons, Overall overall, FILE *out);

#endif
