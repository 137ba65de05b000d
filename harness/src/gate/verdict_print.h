// What the gate found, as a table for people.
#ifndef HZB_VERDICT_PRINT_H
#define HZB_VERDICT_PRINT_H

#include <stdio.h>

#include "gate/compare.h"

// `findings` are those of the comparisons.
void verdict_print(const Results *results, const Comparisons *comparisons, const Findings *findings, FILE *out);

#endif
