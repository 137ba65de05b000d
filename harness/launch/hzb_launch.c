// Starts a program that knows nothing of hzb, waits for it and reports what it used.
//
//     hzb-launch FD [NAME=VALUE...] -- PROGRAM [ARGUMENT...]
//
// It is a program of its own, and a small one, as the kernel's high-water mark of a new process begins with what its
// parent had. The variables are set for the program alone, so that no allocator is preloaded here. Processes that the
// program leaves become this one's children, and their time counts once they have ended. The report goes to FD:
//
//     HZBEND status=<as of wait> wall_ns= user_us= sys_us= maxrss_kib= minflt= majflt= nvcsw= nivcsw=
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_USAGE = 64, EXIT_CANNOT_EXEC = 127 };

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static long long micros(struct timeval time)
{
    return (long long)time.tv_sec * 1000000 + time.tv_usec;
}

static void become(char **assignments, char **program)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTERM, SIG_DFL);
    for (; assignments < program - 1; assignments++)
        putenv(*assignments);
    execvp(program[0], program);
    dprintf(STDERR_FILENO, "hzb-launch: cannot start %s: %s\n", program[0], strerror(errno));
    _exit(EXIT_CANNOT_EXEC);
}

int main(int argc, char **argv)
{
    int program = 2;
    while (program < argc && strcmp(argv[program], "--") != 0)
        program++;
    const int fd = argc > 2 ? atoi(argv[1]) : -1;
    if (++program >= argc || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        dprintf(STDERR_FILENO, "usage: hzb-launch FD [NAME=VALUE...] -- PROGRAM [ARGUMENT...]\n");
        return EXIT_USAGE;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGTERM, SIG_IGN); // it is sent to the whole group to end a server
    const uint64_t start_ns = now_ns();
    const pid_t pid = fork();
    if (pid == 0) become(argv + 2, argv + program);
    int status = 0, other;
    struct rusage used;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    const uint64_t wall_ns = now_ns() - start_ns;
    while (waitpid(-1, &other, WNOHANG) > 0)
        continue;
    getrusage(RUSAGE_CHILDREN, &used);
    dprintf(fd,
            "HZBEND status=%d wall_ns=%llu user_us=%lld sys_us=%lld maxrss_kib=%ld minflt=%ld majflt=%ld nvcsw=%ld "
            "nivcsw=%ld\n",
            status, (unsigned long long)wall_ns, micros(used.ru_utime), micros(used.ru_stime), used.ru_maxrss,
            used.ru_minflt, used.ru_majflt, used.ru_nvcsw, used.ru_nivcsw);
    return 0;
}
