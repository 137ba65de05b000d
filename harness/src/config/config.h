// The three YAML files as structs. config_load.c fills them: libcyaml checks keys and types, config_check.c the rest.
#ifndef HZB_CONFIG_H
#define HZB_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

// Longest time that anything may be given: a hundred days and more, and far from what a clock's 64 bits hold.
#define SECONDS_MAX 1e7

// An arm `baseline:<name>` is a library that was pinned, see baseline.h.
#define BASELINE_PREFIX "baseline:"

typedef struct CfgAllocator {
    char *name;
    char *inherits;       // takes over everything below from this allocator; env entries are merged
    char *preload;        // path, or file name looked up in the system's library folders; NULL = glibc
    char *stats_file_env; // variable that makes the allocator map its live counters
    char *build_defs;     // hz3 is built once with these, for example -DHZ3_X=1; takes the place of preload
    char **env;
    unsigned env_count;
    bool optional; // a missing library is recorded as skipped, not an error
} CfgAllocator;

typedef enum Direction { DIRECTION_UP, DIRECTION_DOWN } Direction;

typedef struct CfgMetric {
    char *name; // a column of runs.csv
    Direction direction;
} CfgMetric;

typedef enum Protocol { PROTOCOL_HZB1, PROTOCOL_NONE } Protocol;

typedef struct CfgWorkload {
    char *name;
    char *bin; // a path; with PROTOCOL_NONE also a name that PATH has
    Protocol protocol;
    // With PROTOCOL_NONE alone. Commands are the shell's; NULL = none.
    char *prepare;                // makes inputs, once, in the folder {inputs}
    char *stdin_path;             // else /dev/null
    char *ready, *client, *check; // of a server: is it up, what works on it, what is then the same for all allocators
    char **needs;                 // further programs: names that PATH has, or patterns of paths
    unsigned needs_count;
    bool optional; // without the programs its samples are recorded as skipped
    char **argv;   // {param}, {seed} are filled in
    unsigned argv_count;
    char **params; // key=default; a cell may change them
    unsigned params_count;
    char **fixed; // key=value; a cell may not
    unsigned fixed_count;
    char **test_params; // key=value for --test
    unsigned test_params_count;
    CfgMetric *metrics;
    unsigned metrics_count;
    double timeout_s;
    bool allow_fallback;
    bool instructions; // run under valgrind, which counts them: all else about it is not measured
} CfgWorkload;

typedef struct CfgCell {
    char *id;
    char *workload;
    char **params;
    unsigned params_count;
    unsigned rounds;
    unsigned least; // valid rounds without which the run has failed; 0 = three fifths of `rounds`
    double expect_s;
} CfgCell;

typedef struct CfgArms {
    char **base;
    unsigned base_count;
    char **cand;
    unsigned cand_count;
    char **refs;
    unsigned refs_count;
    char **aa; // the base once more under another name: how far apart equal things seem to be on this machine
    unsigned aa_count;
} CfgArms;

typedef struct CfgGate {
    char *metric; // a column of runs.csv
    double threshold_pct;
    bool exact; // a count: one more in any round is a regression, whatever the statistics say
} CfgGate;

// A regression that somebody knows of and lives with until a day.
typedef struct CfgKnown {
    char *cell, *metric;
    char *arm;   // a candidate; NULL = any
    char *until; // YYYY-MM-DD, the last day in UTC
    char *why;
} CfgKnown;

// A figure that is computed from columns of runs.csv, for claims and exports.
typedef struct CfgDerived {
    char *name;
    char *expr; // see base/expression.h
    Direction direction;
} CfgDerived;

// What a matrix says about a figure of its own: a column of runs.csv or a derived one.
typedef struct CfgClaim {
    char *cell, *arm, *metric;
    char *
        vs; // the figure is a ratio to this arm's in the same round; best_ref: to the best reference's; NULL = as it is
    double *at_least, *at_most; // one of them, or both; NULL = none
} CfgClaim;

typedef struct CfgAllocators {
    CfgAllocator *allocators;
    unsigned allocators_count;
} CfgAllocators;

typedef struct CfgWorkloads {
    CfgWorkload *workloads;
    unsigned workloads_count;
} CfgWorkloads;

typedef struct CfgMatrix {
    char *name;
    uint64_t seed;
    CfgArms arms;
    unsigned sample_ms;
    double mem_guard_pct;
    double steal_max_pct;
    bool *probe; // the machine, before and after each process; NULL = yes
    CfgGate *gates;
    unsigned gates_count;
    unsigned rounds_max; // of a cell whose interval is still wide; 0 = each cell's `rounds`
    double budget_s;     // no rounds above a cell's `rounds` after that much measuring; 0 = without limit
    bool confirm;        // plan a second, independent set of rounds for what the first one flags
    CfgKnown *known;
    unsigned known_count;
    CfgDerived *derived;
    unsigned derived_count;
    CfgClaim *claims;
    unsigned claims_count;
    char **ranking; // metrics by which all arms are ranked over all cells
    unsigned ranking_count;
    CfgCell *cells;
    unsigned cells_count;
} CfgMatrix;

typedef struct Config {
    char *allocators_path;
    char *workloads_path;
    char *matrix_path; // NULL when only the other two were asked for
    CfgAllocators *allocators;
    CfgWorkloads *workloads;
    CfgMatrix *matrix;
} Config;

// Fit for file names, CSV fields and regular expressions, which all names become.
bool config_name_is_plain(const char *name);

// By name; NULL if there is none.
const CfgAllocator *config_allocator(const Config *config, const char *name);
const CfgWorkload *config_workload(const Config *config, const char *name);

#endif
