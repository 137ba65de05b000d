// Is a record good enough? What the machine disturbed is a note as long as enough rounds are left.
#ifndef HZB_QUORUM_H
#define HZB_QUORUM_H

#include <stdbool.h>

#include "config/experiment.h"
#include "record/record.h"

// A base or a candidate failed by itself, or has in some cell fewer valid rounds than the cell's least. Says which. In
// a matrix without either, every arm counts.
bool quorum_missed(const Experiment *experiment, const StrList *cells, const RunRows *runs);

// Some sample is neither ok nor skipped.
bool quorum_some_bad(const RunRows *runs);

#endif
