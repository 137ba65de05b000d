// The samples of a record for other people's tools, on stdout.
#ifndef HZB_EXPORT_H
#define HZB_EXPORT_H

#include "record/results.h"

// For benchstat: the ok samples.
void export_benchmarks(const Results *results);
// Every sample with every column.
void export_json(const Results *results);
// As CSV: every figure of every allocator in every cell; with a reference, not NULL, of its ratio to that one.
void export_summary(const Results *results, const char *reference);

#endif
