// The lanes as they are shipped, in a process to which one system call is refused: from before the first allocation on,
// or later. FAULTS_STRIDE=n takes every n-th case.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault_run.h"

#define STRIDE_DEFAULT 29
#define MOMENTS 4 // 0: from the start; the others as the workload counts them
#define ERRORS_MAX 2

typedef struct Refusal {
    const char *name;
    int number;
    int errors[ERRORS_MAX];
} Refusal;

#define REFUSAL(call, ...)                                                                                             \
    {                                                                                                                  \
#call, SYS_##call,                                                                                             \
        {                                                                                                              \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
static const Refusal refusals[] = {
    REFUSAL(mmap, ENOMEM, EPERM),
    REFUSAL(munmap, ENOMEM, EINVAL),
    REFUSAL(mprotect, ENOMEM, EACCES),
    REFUSAL(mremap, ENOMEM, ENOSYS),
    REFUSAL(madvise, EINVAL, EAGAIN),
    REFUSAL(process_madvise, ENOSYS, EPERM),
    REFUSAL(membarrier, ENOSYS, EPERM),
    REFUSAL(futex, ENOSYS, EPERM),
    REFUSAL(clone3, EAGAIN, EPERM),
    REFUSAL(sched_getaffinity, EINVAL, EPERM),
    REFUSAL(getcpu, ENOSYS, EPERM),
    REFUSAL(sched_yield, ENOSYS, EPERM),
    REFUSAL(sysinfo, ENOSYS, EPERM),
    REFUSAL(prlimit64, EPERM, ENOSYS),
    REFUSAL(openat, EMFILE, EACCES),
    REFUSAL(fallocate, ENOSPC, EFBIG),
    REFUSAL(close, EIO, EINTR),
    REFUSAL(prctl, EPERM, EINVAL),
    REFUSAL(gettid, ENOSYS, EPERM),
    REFUSAL(clock_nanosleep, ENOSYS, EPERM),
    REFUSAL(rt_sigprocmask, EPERM, EINVAL),
};
static const char *const lanes[] = {"scale", "fast"};
static const char *const moments[MOMENTS] = {"from the start", "after warm-up", "between bursts", "beside threads"};

static unsigned long cases, failed, skipped;
static char stats_file[64];

static void run_case(const char *lane, const Refusal *refusal, int error, int moment)
{
    static RunResult result;
    char preload[8192], forbid[64], argument[64];
    snprintf(preload, sizeof preload, "%s %s", build_path("LD_PRELOAD=%s/libhakozuna_hz3_%s.so", lane),
             build_path("%s/tests/%s", "fault_forbid_plugin.so"));
    snprintf(forbid, sizeof forbid, "FAULT_FORBID=%d:%d", refusal->number, error);
    snprintf(argument, sizeof argument, "--forbid=%d:%d:%d", refusal->number, error, moment);
    const char *env[] = {preload,
                         moment == 0 ? forbid : "FAULT_FORBID=",
                         "HZ3_EPOCH_TICK_MS=1",
                         "HZ3_PURGER_START=256K",
                         "HZ3_MAPPED_CACHE_BYTES=24M",
                         "HZ3_ARENA_SIZE=16M",
                         stats_file,
                         NULL};
    remove(strchr(stats_file, '/'));
    run_workload(env, argument, &result);
    if (refusal->number != SYS_mmap) judge_refusals(&result);
    cases++;
    skipped += result.skipped;
    if (!result.why[0]) return;
    failed++;
    printf("#   %s: %s fails with %s %s: %s\n", lane, refusal->name, strerrorname_np(error), moments[moment],
           result.why);
}

static void run_lane(const char *lane, unsigned long every)
{
    static unsigned long number;
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        for (int moment = 0; moment < MOMENTS; moment++) {
            for (int e = 0; e < ERRORS_MAX; e++) {
                if (number++ % every == 0) run_case(lane, &refusals[i], refusals[i].errors[e], moment);
            }
        }
    }
}

int main(void)
{
    const char *stride = getenv("FAULTS_STRIDE");
    unsigned long every = stride && strtoul(stride, NULL, 10) != 0 ? strtoul(stride, NULL, 10) : STRIDE_DEFAULT;
    snprintf(stats_file, sizeof stats_file, "HZ3_STATS_FILE=/tmp/hz3_fault_stats.%d", (int)getpid());
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%zu\n", COUNT_OF(lanes));
    unsigned long before = 0;
    for (size_t i = 0; i < COUNT_OF(lanes); i++) {
        unsigned long failed_before = failed;
        before = cases;
        run_lane(lanes[i], every);
        bool ok = failed == failed_before && (every > 1 || cases - before >= 65);
        printf("%sok %zu - lane %s: %lu cases, %lu failures%s\n", ok ? "" : "not ", i + 1, lanes[i], cases - before,
               failed - failed_before, skipped == cases ? " # SKIP no seccomp here" : "");
    }
    remove(strchr(stats_file, '/'));
    return failed == 0 ? 0 : 1;
}
