#include "process/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/subprocess.h"
#include "base/util.h"
#include "process/child.h"

// The kernel walks all pages for PSS and holds the process up meanwhile.
enum { PSS_PERIOD_MS = 200, PSS_GROWTH_PCT = 2 };

bool program_prepare(ProgramRun *run, const char *work_dir, const char *log_path)
{
    const Program *program = run->workload->program;
    driver_none(&run->driver);
    run->dir = xfmt("%s/%u.d", work_dir, run->plan->seq);
    run->log_path = xstrdup(log_path);
    if (program->stdin_path) run->stdin_path = child_fill_in(program->stdin_path, run->workload, run->plan);
    char *group = xfmt("%u", run->plan->seq);
    run->group = cgroup_open(group);
    free(group);
    folder_remove(run->dir);
    return folder_make(run->dir);
}

bool program_start(ProgramRun *run, pid_t launcher, const char *library, const StrList *known)
{
    const Program *program = run->workload->program;
    tree_start(&run->tree, launcher, library, known);
    if (!program->client) return true;
    char *ready = child_fill_in(program->ready, run->workload, run->plan);
    char *client = child_fill_in(program->client, run->workload, run->plan);
    char *check = program->check ? child_fill_in(program->check, run->workload, run->plan) : NULL;
    const DriverSpec spec = {ready, client, check, run->dir, run->log_path};
    const bool ok = driver_start(&spec, &run->driver);
    free(ready);
    free(client);
    free(check);
    return ok;
}

void program_note_pss(ProgramRun *run, int64_t rss_kib)
{
    const uint64_t now_ns = monotonic_ns();
    const bool is_due = now_ns - run->pss_ns > PSS_PERIOD_MS * UINT64_C(1000000);
    if (!is_due || rss_kib <= run->pss_at_kib + run->pss_at_kib * PSS_GROWTH_PCT / 100) return;
    const int64_t pss_kib = tree_pss_kib(&run->tree);
    if (pss_kib > run->pss_kib) run->pss_kib = pss_kib;
    run->pss_at_kib = rss_kib;
    run->pss_ns = now_ns;
}

static char *sha256_in(const char *dir, const char *name)
{
    char *path = xfmt("%s/%s", dir, name), *sha256 = sha256_of_file(path);
    free(path);
    return sha256;
}

void program_observe(ProgramRun *run, const char *out_path, Observed *seen)
{
    const Program *program = run->workload->program;
    seen->processes = run->tree.proven;
    seen->pss_kib = run->pss_kib;
    seen->cgroup_kib = cgroup_peak_kib(&run->group);
    if (run->driver.end_ns > 0) seen->client_s = (double)(run->driver.end_ns - run->driver.begin_ns) / 1e9;
    if (program->check)
        seen->output_sha256 = sha256_in(run->dir, DRIVER_CHECKED);
    else if (!program->client)
        seen->output_sha256 = sha256_of_file(out_path);
}

static struct timeval time_of(uint64_t us)
{
    return (struct timeval){(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};
}

void program_take_end(const ProtoEnd *end, Observed *seen)
{
    seen->has_end = true;
    seen->wait_status = (int)end->wait_status;
    seen->wall_s = (double)end->wall_ns / 1e9;
    seen->usage = (struct rusage){.ru_utime = time_of(end->user_us),
                                  .ru_stime = time_of(end->sys_us),
                                  .ru_minflt = (long)end->minflt,
                                  .ru_majflt = (long)end->majflt,
                                  .ru_nvcsw = (long)end->nvcsw,
                                  .ru_nivcsw = (long)end->nivcsw};
    if ((int64_t)end->maxrss_kib > seen->peak_kib) seen->peak_kib = (int64_t)end->maxrss_kib;
}

void program_free(ProgramRun *run)
{
    driver_kill(&run->driver);
    cgroup_close(&run->group);
    tree_free(&run->tree);
    if (run->dir) folder_remove(run->dir);
    free(run->dir);
    free(run->stdin_path);
    free(run->log_path);
}

static bool inputs_make(const Workload *workload)
{
    const Program *program = workload->program;
    char *stamp = xfmt("%s.prepared", program->inputs), *made = file_text(stamp), *said = NULL;
    bool ok = made && strcmp(made, program->prepare) == 0;
    free(made);
    if (!ok) {
        const char *shell[] = {"env", "-C", program->inputs, "sh", "-e", "-c", program->prepare, NULL};
        hzb_note("workload '%s': making its inputs in %s", workload->name, program->inputs);
        unlink(stamp);
        folder_remove(program->inputs);
        ok = folder_make_all(program->inputs) && command_output(shell, STDERR_JOINED, &said) == 0;
        if (!ok) hzb_error("workload '%s': its inputs cannot be made: %.200s", workload->name, said ? said : "");
        FILE *out = ok ? file_create(stamp) : NULL;
        if (out) fputs(program->prepare, out);
        ok = ok && out && file_finish(out, stamp);
        free(said);
    }
    free(stamp);
    return ok;
}

bool program_inputs_make(const Experiment *experiment)
{
    for (unsigned i = 0; i < experiment->workload_count; i++) {
        const Workload *workload = &experiment->workloads[i];
        const bool needed = workload->program && workload->program->prepare && !workload->missing;
        if (needed && !inputs_make(workload)) return false;
    }
    return true;
}
