// A control group for the processes of one sample, where the kernel's version 2 has the memory controller and lets us
// make one. Its memory is what a container's limit counts: shared pages once, pages of the kernel, and those of files
// that no other group had read before.
//
// But for the root, the kernel has controllers only below groups without processes of their own. hzb moves out of the
// way where it is alone in its group, as under `systemd-run --scope -p Delegate=yes`; beside a shell there is no group.
#ifndef HZB_CGROUP_H
#define HZB_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Cgroup {
    char *path; // NULL: there is none
} Cgroup;

// The group that `text`, a process's /proc/PID/cgroup, names for version 2, below `root`; NULL: it names none.
char *cgroup_in(const char *text, const char *root);

// Says nothing when there is none to be had. The name is one part of a path.
Cgroup cgroup_open(const char *name);
// The calling process and what it starts from now on. To be called between fork and exec.
void cgroup_enter(const Cgroup *group);
// -1 = unknown: there is no group, or the kernel is older than 5.19.
int64_t cgroup_peak_kib(const Cgroup *group);
// Its processes have ended, or end now.
void cgroup_close(Cgroup *group);

#endif
