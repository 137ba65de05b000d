/* The figures of a result folder, drawn by gnuplot into its plots/. */
#ifndef HZB_PLOT_H
#define HZB_PLOT_H

#include <stdbool.h>

#include "record/results.h"

/* Draws what is not there or older than the samples, and what depends on verdicts in any case. `scripts` is the folder
   of the .gp files, NULL for the one beside hzb's folder. */
bool plots_complete(const Results *results, const char *scripts);

/* Draws `dir`/`name`.csv with `scripts`/`script`.gp as SVG and PNG, and prints their paths. */
bool plots_draw(const char *scripts, const char *dir, const char *script, const char *name, const char *title);

#endif
