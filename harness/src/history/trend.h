// The runs that the history has, the course of a figure over them, and where its level changed.
#ifndef HZB_TREND_H
#define HZB_TREND_H

#include "config/options.h"

// Prints a line a run.
HzbExit trend_list(const Options *options);
// Prints where the levels of the series that the options select changed.
HzbExit trend_changes(const Options *options);
// The same, and draws each of these series.
HzbExit trend_draw(const Options *options);

#endif
