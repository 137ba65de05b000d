/* What is measured, resolved: libraries and programs found and hashed, variants flattened. Made from the YAML files
   when a result folder is created, from then on read back from its manifest, so that editing YAML changes no plan. */
#ifndef HZB_EXPERIMENT_H
#define HZB_EXPERIMENT_H

#include <stdbool.h>

#include "base/util.h"
#include "commands/cli.h"
#include "config/config.h"

typedef struct {
    char *name;
    char *role;    /* base, cand, ref or aa */
    char *preload; /* absolute path; NULL = the C library's own malloc */
    char *sha256;  /* of the library; NULL without one */
    char *stats_file_env;
    char *build; /* what the library says of itself; "" when it says nothing */
    StrList env;
    char *same_as;    /* a candidate with the library and environment of this base: nothing to run, nothing to decide */
    char *build_defs; /* built when it is first run; NULL = the library is found */
    bool missing;     /* optional and not found: its samples are recorded as skipped */
    FileId id;
} Arm;

typedef struct {
    char *name;
    char *bin; /* absolute path */
    char *sha256;
    StrList argv;
    bool allow_fallback;
    CfgMetric *metrics;
    unsigned metrics_count;
    FileId id;
} Workload;

typedef struct {
    unsigned sample_ms;
    double mem_guard_pct;    /* of the machine's memory */
    double steal_max_pct;    /* of CPU time; above: invalid */
    double fallback_max_pct; /* of remote frees; above: invalid unless the workload allows it */
} Limits;

/* How many rounds a cell gets. Above `min` only while its interval is wide; those above `first` are the second set. */
typedef struct {
    char *cell_id;
    unsigned min, first;
} CellRounds;

/* What is decided, fixed when the plan is made. */
typedef struct {
    CfgGate *gates;
    unsigned gates_count;
    CellRounds *cells;
    unsigned cells_count;
    double budget_s;
    bool confirm;
} Rule;

typedef struct {
    char *run_id; /* name of the result folder */
    char *matrix;
    Arm *arms;
    unsigned arm_count;
    Workload *workloads;
    unsigned workload_count;
    StrList known_libs; /* every preload that exists; the glibc arm must map none of them */
    Limits limits;
    Rule rule;
    StrList command_line; /* how hzb was called to make it */
} Experiment;

/* Absolute path of a library as allocators.yaml names it, or NULL if there is none. */
char *library_find(const Config *config, const Options *options, const char *preload);
/* One allocator with all that it inherits; its library is looked up, not yet hashed. A library that is not found has
   its configured name in `preload` and sets `missing`. Returns false if it is missing and not optional. */
bool arm_resolve(const Config *config, const Options *options, const CfgAllocator *allocator, Arm *arm);
/* What the allocator's build line says (lane, front in use, definitions), asked under the arm's own environment because
   the machine and the environment decide part of it. "" for an arm without counters, or when there is no such line. */
char *arm_build(const Arm *arm);
/* Absolute path of a workload's program; need not exist. */
char *workload_path(const Config *config, const Options *options, const CfgWorkload *workload);

bool experiment_make(const Config *config, const Options *options, Experiment *experiment);

const Arm *experiment_arm(const Experiment *experiment, const char *name);
/* The same library in the same environment. */
bool arms_are_same(const Arm *a, const Arm *b);
const Workload *experiment_workload(const Experiment *experiment, const char *name);
/* NULL for a cell of a record that was made before rules were kept. */
const CellRounds *experiment_rounds(const Experiment *experiment, const char *cell_id);

#endif
