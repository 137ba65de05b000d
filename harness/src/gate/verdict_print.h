// What the gate found, as a table for people.
#ifndef HZB_VERDICT_PRINT_H
#define HZB_VERDICT_PRINT_H

#include <stdio.h>

#include "gate/compare.h"

// `findings` are those of the comparisons.
void verdict_print(const Results *results, const Comparisons *comparisons, const Findings *findings, FILE *out);
// A gated comparison in words: "ops_per_s in mixed_t2_r0: -5.10 % (-5.90 % .. -4.30 %), REGRESSION, confirmed".
char *verdict_line(const Finding *finding);
// What was known, in words: "ops_per_s in mixed_t2_r0 of hz3 until 2027-01-31: the new locks".
char *known_line(const CfgKnown *known);

#endif
