// What the user asked for, beside the YAML files. The command line fills it (commands/cli.c).
#ifndef HZB_OPTIONS_H
#define HZB_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

#define RESULTS_DIR "results"

// Which slice of the cells; count 0 = all of them.
typedef struct Shard {
    unsigned index, count;
} Shard;

typedef enum Lane { LANE_MEASURE, LANE_DIAG } Lane;

// NULL or 0 where nothing was given; the functions below know what then holds.
typedef struct Options {
    StrList command_line;
    const char *target;     // matrix file or result folder; NULL if not given
    StrList targets;        // all of them, for commands that take several
    const char *config_dir; // folder of allocators.yaml and workloads.yaml
    const char *build_dir;  // what {build} stands for
    const char *output;     // folder in which result folders are made
    const char *matrix;     // file, of a command whose targets are something else
    StrList sides;          // what is compared, base and candidate, in the place of the matrix's arms
    const char *pool_dir;   // result folder that rounds are drawn from
    const char *plots_dir;  // folder of the gnuplot scripts
    const char *lock_path;
    const char *allocator_regex;
    const char *cell_regex; // matches a workload's name or a cell's id
    StrList param_filters;  // key=value
    StrList extra_arms;     // name=/path/lib.so
    Shard shard;
    Lane lane;
    const char *metric;    // a column of runs.csv
    const char *reference; // the allocator that ratios are to
    unsigned rounds;       // 0 = as the matrix says
    double least_pct;      // of a change of level
    unsigned newest;       // runs in which a change of level is looked at
    unsigned keep, days;   // what is not pruned: so many folders of each matrix, and those of so many days
    unsigned wait_quiet_s; // for a quiet machine, at most
    bool seed_given;
    uint64_t seed;
    bool dry_run, test, markdown, json, summary, strict, annotate, bisect, again, yes;
} Options;

// The folder that holds result folders and baselines.
const char *options_output(const Options *options);
// The result folder a command is about.
const char *options_result_dir(const Options *options);
// The share by which levels differ at least.
double options_least(const Options *options);
// A change of level counts if it began within so many of the newest runs.
unsigned options_newest(const Options *options);
// What {build} stands for.
const char *options_build_dir(const Options *options);
// The folder of the gnuplot scripts.
const char *options_plots_dir(const Options *options);

#endif
