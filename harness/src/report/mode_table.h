// A cell's figures by mode of the machine, side by side. The table on the terminal and both reports show the same
// texts.
#ifndef HZB_MODE_TABLE_H
#define HZB_MODE_TABLE_H

#include <stdio.h>

#include "record/results.h"
#include "report/text_table.h"

// Columns: allocator, metric, and one for each mode. A figure is a median with the share of the arm's samples that it
// stands for: "25.1 (60 %)".
// No rows if the samples of the cell saw one mode, or if the machine was not probed.
TextTable mode_table(const Results *results, const char *cell_id);

// In how many modes samples of the cell ran.
unsigned modes_seen(const Results *results, const char *cell_id);

// Writes the head and the rows allocator,probe_pp_ns,ops_per_s: the cell's valid samples that the machine stayed in one
// mode for. Returns how many rows.
unsigned mode_rows(const Results *results, const char *cell_id, FILE *out);

#endif
