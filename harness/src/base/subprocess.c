#include "base/subprocess.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"

extern char **environ;

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
