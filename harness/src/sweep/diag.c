#include "sweep/diag.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/callgrind.h"
#include "base/csvio.h"
#include "base/files.h"
#include "base/subprocess.h"
#include "process/child.h"
#include "record/resultdir.h"
#include "record/results.h"

// A program runs some fifty times as long under valgrind.
enum { TIMEOUT_FACTOR = 100, COUNT_RUNS = 3 };

typedef struct Diag {
    const Results *results;
    FILE *out; // diag.csv
    char *work_dir;
    bool has_perf, has_strace, has_valgrind;
} Diag;

// One process to look at.
typedef struct Subject {
    const PlanRow *plan;
    const Arm *arm;
    const Workload *workload;
    char *tool_output; // file
} Subject;

static void put(const Diag *diag, const Subject *subject, const char *tool, const char *counter, double value)
{
    fprintf(diag->out, "%s,%s,%s,%s,%.0f\n", subject->plan->cell_id, subject->arm->name, tool, counter, value);
}

static bool can_run(const char *name)
{
    char *said;
    const char *argv[] = {name, "--version", NULL};
    bool ok = command_output(argv, STDERR_DROPPED, &said) == 0;
    free(said);
    if (!ok) hzb_note("diag: %s is not installed: left out", name);
    return ok;
}

// The arm's variables, in front of the program: the tools themselves run without them.
static void add_arm(StrList *argv, const Arm *arm, const char *flag)
{
    for (unsigned i = 0; i < arm->env.count; i++) {
        if (flag) list_add(argv, flag);
        list_add(argv, arm->env.items[i]);
    }
    if (!arm->preload) return;
    char *preload = xfmt("LD_PRELOAD=%s", arm->preload);
    if (flag) list_add(argv, flag);
    list_add(argv, preload);
    free(preload);
}

static void add_clean_environment(StrList *argv)
{
    const char *path = getenv("PATH");
    char *entry = xfmt("PATH=%s", path ? path : "/usr/bin:/bin");
    list_add(argv, "env");
    list_add(argv, "-i");
    list_add(argv, "LC_ALL=C");
    list_add(argv, entry);
    free(entry);
}

static void add_texts(StrList *argv, const char *const texts[])
{
    for (; *texts; texts++)
        list_add(argv, *texts);
}

// Runs a tool's command line followed by the workload's. The dynamic linker only warns when a library cannot be
// preloaded: that is a failure here.
static bool run_tool(const Subject *subject, StrList *argv, char **said)
{
    StrList arguments = child_arguments(subject->workload, subject->plan), all = {0};
    char *limit = xfmt("%.0f", subject->plan->timeout_s * TIMEOUT_FACTOR);
    // timeout has a process group of its own, which a terminal's Ctrl-C does not reach: it ends when we do.
    add_texts(&all, (const char *const[]){"setpriv", "--pdeathsig", "TERM", "timeout", "-k", "5", limit, NULL});
    for (unsigned i = 0; i < argv->count; i++)
        list_add(&all, argv->items[i]);
    for (unsigned i = 0; i < arguments.count; i++)
        list_add(&all, arguments.items[i]);
    all.items = xrealloc(all.items, all.count + 1, sizeof *all.items);
    all.items[all.count] = NULL;
    int status = command_output((const char *const *)all.items, STDERR_JOINED, said);
    bool ok = status == 0 && !strstr(*said, "cannot be preloaded");
    if (!ok)
        hzb_error("diag: %s, %s: %s ended with %d: %s", subject->plan->cell_id, subject->arm->name, argv->items[0],
                  status, *said ? *said : "");
    free(limit);
    return ok;
}

// Lines "value,unit,event:u,..."; what the machine cannot count is "<not supported>".
static bool perf(const Diag *diag, const Subject *subject)
{
    StrList argv = {0};
    char *said;
    add_clean_environment(&argv);
    add_texts(&argv, (const char *const[]){"perf", "stat", "-x,", "-o", subject->tool_output, "-e",
                                           "instructions:u,cycles:u,branch-misses:u,cache-misses:u,dTLB-load-misses:u,"
                                           "page-faults:u",
                                           "--", "env", NULL});
    add_arm(&argv, subject->arm, NULL);
    if (!run_tool(subject, &argv, &said)) return false;
    char *text = file_text(subject->tool_output);
    StrList lines = list_split(text ? text : "", '\n');
    for (unsigned i = 0; i < lines.count; i++) {
        double value;
        char event[64];
        if (sscanf(lines.items[i], "%lf,%*[^,],%63[^,:]", &value, event) == 2 ||
            sscanf(lines.items[i], "%lf,,%63[^,:]", &value, event) == 2)
            put(diag, subject, "perf", event, value);
    }
    free(text);
    free(said);
    return true;
}

// Lines "% time, seconds, usecs/call, calls, [errors,] syscall".
static bool strace(const Diag *diag, const Subject *subject)
{
    StrList argv = {0};
    char *said;
    add_clean_environment(&argv);
    add_texts(&argv, (const char *const[]){"strace", "-f", "-c", "-S", "calls", "-o", subject->tool_output, NULL});
    add_arm(&argv, subject->arm, "-E");
    if (!run_tool(subject, &argv, &said)) return false;
    char *text = file_text(subject->tool_output);
    StrList lines = list_split(text ? text : "", '\n');
    for (unsigned i = 0; i < lines.count; i++) {
        StrList fields = list_split(lines.items[i], ' ');
        double calls;
        if (fields.count < 5 || !parse_double(fields.items[3], &calls)) continue;
        const char *name = fields.items[fields.count - 1];
        put(diag, subject, "strace", strcmp(name, "total") == 0 ? "syscalls" : name, calls);
    }
    free(text);
    free(said);
    return true;
}

// Only with one thread is the work the same in every run. The least of a few runs: what the C library does by the clock
// comes on top, and more often the busier the machine is.
static bool callgrind(const Diag *diag, const Subject *subject)
{
    StrList argv = {0}, params = list_split(subject->plan->params, ' ');
    int64_t least = 0;
    if (!list_has(&params, "threads=1")) return true;
    add_clean_environment(&argv);
    add_arm(&argv, subject->arm, NULL);
    callgrind_arguments(subject->tool_output, &argv);
    for (int i = 0; i < COUNT_RUNS; i++) {
        char *said;
        if (!run_tool(subject, &argv, &said)) return false;
        int64_t count = callgrind_instructions(subject->tool_output, subject->workload->bin);
        if (count <= 0) hzb_error("diag: valgrind counted no instructions: %s", said);
        free(said);
        if (count <= 0) return false;
        if (i == 0 || count < least) least = count;
    }
    put(diag, subject, "callgrind", "instructions", (double)least);
    return true;
}

static bool diagnose(const Diag *diag, const Subject *subject)
{
    Spread faults = results_spread(&diag->results->runs, subject->plan->cell_id, subject->arm->name, RUN_minflt);
    if (faults.n) put(diag, subject, "rusage", "page-faults", faults.median);
    hzb_note("diag: %s, %s", subject->plan->cell_id, subject->arm->name);
    return (!diag->has_perf || perf(diag, subject)) && (!diag->has_strace || strace(diag, subject)) &&
           (!diag->has_valgrind || callgrind(diag, subject));
}

// The first round has every cell with every arm.
static bool diagnose_all(const Diag *diag)
{
    const Results *results = diag->results;
    for (unsigned i = 0; i < results->plan.count && results->plan.rows[i].round == 1; i++) {
        const PlanRow *plan = &results->plan.rows[i];
        Subject subject = {.plan = plan,
                           .arm = experiment_arm(&results->experiment, plan->allocator),
                           .workload = experiment_workload(&results->experiment, plan->workload),
                           .tool_output = xfmt("%s/tool", diag->work_dir)};
        bool ok = subject.arm->missing || diagnose(diag, &subject);
        free(subject.tool_output);
        if (!ok) return false;
    }
    return true;
}

bool diag_run(const char *dir)
{
    Results results;
    char *path = xfmt("%s/" DIAG_FILE, dir);
    Diag diag = {.results = &results, .work_dir = xstrdup("/tmp/hzb-diag-XXXXXX")};
    if (!results_load(dir, &results)) return false;
    diag.out = fopen(path, "we");
    if (!diag.out || !mkdtemp(diag.work_dir)) {
        hzb_error("%s: %s", diag.out ? diag.work_dir : path, strerror(errno));
        return false;
    }
    diag.has_perf = can_run("perf");
    diag.has_strace = can_run("strace");
    diag.has_valgrind = can_run("valgrind");
    fputs("cell_id,allocator,tool,counter,value\n", diag.out);
    bool ok = diagnose_all(&diag);
    ok = fclose(diag.out) == 0 && ok;
    folder_remove(diag.work_dir);
    free(diag.work_dir);
    free(path);
    return ok;
}
