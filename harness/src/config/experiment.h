// What is measured, resolved: libraries and programs found and hashed, variants flattened. It is made from the YAML
// files when a result folder is created. From then on it is read from the manifest, so editing YAML changes no plan.
#ifndef HZB_EXPERIMENT_H
#define HZB_EXPERIMENT_H

#include <stdbool.h>

#include "base/files.h"
#include "config/arm.h"
#include "stats/modes.h"

// A program that knows nothing of hzb. Paths are absolute, commands are the shell's; NULL = none.
typedef struct Program {
    char *prepare, *inputs; // inputs: the folder that prepare fills
    char *stdin_path;       // may begin with {inputs}
    char *ready, *client, *check;
} Program;

typedef struct Workload {
    char *name;
    char *bin;        // absolute path
    Program *program; // NULL: it speaks HZB1
    bool missing;     // an optional program that is not installed
    char *sha256;
    StrList argv;
    bool allow_fallback;
    // Valgrind's version, if its instructions are counted and nothing else is measured, empty if that is not installed;
    // NULL: it is measured, not counted.
    char *counter;
    CfgMetric *metrics;
    unsigned metrics_count;
    FileId id;
} Workload;

typedef struct Limits {
    unsigned sample_ms;
    double mem_guard_pct;    // of the machine's memory
    double steal_max_pct;    // of CPU time; above: invalid
    double fallback_max_pct; // of remote frees; above: invalid unless the workload allows it
    bool probe;              // the machine, before and after each process
} Limits;

// How many rounds a cell gets. Above `min` only while its interval is wide; those above `first` are the second set.
// With less than `least` valid ones of a base or a candidate the run has failed.
typedef struct CellRounds {
    char *cell_id;
    unsigned min, first, least;
} CellRounds;

// What is decided, fixed when the plan is made.
typedef struct Rule {
    CfgGate *gates;
    unsigned gates_count;
    CfgKnown *known;
    unsigned known_count;
    CellRounds *cells;
    unsigned cells_count;
    double budget_s;
    bool confirm;
} Rule;

typedef struct Experiment {
    char *run_id; // name of the result folder
    char *matrix;
    char *created_utc; // of a record, else NULL
    Arm *arms;
    unsigned arm_count;
    Workload *workloads;
    unsigned workload_count;
    StrList known_libs; // every preload that exists; the glibc arm must map none of them
    Limits limits;
    Rule rule;
    CfgDerived *derived;
    unsigned derived_count;
    CfgClaim *claims;
    unsigned claims_count;
    StrList ranking;      // metrics by which the arms are ranked over all cells
    Modes modes_before;   // of this machine, as earlier runs found them, and this one too once it has ended
    StrList command_line; // how hzb was called to make it
} Experiment;

// Absolute path of a workload's program, which need not exist; or just the name, when PATH has no such program.
char *workload_path(const Config *config, const Options *options, const CfgWorkload *workload);

bool experiment_make(const Config *config, const Options *options, Experiment *experiment);

const Arm *experiment_arm(const Experiment *experiment, const char *name);
const Workload *experiment_workload(const Experiment *experiment, const char *name);
// NULL for a cell of a record that was made before rules were kept.
const CellRounds *experiment_rounds(const Experiment *experiment, const char *cell_id);

#endif
