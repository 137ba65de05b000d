#include "process/runner.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/callgrind.h"
#include "base/files.h"
#include "base/host.h"
#include "process/child.h"
#include "process/livepage.h"
#include "process/outcome.h"
#include "process/probe.h"
#include "process/program.h"
#include "process/protocol.h"
#include "process/sampler.h"
#include "process/target.h"

// Modes stay for seconds to minutes: what was seen so long ago still holds.
enum { PROBE_AGE_MAX_MS = 50 };

// Everything about the process that is running now.
typedef struct {
    const RunContext *context;
    const PlanRow *plan;
    const Arm *arm;
    const Workload *workload;
    Child child;
    LivePage live;
    CounterFile counters;
    char *stats_path;
    char *count_path; // NULL unless its instructions are counted
    Sampler sampler;
    ProgramRun program; // of a workload that is one
    int timer_fd;
    int statm_fd;
    uint64_t start_ns, deadline_ns;
    int64_t guard_kib;
    char line[PROTO_LINE_MAX]; // received, not yet a whole line
    size_t line_length;
    bool started; // the first line has come and the proof is done
    bool exited;
    Observed seen;
    CpuTicks ticks_before;
    int64_t psi_before_us;
} Run;

static void kill_as(Run *run, const char *status, char *fault)
{
    if (!run->seen.killed_as) {
        run->seen.killed_as = status;
        run->seen.fault = fault;
    }
    child_kill_group(&run->child);
}

// Takes the peak since the last phase mark into account and starts a new one.
static void note_memory(Run *run)
{
    TargetMemory memory = target_memory(run->child.pid);
    if (memory.peak_kib > run->seen.peak_kib) run->seen.peak_kib = memory.peak_kib;
    if (memory.swap_kib > run->seen.swap_kib) run->seen.swap_kib = memory.swap_kib;
    target_reset_peak(run->child.pid);
}

static void take_sample(Run *run)
{
    if (run->arm->stats_file_env) counter_file_open(&run->counters, run->stats_path);
    int64_t rss_kib = sampler_take(&run->sampler);
    if (run->workload->program) program_note_pss(&run->program, rss_kib);
    if (run->program.tree.fault) {
        kill_as(run, "invalid", run->program.tree.fault);
        run->program.tree.fault = NULL;
    }
    if (rss_kib > run->seen.peak_kib) run->seen.peak_kib = rss_kib;
    if (rss_kib > run->guard_kib)
        kill_as(run, "memlimit",
                xfmt("memory: %" PRId64 " KiB are over the guard of %" PRId64, rss_kib, run->guard_kib));
}

// At the first sign of life: is it the allocator that was asked for?
static void prove(Run *run)
{
    if (run->started) return;
    run->started = true;
    char *fault = target_allocator_fault(run->child.pid, run->arm->preload, &run->context->experiment->known_libs);
    if (fault) kill_as(run, "invalid", fault);
    run->seen.majflt_before_work = target_majflt(run->child.pid);
}

// What is said of it goes into files of text.
static char *printable(const char *line)
{
    char *shown = xstrdup(line);
    for (char *c = shown; *c; c++)
        if (*c < ' ' || *c > '~') *c = '?';
    return shown;
}

static void on_line(Run *run, const char *line)
{
    ProtoMessage message = proto_parse(line);
    if (message.kind == PROTO_BAD || (message.kind == PROTO_END) != (run->workload->program != NULL)) {
        char *shown = printable(line);
        kill_as(run, "failed", xfmt("protocol: not a line of HZB1: '%.80s'", shown));
        free(shown);
        return;
    }
    if (message.kind == PROTO_END && run->workload->program) {
        program_take_end(&message.end, &run->seen);
        return;
    }
    prove(run);
    note_memory(run);
    if (message.kind == PROTO_PHASE) {
        sampler_phase(&run->sampler, message.phase);
        take_sample(run);
        return;
    }
    run->seen.has_final = true;
    run->seen.final = message.final;
    take_sample(run);
    run->seen.post_kib = target_rss_kib(run->statm_fd);
    if (send(run->child.socket, "\n", 1, MSG_NOSIGNAL) != 1) return; // it did not wait; its exit tells the rest
}

static void on_socket(Run *run)
{
    ssize_t got =
        recv(run->child.socket, run->line + run->line_length, sizeof run->line - run->line_length - 1, MSG_DONTWAIT);
    if (got <= 0) {
        // End of file: poll would report it for ever. The process's exit is seen through its pidfd.
        if (got == 0 || errno != EAGAIN) {
            close(run->child.socket);
            run->child.socket = -1;
        }
        return;
    }
    run->line_length += (size_t)got;
    assert(run->line_length < sizeof run->line);
    run->line[run->line_length] = 0;
    char *rest = run->line, *newline;
    while ((newline = strchr(rest, '\n'))) {
        *newline = 0;
        on_line(run, rest);
        rest = newline + 1;
    }
    run->line_length = strlen(rest);
    memmove(run->line, rest, run->line_length + 1);
    if (run->line_length == sizeof run->line - 1) kill_as(run, "failed", xfmt("protocol: a line without an end"));
}

static void on_driver_said(Run *run)
{
    const char *phase = driver_hear(&run->program.driver);
    if (!phase) return;
    sampler_phase(&run->sampler, phase);
    take_sample(run);
}

// The client is done: the server is told to end.
static void on_driver_ended(Run *run)
{
    if (!driver_reap(&run->program.driver))
        kill_as(run, "failed", xfmt("client: it failed, see logs/%u.client", run->plan->seq));
    else
        kill(-run->child.pid, SIGTERM);
}

static void on_timer(Run *run)
{
    uint64_t expirations;
    if (read(run->timer_fd, &expirations, sizeof expirations) < 0) return;
    take_sample(run);
}

// Until the deadline, for poll; -1 once the process is killed. Samples may come seldom.
static int ms_left(Run *run)
{
    uint64_t now = monotonic_ns();
    if (!run->seen.killed_as && now >= run->deadline_ns)
        kill_as(run, "timeout", xfmt("timeout: did not end within %g s", run->plan->timeout_s));
    if (run->seen.killed_as) return -1;
    uint64_t ms = (run->deadline_ns - now) / 1000000 + 1;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

// Returns false when the user wants hzb to stop.
static bool watch(Run *run)
{
    bool interrupted = false;
    while (!run->exited) {
        struct pollfd fds[] = {{run->child.socket, POLLIN, 0},
                               {run->child.pidfd, POLLIN, 0},
                               {run->timer_fd, POLLIN, 0},
                               {interrupted ? -1 : run->context->signal_fd, POLLIN, 0},
                               {run->program.driver.pipe, POLLIN, 0},
                               {run->program.driver.pidfd, POLLIN, 0}};
        if (poll(fds, 6, ms_left(run)) < 0) continue; // EINTR
        if (fds[0].revents) on_socket(run);
        if (fds[2].revents) on_timer(run);
        if (fds[3].revents) {
            interrupted = true;
            child_kill_group(&run->child);
        }
        if (fds[4].revents) on_driver_said(run);
        if (fds[5].revents && !fds[4].revents) on_driver_ended(run);
        // Its last words may still be in the socket; read them before its end is believed.
        run->exited = fds[1].revents && (run->child.socket < 0 || !fds[0].revents);
    }
    return !interrupted;
}

static void reap(Run *run)
{
    const double wall_s = (double)(monotonic_ns() - run->start_ns) / 1e9;
    struct rusage usage = {0};
    int status = 0;
    child_kill_group(&run->child); // whatever it left behind
    while (wait4(run->child.pid, &status, 0, &usage) < 0 && errno == EINTR)
        continue;
    if (run->seen.has_end) return; // of a program: hzb-launch has said it
    run->seen.wall_s = wall_s;
    run->seen.wait_status = status;
    run->seen.usage = usage;
}

static bool start_timer(Run *run)
{
    uint64_t period_ns = run->context->experiment->limits.sample_ms * UINT64_C(1000000);
    uint64_t first_ns = run->start_ns + period_ns;
    assert(period_ns > 0); // 0 would disarm it: no curve
    const struct timespec period = {(time_t)(period_ns / 1000000000), (long)(period_ns % 1000000000)};
    const struct timespec first = {(time_t)(first_ns / 1000000000), (long)(first_ns % 1000000000)};
    const struct itimerspec spec = {.it_interval = period, .it_value = first};
    run->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    bool ok = run->timer_fd >= 0 && timerfd_settime(run->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) == 0;
    if (!ok) hzb_error("timer for samples: %s", strerror(errno));
    return ok;
}

static char *log_path(const Run *run, const char *folder, const char *extension)
{
    return xfmt("%s/%s/%u.%s", run->context->dir, folder, run->plan->seq, extension);
}

static bool start(Run *run)
{
    char *out = log_path(run, "logs", "out"), *err = log_path(run, "logs", "err");
    const ChildSpec spec = {.arm = run->arm,
                            .workload = run->workload,
                            .plan = run->plan,
                            .stats_path = run->stats_path,
                            .work_dir = run->context->work_dir,
                            .out_path = out,
                            .err_path = err,
                            .count_path = run->count_path,
                            .run_dir = run->program.dir,
                            .stdin_path = run->program.stdin_path,
                            .group = &run->program.group};
    unlink(run->stats_path);
    run->ticks_before = cpu_ticks();
    run->psi_before_us = psi_cpu_us();
    run->seen.load1 = load1();
    clock_gettime(CLOCK_REALTIME, &run->seen.start_utc);
    run->start_ns = monotonic_ns();
    run->deadline_ns = run->start_ns + (uint64_t)(run->plan->timeout_s * 1e9);
    assert(run->deadline_ns > run->start_ns);
    bool ok = live_page_open(&run->live) && child_start(&spec, &run->live, &run->child);
    free(out);
    free(err);
    if (!ok) return false;
    run->statm_fd = target_open_statm(run->child.pid);
    sampler_start(&run->sampler, run->statm_fd, &run->live, &run->counters, run->start_ns);
    if (run->workload->program) run->sampler.tree = &run->program.tree;
    if (run->workload->program &&
        !program_start(&run->program, run->child.pid, run->arm->preload, &run->context->experiment->known_libs))
        return false;
    return start_timer(run);
}

// The machine's modes change no count.
static bool is_probed(const Run *run)
{
    return run->context->experiment->limits.probe && !run->count_path;
}

static void observe_end(Run *run)
{
    CpuTicks ticks = cpu_ticks();
    int64_t psi_us = psi_cpu_us();
    run->seen.steal_ticks = (int64_t)(ticks.steal - run->ticks_before.steal);
    run->seen.psi_cpu_us = psi_us >= 0 ? psi_us - run->psi_before_us : -1;
    run->seen.idle_kib = sampler_settled_rss_kib(&run->sampler, "idle");
    run->seen.return_ms = sampler_return_ms(&run->sampler, "idle");
    run->seen.rss_mib_s = sampler_rss_mib_s(&run->sampler);
    if (run->workload->program) {
        char *out = log_path(run, "logs", "out");
        program_observe(&run->program, out, &run->seen);
        free(out);
    }
    if (is_probed(run)) run->seen.after = probe_recent(0);
    if (run->count_path) run->seen.instructions = callgrind_instructions(run->count_path, run->workload->bin);
}

static void take_final_counters(const CounterFile *file, RunResult *result)
{
    static const RunColumn columns[] = {RUN_reclaim_calls, RUN_reclaim_pages, RUN_purged_pages, RUN_madvise_calls};
    result->counter_count = file->counter_count;
    result->counter_names = xcalloc(file->counter_count, sizeof *result->counter_names);
    result->counter_values = xcalloc(file->counter_count, sizeof *result->counter_values);
    for (unsigned c = 0; c < file->counter_count; c++) {
        uint64_t value = counter_file_value(file, c);
        result->counter_names[c] = xstrdup(file->names[c]);
        result->counter_values[c] = value;
        for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
            if (strcmp(file->names[c], run_column_names[columns[i]]) == 0)
                row_set(&result->row, columns[i], "%" PRIu64, value);
    }
}

static bool write_curve(const Run *run)
{
    char *path = log_path(run, "rss", "csv"), *latencies = log_path(run, "rss", "latency.csv");
    char *stalls = log_path(run, "rss", "stalls.csv");
    const LatencyPage *page = live_page_latencies(&run->live);
    bool ok = sampler_write(&run->sampler, path);
    if (latencies_are_there(page))
        ok = latencies_write(page, latencies) && latencies_write_stalls(page, run->start_ns, stalls) && ok;
    free(path);
    free(latencies);
    free(stalls);
    return ok;
}

// Why it failed, in its own words: the first line that it wrote to stderr, and where the rest is.
static void quote_stderr(const Run *run, RunRow *row)
{
    char *path = log_path(run, "logs", "err"), *line = file_line(path);
    if (line && *line && (row_status_is(row, "failed") || row_status_is(row, "signal"))) {
        char *shown = printable(line), *reason = xstrdup(row->field[RUN_invalid_reason]);
        row_set(row, RUN_invalid_reason, "%s; it said '%.120s' (logs/%u.err)", reason, shown, run->plan->seq);
        free(shown);
        free(reason);
    }
    free(line);
    free(path);
}

static RunEnd finish(Run *run, bool interrupted, RunResult *result)
{
    RunEnd end = interrupted ? RUN_INTERRUPTED : RUN_DONE;
    if (!interrupted) {
        observe_end(run);
        outcome_fill(run->context->experiment, run->plan, &run->seen, run->context->verify_only, &result->row);
        quote_stderr(run, &result->row);
        latencies_fill(live_page_latencies(&run->live), &result->row);
        take_final_counters(&run->counters, result);
        if (!write_curve(run)) end = RUN_BROKEN;
    }
    sampler_free(&run->sampler);
    counter_file_close(&run->counters);
    live_page_close(&run->live);
    child_close(&run->child);
    close(run->statm_fd);
    close(run->timer_fd);
    unlink(run->stats_path);
    free(run->stats_path);
    if (run->count_path) unlink(run->count_path);
    free(run->count_path);
    free(run->seen.fault);
    free(run->seen.output_sha256);
    program_free(&run->program);
    return end;
}

RunEnd run_one(const RunContext *context, const PlanRow *plan, RunResult *result)
{
    *result = (RunResult){0};
    const Experiment *experiment = context->experiment;
    Run run = {.context = context,
               .plan = plan,
               .arm = experiment_arm(experiment, plan->allocator),
               .workload = experiment_workload(experiment, plan->workload),
               .stats_path = xfmt("%s/%u.stats", context->work_dir, plan->seq),
               .seen = {.post_kib = -1,
                        .majflt_before_work = -1,
                        .load1 = -1,
                        .instructions = -1,
                        .before = probe_none(),
                        .after = probe_none()}};
    assert(run.arm && run.workload);
    if (run.arm->missing || run.workload->missing) {
        outcome_skipped(experiment, plan, run.arm->missing ? "library: not installed" : "program: not installed",
                        &result->row);
        free(run.stats_path);
        return RUN_DONE;
    }
    double ram_kib = (double)proc_value("/proc/meminfo", "MemTotal");
    run.guard_kib = (int64_t)(ram_kib * experiment->limits.mem_guard_pct / 100);
    if (run.workload->counter) run.count_path = xfmt("%s/%u.callgrind", context->work_dir, plan->seq);
    if (is_probed(&run)) run.seen.before = probe_recent(PROBE_AGE_MAX_MS);
    driver_none(&run.program.driver);
    bool ready = true;
    if (run.workload->program) {
        run.program.workload = run.workload;
        run.program.plan = plan;
        char *log = log_path(&run, "logs", "client");
        ready = program_prepare(&run.program, context->work_dir, log);
        free(log);
    }
    if (!ready || !start(&run)) {
        cgroup_close(&run.program.group); // it outlives hzb, unlike the rest
        return RUN_BROKEN;
    }
    bool interrupted = !watch(&run);
    reap(&run);
    return finish(&run, interrupted, result);
}

void run_result_free(RunResult *result)
{
    row_clear(&result->row);
    for (unsigned c = 0; c < result->counter_count; c++)
        free(result->counter_names[c]);
    free(result->counter_names);
    free(result->counter_values);
    *result = (RunResult){0};
}
