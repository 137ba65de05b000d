#include "process/outcome.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/util.h"
#include "record/metric.h"

// Fewer are rounding.
enum { STEAL_TICKS_MIN = 3, TICKS_PER_S = 100 }; // /proc/stat counts in USER_HZ

// What the machine does to a sample; it would have hit any arm. All other reasons are the arm's own affair.
static const char *const disturbances[] = {"majflt:", "swap:", "steal:", OUTCOME_MODE, OUTCOME_AGAIN};
static const char of_block[] = "block: ", checksum[] = "checksum: ";

static char *wait_fault(const Workload *workload, const Observed *seen)
{
    if (workload->program && !seen->has_end) return xfmt("launch: no report of its end, see logs");
    // A server ends when it is told to.
    if (workload->program && workload->program->client && WIFSIGNALED(seen->wait_status) &&
        WTERMSIG(seen->wait_status) == SIGTERM)
        return NULL;
    if (WIFSIGNALED(seen->wait_status)) return xfmt("signal: %s", strsignal(WTERMSIG(seen->wait_status)));
    if (WEXITSTATUS(seen->wait_status) != 0) return xfmt("exit: code %d, see logs", WEXITSTATUS(seen->wait_status));
    if (workload->program) return seen->processes > 0 ? NULL : xfmt("proof: it ended before its libraries were seen");
    if (!seen->has_final) return xfmt("protocol: no final line");
    bool uncounted = workload->counter && seen->instructions <= 0;
    return uncounted ? xfmt("instructions: %s counted none", workload->counter) : NULL;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

// What steal is held against: the time in which the process needed a CPU. One that is not judged by its speed may sleep
// through most of its life, and what it is judged by loses nothing to a neighbour but a delay: there it is all its
// time.
static double ticks_at_stake(const Workload *workload, const Observed *seen)
{
    double cpu_ticks = (seconds(seen->usage.ru_utime) + seconds(seen->usage.ru_stime)) * TICKS_PER_S;
    for (unsigned m = 0; m < workload->metrics_count; m++)
        if (metric_is_of_speed(workload->metrics[m].name)) return cpu_ticks;
    return workload->metrics_count > 0 ? fmax(cpu_ticks, seen->wall_s * TICKS_PER_S) : cpu_ticks;
}

static char *disturbance(const Workload *workload, const Limits *limits, const Observed *seen)
{
    int64_t majflt = seen->usage.ru_majflt - (seen->majflt_before_work > 0 ? seen->majflt_before_work : 0);
    if (majflt > 0) return xfmt("majflt: %" PRId64 " pages were read from disk", majflt);
    if (seen->swap_kib > 0) return xfmt("swap: %" PRId64 " KiB were swapped out", seen->swap_kib);
    double ticks = ticks_at_stake(workload, seen);
    double steal_pct = 100 * (double)seen->steal_ticks / (ticks + (double)seen->steal_ticks);
    if (seen->steal_ticks >= STEAL_TICKS_MIN && steal_pct > limits->steal_max_pct)
        return xfmt("steal: other guests took %.1f %% of the time of the process, limit %g %%", steal_pct,
                    limits->steal_max_pct);
    return NULL;
}

static char *invalidity(const Experiment *experiment, const PlanRow *plan, const Observed *seen, bool verify_only)
{
    const Workload *workload = experiment_workload(experiment, plan->workload);
    const Limits *limits = &experiment->limits;
    if (seen->final.has_fallback && seen->final.fallback_pct > limits->fallback_max_pct && !workload->allow_fallback)
        return xfmt("fallback: %.4f %% of remote frees were local, limit %g %%", seen->final.fallback_pct,
                    limits->fallback_max_pct);
    // What the machine does to a process takes its time and changes no count.
    return verify_only || workload->counter ? NULL : disturbance(workload, limits, seen);
}

static void fill_identity(const Experiment *experiment, const PlanRow *plan, RunRow *row)
{
    const Arm *arm = experiment_arm(experiment, plan->allocator);
    assert(arm && plan->seq > 0);
    row_set(row, RUN_run_id, "%s", experiment->run_id);
    row_set(row, RUN_seq, "%u", plan->seq);
    row_set(row, RUN_round, "%u", plan->round);
    row_set(row, RUN_slot, "%u", plan->slot);
    row_set(row, RUN_cell_id, "%s", plan->cell_id);
    row_set(row, RUN_workload, "%s", plan->workload);
    row_set(row, RUN_params, "%s", plan->params);
    row_set(row, RUN_allocator, "%s", plan->allocator);
    row_set(row, RUN_role, "%s", plan->role);
    row_set(row, RUN_lib_sha256, "%s", arm->sha256 ? arm->sha256 : "");
    row_set(row, RUN_bin_sha256, "%s", experiment_workload(experiment, plan->workload)->sha256);
    row_set(row, RUN_seed, "%" PRIu64, plan->seed);
}

static void fill_status(const Experiment *experiment, const PlanRow *plan, const Observed *seen, bool verify_only,
                        RunRow *row)
{
    const Workload *workload = experiment_workload(experiment, plan->workload);
    char *fault = seen->killed_as ? seen->fault : wait_fault(workload, seen);
    const char *status = seen->killed_as                                   ? seen->killed_as
                         : !fault                                          ? "ok"
                         : WIFSIGNALED(seen->wait_status)                  ? "signal"
                         : strncmp(fault, "proof:", strlen("proof:")) == 0 ? "invalid"
                                                                           : "failed";
    if (!fault && (fault = invalidity(experiment, plan, seen, verify_only))) status = "invalid";
    row_set(row, RUN_status, "%s", status);
    row_set(row, RUN_invalid_reason, "%s", fault ? fault : "");
    if (WIFEXITED(seen->wait_status)) row_set(row, RUN_exit_code, "%d", WEXITSTATUS(seen->wait_status));
    if (WIFSIGNALED(seen->wait_status)) row_set(row, RUN_signal, "%d", WTERMSIG(seen->wait_status));
}

static void fill_machine(const Observed *seen, RunRow *row)
{
    assert(seen->wall_s >= 0);
    char date[32];
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", gmtime(&seen->start_utc.tv_sec));
    row_set(row, RUN_start_utc, "%s.%03ldZ", date, seen->start_utc.tv_nsec / 1000000);
    row_set(row, RUN_wall_s, "%.6f", seen->wall_s);
    row_set(row, RUN_cpu_user_s, "%.6f", seconds(seen->usage.ru_utime));
    row_set(row, RUN_cpu_sys_s, "%.6f", seconds(seen->usage.ru_stime));
    if (seen->steal_ticks >= 0) row_set(row, RUN_steal_ticks, "%" PRId64, seen->steal_ticks);
    if (seen->psi_cpu_us >= 0) row_set(row, RUN_psi_cpu_us, "%" PRId64, seen->psi_cpu_us);
    if (seen->load1 >= 0) row_set(row, RUN_load1, "%.2f", seen->load1);
}

static void fill_usage(const struct rusage *usage, RunRow *row)
{
    row_set(row, RUN_minflt, "%ld", usage->ru_minflt);
    row_set(row, RUN_majflt, "%ld", usage->ru_majflt);
    row_set(row, RUN_nvcsw, "%ld", usage->ru_nvcsw);
    row_set(row, RUN_nivcsw, "%ld", usage->ru_nivcsw);
}

static void set_probe(RunRow *row, RunColumn column, double ns)
{
    if (isfinite(ns)) row_set(row, column, "%.4g", ns);
}

static void fill_probes(const Observed *seen, RunRow *row)
{
    set_probe(row, RUN_probe_pp_ns, seen->before.pp_ns);
    set_probe(row, RUN_probe_pp_after_ns, seen->after.pp_ns);
    set_probe(row, RUN_probe_cpu_ns, seen->before.cpu_ns);
    set_probe(row, RUN_probe_cpu_after_ns, seen->after.cpu_ns);
    set_probe(row, RUN_probe_mem_ns, seen->before.mem_ns);
    set_probe(row, RUN_probe_mem_after_ns, seen->after.mem_ns);
}

static void fill_memory(const Observed *seen, RunRow *row)
{
    if (seen->peak_kib > 0) row_set(row, RUN_peak_rss_kib, "%" PRId64, seen->peak_kib);
    if (seen->post_kib > 0) row_set(row, RUN_post_rss_kib, "%" PRId64, seen->post_kib);
    if (seen->idle_kib > 0) row_set(row, RUN_idle_rss_kib, "%" PRId64, seen->idle_kib);
    if (seen->rss_mib_s > 0) row_set(row, RUN_rss_mib_s, "%.4g", seen->rss_mib_s);
    if (seen->return_ms > 0) row_set(row, RUN_idle_return_ms, "%.3f", seen->return_ms);
}

static void fill_program(const Observed *seen, RunRow *row)
{
    if (seen->client_s > 0) row_set(row, RUN_work_s, "%.6f", seen->client_s);
    if (seen->output_sha256) row_set(row, RUN_checksum, "%.*s", PROTO_CHECKSUM_DIGITS, seen->output_sha256);
    if (seen->pss_kib > 0) row_set(row, RUN_peak_pss_kib, "%" PRId64, seen->pss_kib);
    if (seen->cgroup_kib > 0) row_set(row, RUN_cgroup_peak_kib, "%" PRId64, seen->cgroup_kib);
    row_set(row, RUN_processes, "%u", seen->processes);
}

static void fill_final(const ProtoFinal *final, RunRow *row)
{
    assert(strlen(final->checksum) == PROTO_CHECKSUM_DIGITS);
    row_set(row, RUN_ops, "%" PRIu64, final->ops);
    row_set(row, RUN_live_peak_kib, "%" PRIu64, final->live_peak_bytes / 1024);
    row_set(row, RUN_alloc_failed, "%" PRIu64, final->alloc_failed);
    row_set(row, RUN_checksum, "%s", final->checksum);
    if (final->has_fallback) row_set(row, RUN_fallback_pct, "%.4f", final->fallback_pct);
    if (final->has_remote) row_set(row, RUN_actual_remote_pct, "%.4f", final->actual_remote_pct);
    if (final->live_at_fail_bytes > 0) row_set(row, RUN_live_at_fail_kib, "%" PRIu64, final->live_at_fail_bytes / 1024);
}

static void fill_speed(const ProtoFinal *final, RunRow *row)
{
    row_set(row, RUN_work_s, "%.6f", (double) final->work_ns / 1e9);
    if (final->work_ns > 0) row_set(row, RUN_ops_per_s, "%.10g", (double) final->ops * 1e9 / (double) final->work_ns);
}

void outcome_fill(const Experiment *experiment, const PlanRow *plan, const Observed *observed, bool verify_only,
                  RunRow *row)
{
    fill_identity(experiment, plan, row);
    fill_status(experiment, plan, observed, verify_only, row);
    fill_machine(observed, row);
    if (observed->has_final) fill_final(&observed->final, row);
    if (experiment_workload(experiment, plan->workload)->counter) {
        if (observed->instructions > 0) row_set(row, RUN_instructions, "%" PRId64, observed->instructions);
        return; // all else would be valgrind's
    }
    fill_usage(&observed->usage, row);
    fill_probes(observed, row);
    fill_memory(observed, row);
    if (observed->has_final) fill_speed(&observed->final, row);
    if (observed->has_end) fill_program(observed, row);
}

void outcome_skipped(const Experiment *experiment, const PlanRow *plan, const char *reason, RunRow *row)
{
    assert(*reason);
    fill_identity(experiment, plan, row);
    row_set(row, RUN_status, "skipped");
    row_set(row, RUN_invalid_reason, "%s", reason);
}

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool outcome_is_disturbed(const RunRow *row)
{
    const char *reason = row->field[RUN_invalid_reason];
    if (!row_status_is(row, "invalid")) return false;
    // An older hzb made all of a block invalid for what the machine did to one arm of it. Unequal work is not its
    // doing.
    if (begins_with(reason, of_block)) return !begins_with(reason + strlen(of_block), checksum);
    for (size_t i = 0; i < sizeof disturbances / sizeof *disturbances; i++)
        if (begins_with(reason, disturbances[i])) return true;
    return false;
}

static void make_all_invalid(RunRow *rows, unsigned count, const char *reason)
{
    for (unsigned i = 0; i < count; i++) {
        if (!row_status_is(&rows[i], "ok")) continue;
        row_set(&rows[i], RUN_status, "invalid");
        row_set(&rows[i], RUN_invalid_reason, "%s%s", of_block, reason);
    }
}

static bool has_ok(const RunRow *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (row_status_is(&rows[i], "ok")) return true;
    return false;
}

bool outcome_judge_block(RunRow *rows, unsigned count)
{
    const RunRow *first = NULL;
    if (!has_ok(rows, count)) return false;
    for (unsigned i = 0; i < count; i++) {
        const RunRow *row = &rows[i];
        assert(strcmp(row->field[RUN_cell_id], rows->field[RUN_cell_id]) == 0);
        assert(strcmp(row->field[RUN_round], rows->field[RUN_round]) == 0);
        if (!row_status_is(row, "ok")) continue;
        if (!first) first = row;
        if (strcmp(first->field[RUN_checksum], row->field[RUN_checksum]) == 0) continue;
        char *reason = xfmt("%s%s has %s, %s has %s", checksum, first->field[RUN_allocator], first->field[RUN_checksum],
                            row->field[RUN_allocator], row->field[RUN_checksum]);
        make_all_invalid(rows, count, reason);
        free(reason);
        return true;
    }
    return false;
}

void outcome_judge_mode(const Modes *modes, RunRow *row)
{
    if (!row_status_is(row, "ok") || !machine_mode_changed(modes, row)) return;
    row_set(row, RUN_status, "invalid");
    row_set(row, RUN_invalid_reason, OUTCOME_MODE " the CPUs were %s ns apart before and %s ns after",
            row->field[RUN_probe_pp_ns], row->field[RUN_probe_pp_after_ns]);
}

bool outcome_is_about_modes(const RunRow *row)
{
    return strstr(row->field[RUN_invalid_reason], OUTCOME_MODE) != NULL;
}

bool outcome_block_saw_several_modes(const Modes *modes, const RunRow *rows, unsigned count)
{
    int known = -1;
    for (unsigned i = 0; i < count; i++) {
        int mode = row_status_is(&rows[i], "ok") ? machine_mode_of(modes, &rows[i]) : -1;
        if (mode >= 0 && known >= 0 && mode != known) return true;
        if (mode >= 0) known = mode;
    }
    return false;
}
