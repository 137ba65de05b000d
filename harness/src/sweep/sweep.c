#include "sweep/sweep.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "plan/plan.h"
#include "process/outcome.h"
#include "process/probe.h"
#include "process/program.h"
#include "record/machine_modes.h"
#include "record/manifest.h"
#include "record/record.h"
#include "record/resultdir.h"
#include "sweep/again.h"
#include "sweep/progress.h"
#include "sweep/quorum.h"
#include "sweep/state.h"

enum { EXIT_SIGNAL_BASE = 128, ATTEMPTS_MAX = 3 };

bool host_lock(const char *path)
{
    static bool held;
    held = held || file_lock(path, "another hzb that measures on this host") >= 0;
    return held;
}

static bool record_follows_plan(const Sweep *sweep)
{
    bool ok = sweep->runs.count <= sweep->plan.count;
    for (unsigned i = 0; ok && i < sweep->runs.count; i++) {
        uint64_t seq;
        ok = parse_u64(sweep->runs.rows[i].field[RUN_seq], &seq) && seq == sweep->plan.rows[i].seq &&
             strcmp(sweep->runs.rows[i].field[RUN_allocator], sweep->plan.rows[i].allocator) == 0;
    }
    if (!ok) hzb_error("%s: runs.csv does not follow plan.csv", sweep->dir);
    return ok;
}

static bool plan_follows_manifest(const Sweep *sweep, const Plan *plan)
{
    for (unsigned i = 0; i < plan->count; i++) {
        const PlanRow *row = &plan->rows[i];
        if (experiment_arm(&sweep->experiment, row->allocator) &&
            experiment_workload(&sweep->experiment, row->workload))
            continue;
        hzb_error("%s: %s seq %u: manifest.json knows no '%s' or no '%s'", sweep->dir,
                  plan == &sweep->plan ? "plan.csv" : PLAN_WHOLE_FILE, row->seq, row->allocator, row->workload);
        return false;
    }
    return true;
}

// A private folder for the processes. It lies on a memory file system, as the kernel would write a counter file on a
// disk back while it is being counted in. Its name has the run and its folder's inode. So what a killed hzb left is
// found again, and runs of one name below different folders don't meet.
static char *make_work_dir(const char *dir, const char *run_id)
{
    struct stat folder;
    if (stat(dir, &folder) != 0) {
        hzb_error("%s: %s", dir, strerror(errno));
        return NULL;
    }
    const char *base = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
    char *path = xfmt("%s/hzb-%u-%s-%ju", base, (unsigned)getuid(), run_id, (uintmax_t)folder.st_ino);
    folder_remove(path);
    if (mkdir(path, 0700) == 0) return path;
    hzb_error("%s: %s", path, strerror(errno));
    return NULL;
}

// A terminal that is closed is a signal like the others, unless nohup made it harmless.
static int block_signals(sigset_t *before)
{
    sigset_t set;
    struct sigaction hangup;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, before);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

unsigned block_start(const Plan *plan, unsigned index)
{
    assert(index < plan->count);
    while (index > 0 && plan_same_block(&plan->rows[index - 1], &plan->rows[index]))
        index--;
    return index;
}

bool block_ends_at(const Plan *plan, unsigned index)
{
    assert(index < plan->count);
    return index + 1 == plan->count || !plan_same_block(&plan->rows[index], &plan->rows[index + 1]);
}

// Applies the rules over a block once its last sample is there; doing it again changes nothing.
static bool judge_last_block(Sweep *sweep)
{
    if (sweep->runs.count == 0 || !block_ends_at(&sweep->plan, sweep->runs.count - 1)) return true;
    unsigned first = block_start(&sweep->plan, sweep->runs.count - 1);
    if (!outcome_judge_block(&sweep->runs.rows[first], sweep->runs.count - first)) return true;
    return runs_replace(sweep->dir, &sweep->runs);
}

// The bytes that were hashed must be the bytes that are run.
static bool files_unchanged(const Sweep *sweep, const PlanRow *row)
{
    const Arm *arm = experiment_arm(&sweep->experiment, row->allocator);
    const Workload *workload = experiment_workload(&sweep->experiment, row->workload);
    FileId id;
    const char *changed = NULL;
    if (arm->preload && !arm->missing && (!file_id(arm->preload, &id) || !file_id_same(&id, &arm->id)))
        changed = arm->preload;
    if (!workload->missing && (!file_id(workload->bin, &id) || !file_id_same(&id, &workload->id)))
        changed = workload->bin;
    if (changed) hzb_error("%s changed while it was being measured; stopped before seq %u", changed, row->seq);
    return !changed;
}

void sweep_keep(RunRows *rows, RunRow *row)
{
    rows->rows = xrealloc(rows->rows, rows->count + 1, sizeof *row);
    rows->rows[rows->count++] = *row;
    *row = (RunRow){0};
}

// Among all that was seen of the machine so far, this sample too.
static void judge_mode(const Sweep *sweep, RunRow *row)
{
    RunRows seen = {xcalloc(sweep->runs.count + 1, sizeof *row), sweep->runs.count};
    memcpy(seen.rows, sweep->runs.rows, sweep->runs.count * sizeof *row);
    seen.rows[seen.count++] = *row;
    Modes modes = machine_modes(&sweep->experiment, &seen);
    outcome_judge_mode(&modes, row);
    modes_free(&modes);
    free(seen.rows);
}

// A sample that the machine disturbed is measured again at once, so that its block stays together in time. Whether it
// was disturbed is decided without a look at its figures, and every attempt is kept.
HzbExit measure_one(Sweep *sweep, const PlanRow *planned, RunResult *result)
{
    for (int attempt = 1;; attempt++) {
        RunEnd end = run_one(&sweep->context, planned, result);
        if (end == RUN_INTERRUPTED) return EXIT_SIGNAL_BASE + SIGINT;
        if (end == RUN_BROKEN) return HZB_IO;
        if (!sweep->context.verify_only && again_waits_for_modes(sweep)) judge_mode(sweep, &result->row);
        if (attempt == ATTEMPTS_MAX || !outcome_is_disturbed(&result->row)) return HZB_OK;
        progress_again(&result->row);
        if (!rejected_append(sweep->dir, &result->row)) return HZB_IO;
        sweep_keep(&sweep->rejected, &result->row);
        run_result_free(result);
    }
}

static bool record(Sweep *sweep, const PlanRow *planned, RunResult *result)
{
    assert(sweep->runs.count < sweep->plan.count && planned == &sweep->plan.rows[sweep->runs.count]);
    if (!counters_append(sweep->dir, planned->seq, result->counter_names, result->counter_values,
                         result->counter_count) ||
        !runs_append(sweep->dir, &result->row))
        return false;
    sweep_keep(&sweep->runs, &result->row);
    return judge_last_block(sweep);
}

// A block is run or skipped as a whole: one that was begun before hzb was killed goes on as it began.
static void decide_block(Sweep *sweep)
{
    unsigned next = sweep->runs.count, first = block_start(&sweep->plan, next);
    assert(first <= next && next < sweep->plan.count);
    free(sweep->skip_reason);
    sweep->skip_reason = NULL;
    if (sweep->context.verify_only) return;
    Results results = {.dir = sweep->dir,
                       .experiment = sweep->experiment,
                       .plan = sweep->plan,
                       .runs = {sweep->runs.rows, first},
                       .cells = sweep->cells};
    results.modes = machine_modes(&sweep->experiment, &results.runs);
    sweep->skip_reason = gate_skip_reason(&results, &sweep->gate);
    modes_free(&results.modes);
}

// NULL: the planned process is to be run.
static const char *skip_reason(Sweep *sweep, const PlanRow *planned)
{
    unsigned next = sweep->runs.count;
    if (!sweep->decided || block_start(&sweep->plan, next) == next) decide_block(sweep);
    sweep->decided = true;
    if (sweep->skip_reason || sweep->context.verify_only) return sweep->skip_reason;
    return gate_arm_skip_reason(&sweep->experiment, planned);
}

static HzbExit run_next(Sweep *sweep)
{
    const PlanRow *planned = &sweep->plan.rows[sweep->runs.count];
    RunResult result = {0};
    HzbExit end = HZB_OK;
    if (!files_unchanged(sweep, planned)) return HZB_ENV_CHANGED;
    progress_before(&sweep->plan, &sweep->runs);
    const char *skip = skip_reason(sweep, planned);
    if (skip)
        outcome_skipped(&sweep->experiment, planned, skip, &result.row);
    else
        end = measure_one(sweep, planned, &result);
    if (end == HZB_OK && !record(sweep, planned, &result)) end = HZB_IO;
    run_result_free(&result);
    if (end != HZB_OK || !block_ends_at(&sweep->plan, sweep->runs.count - 1)) return end;
    progress_block(&sweep->plan, &sweep->runs, block_start(&sweep->plan, sweep->runs.count - 1));
    return sweep->context.verify_only ? HZB_OK : again_last_block_if_mixed(sweep);
}

// The second set asks about what the first one flagged: that must be whole by then.
static bool second_set_begins(const Sweep *sweep)
{
    const PlanRow *next = &sweep->plan.rows[sweep->runs.count];
    const CellRounds *rounds = experiment_rounds(&sweep->experiment, next->cell_id);
    return rounds && next->round > rounds->first;
}

static HzbExit run_all(Sweep *sweep)
{
    HzbExit result = HZB_OK;
    while (result == HZB_OK && sweep->runs.count < sweep->plan.count) {
        if (second_set_begins(sweep)) result = again_lost_blocks(sweep);
        if (result == HZB_OK) result = run_next(sweep);
    }
    return result == HZB_OK ? again_lost_blocks(sweep) : result;
}

static bool add_probes(const Sweep *sweep, const ProbeCost *before, uint64_t start_ns)
{
    const ProbeCost now = probe_cost();
    return manifest_add_probes(sweep->dir, (ProbesMade){.made = now.made - before->made,
                                                        .left_out = now.left_out - before->left_out,
                                                        .spent_s = (double)(now.spent_ns - before->spent_ns) / 1e9,
                                                        .of_s = (double)(monotonic_ns() - start_ns) / 1e9});
}

static HzbExit close_sweep(Sweep *sweep)
{
    Modes modes = machine_modes(&sweep->experiment, &sweep->runs);
    bool ok = manifest_set_modes(sweep->dir, &modes);
    modes_free(&modes);
    if (!ok) return HZB_IO;
    progress_summary(&sweep->runs);
    bool failed = sweep->context.verify_only ? quorum_some_bad(&sweep->runs)
                                             : quorum_missed(&sweep->experiment, &sweep->cells, &sweep->runs);
    return failed ? HZB_BAD_SAMPLES : HZB_OK;
}

static HzbExit open_sweep(Sweep *sweep)
{
    if (!manifest_load(sweep->dir, &sweep->experiment) || !plan_load(sweep->dir, &sweep->plan) ||
        !plan_load_whole(sweep->dir, &sweep->whole) || !plan_follows_manifest(sweep, &sweep->plan) ||
        !plan_follows_manifest(sweep, &sweep->whole) || !record_repair(sweep->dir) ||
        !runs_load(sweep->dir, &sweep->runs) || !rejected_load(sweep->dir, &sweep->rejected) ||
        !record_follows_plan(sweep))
        return HZB_IO;
    if (!manifest_still_true(sweep->dir, &sweep->experiment)) {
        hzb_error("%s: what was measured is not what is here now; start a new run", sweep->dir);
        return HZB_ENV_CHANGED;
    }
    return judge_last_block(sweep) ? HZB_OK : HZB_IO;
}

HzbExit sweep(const char *dir, SweepWhat what)
{
    Sweep state = {.dir = dir};
    HzbExit result = open_sweep(&state);
    if (result != HZB_OK) return result;
    noise_load(dir, &state.gate.noise);
    state.gate.whole = state.whole.count ? &state.whole : NULL;
    state.gate.rejected = &state.rejected;
    state.cells = plan_cells(&state.plan);
    if (!program_inputs_make(&state.experiment)) return HZB_IO;
    char *work_dir = make_work_dir(state.dir, state.experiment.run_id);
    char *whole_dir = realpath(dir, NULL);
    sigset_t signals_before;
    if (!work_dir || !whole_dir) return HZB_IO;
    state.context = (RunContext){.experiment = &state.experiment,
                                 .dir = whole_dir,
                                 .work_dir = work_dir,
                                 .signal_fd = block_signals(&signals_before),
                                 .verify_only = what == SWEEP_VERIFY};
    const ProbeCost probed_before = probe_cost();
    const uint64_t start_ns = monotonic_ns();
    result = run_all(&state);
    if (result == HZB_OK && what == SWEEP_AGAIN) result = again_bad_blocks(&state);
    progress_end();
    if (state.experiment.limits.probe && !add_probes(&state, &probed_before, start_ns)) result = HZB_IO;
    folder_remove(work_dir);
    if (result != HZB_OK) {
        hzb_error("%u of %u samples recorded; go on with: hzb resume %s", state.runs.count, state.plan.count, dir);
        return result;
    }
    close(state.context.signal_fd);
    sigprocmask(SIG_SETMASK, &signals_before, NULL); // one that came since is taken now
    return close_sweep(&state);
}
