// The memory of a cell's allocators over time, one curve for each.
#ifndef HZB_PLOT_RSS_H
#define HZB_PLOT_RSS_H

#include <stdio.h>

#include "record/results.h"

// Of each allocator the sample with the median peak: the table allocator,t_ms,phase,rss_mib,live_mib,aligned_ms and the
// counters, a data set for each. Returns how many curves there are; without any it writes nothing.
unsigned rss_rows(const Results *results, const char *cell_id, FILE *out);

#endif
