// From what was observed of a process to its row of runs.csv. The rules by which a sample does not count are all
// here, and were decided before anything was measured.
#ifndef HZB_OUTCOME_H
#define HZB_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

#include "config/experiment.h"
#include "plan/plan.h"
#include "process/probe.h"
#include "process/protocol.h"
#include "record/machine_modes.h"
#include "record/record.h"

// -1 = unknown, in every field where that makes sense.
typedef struct Observed {
    struct timespec start_utc;
    double wall_s;
    int wait_status;
    struct rusage usage;
    const char *killed_as; // status, when hzb ended the process; NULL otherwise
    char *fault;           // and why
    bool has_final;
    ProtoFinal final;
    bool has_end;        // of a program: wait_status, usage and wall_s are its own
    double client_s;     // of a server: how long the client worked
    char *output_sha256; // of a program: what must be the same for all allocators
    unsigned processes;  // of a program: how many were seen to have the allocator
    int64_t pss_kib;     // at most
    int64_t cgroup_kib;  // of a program: what its control group had at most
    double rss_mib_s;
    int64_t peak_kib;
    int64_t post_kib; // when the final line had come
    int64_t idle_kib; // settled in the last idle phase
    double return_ms; // until it had settled, nearly
    int64_t swap_kib;
    int64_t majflt_before_work; // up to the first phase mark: reading programs from a cold disk harms nothing
    int64_t steal_ticks;        // hundredths of a second that other guests had
    Probe before, after;        // of the machine
    int64_t psi_cpu_us;
    double load1;
    int64_t instructions; // outside of the program; only if the workload counts them
} Observed;

// Fills all columns but those of the allocator's counters. `verify_only`: disturbances by the machine do not count.
void outcome_fill(const Experiment *experiment, const PlanRow *plan, const Observed *observed, bool verify_only,
                  RunRow *row);
// The row of a process that was not run, and why.
void outcome_skipped(const Experiment *experiment, const PlanRow *plan, const char *reason, RunRow *row);

// True if it was the machine that made the sample invalid: worth another attempt.
bool outcome_is_disturbed(const RunRow *row);

// Over a whole block: its arms did the same work, or none of them counts. Returns true if a row was changed.
bool outcome_judge_block(RunRow *rows, unsigned count);

// A sample during which the machine changed its mode is disturbed.
void outcome_judge_mode(const Modes *modes, RunRow *row);
// The ok samples of a block are not all of one mode, so that some of them make no pair.
bool outcome_block_saw_several_modes(const Modes *modes, const RunRow *rows, unsigned count);

// This row was rejected because of a change of modes, on its own or with its block.
bool outcome_is_about_modes(const RunRow *row);

// What a reason begins with when a whole block is measured again; behind it stands why.
#define OUTCOME_AGAIN "again:"
#define OUTCOME_MODE "mode:"

#endif
