// The figures of a result folder, drawn by gnuplot into its plots/.
#ifndef HZB_PLOT_H
#define HZB_PLOT_H

#include <stdbool.h>

#include "record/results.h"

// Draws all of them. `scripts` is the folder of the .gp files.
bool plots_all(const Results *results, const char *scripts);
// Draws what is not there or older than the samples, and what depends on verdicts in any case.
bool plots_complete(const Results *results, const char *scripts);

// Draws `dir`/`name`.csv with `scripts`/`script`.gp as SVG, as a narrow SVG for pages and as PNG, and prints their
// paths. The note, which may be empty, stands in the corner: where and when it was measured, and how often.
bool plots_draw(const char *scripts, const char *dir, const char *script, const char *name, const char *title,
                const char *note);

#endif
