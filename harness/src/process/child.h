// Starts a measured process: its own group, a clean environment, and nothing of hzb's but what the protocol needs.
#ifndef HZB_CHILD_H
#define HZB_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "config/experiment.h"
#include "plan/plan.h"
#include "process/cgroup.h"
#include "process/livepage.h"

typedef struct ChildSpec {
    const Arm *arm;
    const Workload *workload;
    const PlanRow *plan;
    const char *stats_path; // for the arm's stats_file_env
    const char *work_dir;
    const char *out_path;
    const char *err_path;
    const char *count_path; // where instructions are counted to; NULL = they are not
    const char *run_dir;    // of a program: its own folder, empty;
    const char *stdin_path; // and its input, or NULL
    const Cgroup *group;    // that it and its children belong to
} ChildSpec;

typedef struct Child {
    pid_t pid;
    int pidfd;
    int socket; // hzb's end
} Child;

// Fills {placeholders} of the workload's arguments from the parameters and the seed; argv[0] is the program. One that
// comes out empty is left out, so that a parameter can be a whole option.
StrList child_arguments(const Workload *workload, const PlanRow *plan);
// PATH, HOME, TMPDIR, LC_ALL=C, the arm's variables and the protocol's. LD_PRELOAD is never hzb's own.
StrList child_environment(const ChildSpec *spec, int socket_fd, int live_fd);

// {placeholders} of any text of a workload, which are also `inputs` of a program.
char *child_fill_in(const char *text, const Workload *workload, const PlanRow *plan);

// Says what is wrong and returns false.
bool child_start(const ChildSpec *spec, const LivePage *live, Child *child);
// Kills the whole group; the leader must not be reaped yet, or the number could be another group's.
void child_kill_group(const Child *child);
void child_close(Child *child);

#endif
