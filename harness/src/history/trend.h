// The course of figures over the runs, drawn.
#ifndef HZB_TREND_H
#define HZB_TREND_H

#include "config/options.h"

// Draws each series that the options select, and puts the figures with what changed on one page, history/trend.html.
HzbExit trend_draw(const Options *options);

#endif
