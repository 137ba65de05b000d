/* Command line: one argp parser per subcommand, all filling the same struct. */
#ifndef HZB_CLI_H
#define HZB_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

/* Which slice of the cells; count 0 = all of them. */
typedef struct {
    unsigned index, count;
} Shard;

typedef enum { LANE_MEASURE, LANE_DIAG } Lane;

typedef struct {
    StrList command_line;
    const char *target;     /* matrix file or result folder; NULL if not given */
    StrList targets;        /* all of them, for commands that take several */
    const char *config_dir; /* folder of allocators.yaml and workloads.yaml */
    const char *build_dir;  /* what {build} stands for */
    const char *output;     /* folder in which result folders are made */
    const char *pool_dir;   /* result folder that rounds are drawn from */
    const char *plots_dir;  /* folder of the gnuplot scripts */
    const char *lock_path;
    const char *allocator_regex;
    const char *cell_regex; /* matches a workload's name or a cell's id */
    StrList param_filters;  /* key=value */
    StrList extra_arms;     /* name=/path/lib.so */
    Shard shard;
    Lane lane;
    const char *metric;    /* a column of runs.csv */
    const char *reference; /* the allocator that ratios are to */
    unsigned rounds;       /* 0 = as the matrix says */
    bool seed_given;
    uint64_t seed;
    bool dry_run, test, markdown, json, summary, strict;
} Options;

/* Runs the subcommand named in argv and returns the exit code of the program. */
int cli_main(int argc, char **argv);

#endif
