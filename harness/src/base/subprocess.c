#include "base/subprocess.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"

extern char **environ;

enum { EXIT_SIGNAL_BASE = 128 };

int command_output(const char *const argv[], StderrUse stderr_use, char **output)
{
    assert(argv[0]);
    int pipe_fds[2];
    size_t length;
    *output = NULL;
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) return -1;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
    if (stderr_use == STDERR_JOINED) posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDERR_FILENO);
    if (stderr_use == STDERR_DROPPED)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid;
    int error = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[1]);
    if (!error) *output = fd_bytes(pipe_fds[0], &length);
    close(pipe_fds[0]);
    if (error) return -1;
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return -1;
    if (!*output || !WIFEXITED(status)) return -1;
    length = strlen(*output);
    if (length && (*output)[length - 1] == '\n') (*output)[length - 1] = 0;
    return WEXITSTATUS(status);
}

static int spawn_group(const char *const argv[], const char *output_path, pid_t *pid)
{
    sigset_t none;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output_path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    int error = posix_spawnp(pid, argv[0], &actions, &attributes, (char *const *)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int command_watched(const char *const argv[], const char *output_path)
{
    sigset_t watched, before;
    pid_t pid;
    int status, code = 0;
    sigemptyset(&watched);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGCHLD);
    sigprocmask(SIG_BLOCK, &watched, &before);
    if (spawn_group(argv, output_path, &pid) != 0) code = -1;
    while (code >= 0 && waitpid(pid, &status, WNOHANG) == 0) {
        int number = sigwaitinfo(&watched, NULL);
        if (number != SIGINT && number != SIGTERM) continue;
        kill(-pid, number);
        code = EXIT_SIGNAL_BASE + number;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (code != 0) return code;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SIGNAL_BASE + WTERMSIG(status);
}

char *sha256_of_file(const char *path)
{
    char *output;
    const char *argv[] = {"sha256sum", "--", path, NULL};
    if (command_output(argv, STDERR_DROPPED, &output) != 0) return NULL;
    // A name with a backslash or a newline makes sha256sum put a backslash first.
    char *digits = output[0] == '\\' ? output + 1 : output;
    if (strspn(digits, "0123456789abcdef") != 64) return NULL;
    digits[64] = 0;
    return digits;
}
