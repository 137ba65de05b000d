// Command lines of the workloads: positional numbers, each with a range, and the long options they share.
#ifndef WORKLOADS_OPTIONS_H
#define WORKLOADS_OPTIONS_H

#include "object.h"

#include <stdbool.h>
#include <stdint.h>

// A number that the user writes in place, or one of `words`, whose index is then the value. With scale > 1 decimals are
// allowed and the value is stored times scale.
typedef struct Positional {
    const char *name;
    uint64_t min;
    uint64_t max;
    uint64_t scale;
    uint64_t *value;          // holds the default, if it may be left out
    const uint64_t *at_least; // another argument that it must not be below, or NULL
    const char *const *words; // ended by NULL; NULL for a number
} Positional;

typedef struct CommonOptions {
    Touch touch;
    uint64_t seed;
    bool matched;
    uint64_t every; // of the latency lane: the mean number of calls of which one is timed
} CommonOptions;

typedef struct CommandLine {
    const char *doc;
    const char *args_doc;
    const Positional *positionals;
    unsigned n_positionals;
    unsigned n_required;
    bool has_matched; // whether --matched exists
    bool no_touch;    // whether --touch does not; then --matched does not either
    CommonOptions *common;
} CommandLine;

// Fills what the command line points to, or says what is wrong and exits with 64.
void options_parse(const CommandLine *line, int argc, char **argv);

// Prints all arguments and shared options as the [BENCH_ARGS] line, with `more` at its end.
void options_print(const CommandLine *line, const char *more);

#endif
