// `hzb table`: medians per allocator and cell, for people.
#ifndef HZB_TABLE_H
#define HZB_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "record/results.h"

// First the rankings that the matrix asks for, then a table for each cell. The best value of each of the workload's
// metrics is marked.
void table_print(const Results *results, bool markdown, FILE *out);

// One ranking alone, of any metric. False if no cell has figures of it.
bool table_ranking(const Results *results, const char *metric, bool markdown, FILE *out);

#endif
