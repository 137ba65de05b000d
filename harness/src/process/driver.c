#include "process/driver.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/host.h"
#include "base/util.h"

enum { MARKS_FD = 3, EXIT_CANNOT_EXEC = 127 };

void driver_none(Driver *driver)
{
    *driver = (Driver){.pidfd = -1, .pipe = -1};
}

static char *script_of(const DriverSpec *spec)
{
    return xfmt("until { %s\n} >/dev/null 2>&1 3>&-; do sleep 0.02; done\n"
                "echo begin >&%d\n{ %s\n} 3>&- || exit\necho end >&%d\n{ %s\n} >%s 3>&-\n",
                spec->ready, MARKS_FD, spec->client, MARKS_FD, spec->check ? spec->check : ":", DRIVER_CHECKED);
}

static void become(const DriverSpec *spec, char *script, int marks, pid_t parent)
{
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(EXIT_CANNOT_EXEC);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    const int log = open(spec->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    unsetenv("LD_PRELOAD");
    setenv("LC_ALL", "C", 1);
    // dup2() would leave the mark to close it on one that has the number already.
    const bool ready = log >= 0 && null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(log, STDOUT_FILENO) >= 0 &&
                       dup2(log, STDERR_FILENO) >= 0 && chdir(spec->work_dir) == 0 &&
                       (marks == MARKS_FD ? fcntl(marks, F_SETFD, 0) : dup2(marks, MARKS_FD)) >= 0;
    if (ready) execl("/bin/sh", "sh", "-c", script, (char *)NULL);
    _exit(EXIT_CANNOT_EXEC);
}

bool driver_start(const DriverSpec *spec, Driver *driver)
{
    int ends[2];
    driver_none(driver);
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        hzb_error("pipe: %s", strerror(errno));
        return false;
    }
    char *script = script_of(spec);
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0) become(spec, script, ends[1], parent);
    free(script);
    close(ends[1]);
    *driver = (Driver){.pid = pid, .pidfd = pid > 0 ? pidfd_open(pid, 0) : -1, .pipe = ends[0]};
    if (pid > 0) setpgid(pid, pid);
    if (driver->pidfd >= 0) return true;
    hzb_error("cannot start the client's shell: %s", strerror(errno));
    driver_kill(driver);
    return false;
}

const char *driver_hear(Driver *driver)
{
    char said[64];
    const ssize_t got = read(driver->pipe, said, sizeof said - 1);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) { // poll would report the end for ever
            close(driver->pipe);
            driver->pipe = -1;
        }
        return NULL;
    }
    said[got] = 0;
    const char *phase = NULL;
    if (strstr(said, "begin")) driver->begin_ns = monotonic_ns(), phase = "client";
    if (strstr(said, "end")) driver->end_ns = monotonic_ns(), phase = "stop";
    return phase;
}

bool driver_reap(Driver *driver)
{
    int status = 0;
    assert(driver->pid > 1);
    while (waitpid(driver->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    driver->pid = 0;
    driver_kill(driver);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void driver_kill(Driver *driver)
{
    if (driver->pid > 1) {
        kill(-driver->pid, SIGKILL);
        while (waitpid(driver->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    if (driver->pidfd >= 0) close(driver->pidfd);
    if (driver->pipe >= 0) close(driver->pipe);
    driver->pid = 0;
    driver->pidfd = driver->pipe = -1;
}
