// A cell's figures by mode of the machine, side by side. The table on the terminal and both reports show the same
// texts.
#ifndef HZB_MODE_TABLE_H
#define HZB_MODE_TABLE_H

#include "record/results.h"
#include "report/text_table.h"

// Columns: allocator, metric, and one for each mode. A figure is a median with the share of the arm's samples that it
// stands for: "25.1 (60 %)".
// No rows if the samples of the cell saw one mode, or if the machine was not probed.
TextTable mode_table(const Results *results, const char *cell_id);

#endif
