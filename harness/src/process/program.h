// A sample of a program that knows nothing of hzb: its own folder, its input, its processes, and for a server the
// client.
#ifndef HZB_PROGRAM_H
#define HZB_PROGRAM_H

#include "config/experiment.h"
#include "plan/plan.h"
#include "process/cgroup.h"
#include "process/driver.h"
#include "process/outcome.h"
#include "process/tree.h"

typedef struct ProgramRun {
    const Workload *workload; // with a program
    const PlanRow *plan;
    char *dir;        // empty when it starts, and removed afterwards
    char *stdin_path; // NULL = /dev/null
    char *log_path;   // of the client
    Cgroup group;     // of the program, not of the client
    Tree tree;
    Driver driver;
    int64_t pss_kib;    // the most so far
    int64_t pss_at_kib; // RSS when PSS was last read
    uint64_t pss_ns;
} ProgramRun;

// Makes the folder. Says what is wrong and returns false.
bool program_prepare(ProgramRun *run, const char *work_dir, const char *log_path);
// Once hzb-launch has begun: the client's shell, if it is a server.
bool program_start(ProgramRun *run, pid_t launcher, const char *library, const StrList *known);
// Reads PSS when RSS has grown since, and not often.
void program_note_pss(ProgramRun *run, int64_t rss_kib);
void program_observe(ProgramRun *run, const char *out_path, Observed *seen);
void program_take_end(const ProtoEnd *end, Observed *seen);
void program_free(ProgramRun *run);

// Runs what makes the inputs of each program that the experiment has, once. Says what is wrong and returns false.
bool program_inputs_make(const Experiment *experiment);

#endif
