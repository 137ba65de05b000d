#include "fault_run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

const char *build_path(const char *format, const char *name)
{
    char *path = malloc(4096);
    const char *build = getenv("BUILD") ? getenv("BUILD") : "build";
    int n = snprintf(path, 4096, format, build, name);
    EXPECT(n > 0 && n < 4096, "path");
    return path;
}

static void read_note(const char *note, RunResult *result)
{
    for (const char *at = strstr(note, "held="); at && result->n_held < 2; at = strstr(at + 1, "held=")) {
        Held *held = &result->held[result->n_held];
        if (sscanf(at, "held=%zu,%zu,%zu,%zu", &held->used, &held->mappings, &held->address_kib, &held->resident_kib) ==
            4)
            result->n_held++;
    }
    const char *refused = strstr(note, "refused=");
    if (refused) result->refused = strtoul(refused + 8, NULL, 10);
}

void run_workload(const char *const *env, const char *argument, RunResult *result)
{
    static ChildResult child;
    static const char *program;
    if (!program) program = build_path("%s/tests/%s", "fault_workload");
    *result = (RunResult){0};
    child_run((const char *const[]){program, argument, NULL}, &(ChildOptions){.env = env, .timeout_s = RUN_TIMEOUT_S},
              &child);
    read_note(child.note, result);
    result->skipped = WIFEXITED(child.status) && WEXITSTATUS(child.status) == EXIT_SKIPPED;
    if (child.timed_out) {
        snprintf(result->why, sizeof result->why, "did not end in time; stderr '%.300s'", child.err);
    } else if (WIFSIGNALED(child.status)) {
        snprintf(result->why, sizeof result->why, "killed by signal %d; stderr '%.300s'", WTERMSIG(child.status),
                 child.err);
    } else if (child.status != 0 && !result->skipped) {
        snprintf(result->why, sizeof result->why, "exit status %d; stderr '%.400s'", WEXITSTATUS(child.status),
                 child.err);
    }
}

void judge_refusals(RunResult *result)
{
    if (result->refused == 0 || result->why[0]) return;
    snprintf(result->why, sizeof result->why, "%zu allocations were refused for no need", result->refused);
}
