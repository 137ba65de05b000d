// A cell's figures by mode of the machine, side by side. The table on the terminal and both reports show the same
// texts.
#ifndef HZB_MODE_TABLE_H
#define HZB_MODE_TABLE_H

#include "record/results.h"

// Row 0 is the head: allocator, metric, and a column for each mode. A figure is a median with the share of the arm's
// samples that it stands for: "25.1 (60 %)".
typedef struct ModeTable {
    StrList *rows;
    unsigned count;
} ModeTable;

// No rows if the samples of the cell saw one mode, or if the machine was not probed.
ModeTable mode_table(const Results *results, const char *cell_id);
void mode_table_free(ModeTable *table);

#endif
