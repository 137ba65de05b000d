#include "support.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOTE_FD 3
#define DEFAULT_TIMEOUT_S 60
#define ENV_MAX 256

_Thread_local unsigned long expect_count;

static char program_path[PATH_MAX];

// ---- the child's side ----

void child_note(const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    size_t bytes = n < 0 ? 0 : (size_t)n < sizeof line - 2 ? (size_t)n : sizeof line - 2;
    line[bytes] = '\n';
    ssize_t written = write(getenv("TESTS_NOTE_FD") ? NOTE_FD : STDERR_FILENO, line, bytes + 1);
    (void)written;
}

_Noreturn void expect_failed(const char *file, int line, const char *condition, const char *format, ...)
{
    char text[1024];
    int saved_errno = errno;
    int n = snprintf(text, sizeof text, "%s:%d: expected %s: ", file, line, condition);
    va_list args;
    va_start(args, format);
    n += vsnprintf(text + n, sizeof text - (size_t)n, format, args);
    va_end(args);
    n = n < (int)sizeof text ? n : (int)sizeof text - 1;
    n += snprintf(text + n, sizeof text - (size_t)n, " (errno %d)\n", saved_errno);
    ssize_t written = write(STDERR_FILENO, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
    (void)written;
    _exit(1);
}

_Noreturn void case_skip(const char *reason)
{
    child_note("skip=%s", reason);
    _exit(EXIT_SKIPPED);
}

static int run_one_case(const char *name, const TestCase *cases, size_t n_cases)
{
    for (size_t i = 0; i < n_cases; i++) {
        if (strcmp(cases[i].name, name) == 0) {
            cases[i].run(cases[i].arg);
            child_note("checks=%lu", expect_count);
            return 0;
        }
    }
    fprintf(stderr, "%s: no case '%s'\n", program_path, name);
    return 64;
}

// ---- the parent's side ----

static bool env_has_name(const char *entry, const char *other)
{
    size_t name = strcspn(entry, "=") + 1;
    return strncmp(entry, other, name) == 0;
}

static void build_env(const char **env, const char *const *extra)
{
    size_t n = 0;
    for (char **e = environ; *e && n < ENV_MAX - 16; e++) {
        bool replaced = false;
        for (const char *const *x = extra; x && *x; x++) {
            replaced |= env_has_name(*x, *e);
        }
        if (!replaced) env[n++] = *e;
    }
    for (const char *const *x = extra; x && *x && n < ENV_MAX - 2; x++) {
        if ((*x)[strcspn(*x, "=") + 1] != '\0') env[n++] = *x;
    }
    env[n++] = "TESTS_NOTE_FD=3";
    env[n] = NULL;
}

static void limit_set(__rlimit_resource_t resource, rlim_t limit)
{
    if (limit && setrlimit(resource, &(struct rlimit){limit, limit}) != 0) _exit(127);
}

static unsigned limit_s(const ChildOptions *options)
{
    return options->timeout_s ? (unsigned)options->timeout_s : DEFAULT_TIMEOUT_S;
}

// Many threads that spin stretch the patience with them, so that CPU time has a limit, too. A case's own child keeps
// the case's where that is lower.
static void limit_cpu_time(const ChildOptions *options)
{
    rlim_t seconds = 2 * limit_s(options) * (rlim_t)sysconf(_SC_NPROCESSORS_ONLN);
    setrlimit(RLIMIT_CPU, &(struct rlimit){seconds, seconds + 5});
}

static _Noreturn void child_exec(const char *const argv[], const char *const *env, const ChildOptions *options,
                                 const int fds[3])
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    int null_fd = open("/dev/null", O_RDONLY);
    dup2(null_fd, STDIN_FILENO);
    dup2(fds[0], STDOUT_FILENO);
    dup2(fds[1], STDERR_FILENO);
    dup2(fds[2], NOTE_FD);
    limit_set(RLIMIT_DATA, options->data_limit);
    limit_set(RLIMIT_AS, options->as_limit);
    limit_cpu_time(options);
    execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
    _exit(127);
}

typedef struct Capture {
    int fd;
    char *text;
    size_t capacity;
    size_t used;
} Capture;

// Reads what is there; text beyond the capacity is dropped. False at the end of the stream.
static bool capture_read(Capture *capture)
{
    char chunk[4096];
    ssize_t n = read(capture->fd, chunk, sizeof chunk);
    if (n <= 0) return n < 0 && (errno == EINTR || errno == EAGAIN);
    size_t room = capture->capacity - 1 - capture->used;
    size_t kept = (size_t)n < room ? (size_t)n : room;
    memcpy(capture->text + capture->used, chunk, kept);
    capture->used += kept;
    capture->text[capture->used] = '\0';
    return true;
}

// Until the child has ended, its group is killed and its pipes are drained. A grandchild that has left the group may
// keep a pipe open: then the end of the pipe does not count.
static void child_watch(pid_t pid, Capture captures[3], unsigned seconds, ChildResult *result)
{
    bool ended = false;
    Patience patience = patience_of_ms(seconds * 1000);
    while (true) {
        struct pollfd fds[3];
        int open_fds = 0;
        for (int i = 0; i < 3; i++) {
            fds[i] = (struct pollfd){.fd = captures[i].fd, .events = POLLIN};
            open_fds += captures[i].fd >= 0;
        }
        int ready = poll(fds, 3, ended ? 0 : open_fds ? 20 : 1);
        for (int i = 0; i < 3 && ready > 0; i++) {
            if (fds[i].fd >= 0 && fds[i].revents && !capture_read(&captures[i])) captures[i].fd = -1;
        }
        if (ready <= 0 && ended) break;
        if (!ended && waitpid(pid, &result->status, WNOHANG) == pid) {
            ended = true;
            kill(-pid, SIGKILL); // before the pipes are drained, which a grandchild may fill on and on
        }
        if (!ended && !result->timed_out && !patience_lasts(&patience)) {
            result->timed_out = true;
            kill(-pid, SIGKILL);
        }
    }
    result->timed_out |= WIFSIGNALED(result->status) && WTERMSIG(result->status) == SIGXCPU;
}

void child_run(const char *const argv[], const ChildOptions *options, ChildResult *result)
{
    static const ChildOptions defaults;
    options = options ? options : &defaults;
    *result = (ChildResult){0};
    const char *env[ENV_MAX];
    build_env(env, options->env);
    int pipes[3][2];
    for (int i = 0; i < 3; i++) {
        EXPECT(pipe2(pipes[i], O_CLOEXEC) == 0, "pipe for a child");
        // Above the fds that the child overwrites.
        for (int end = 0; end < 2; end++) {
            int high = fcntl(pipes[i][end], F_DUPFD_CLOEXEC, 10);
            close(pipes[i][end]);
            pipes[i][end] = high;
        }
    }
    pid_t pid = fork();
    EXPECT(pid >= 0, "fork of a child");
    if (pid == 0) child_exec(argv, env, options, (int[3]){pipes[0][1], pipes[1][1], pipes[2][1]});
    setpgid(pid, pid);
    for (int i = 0; i < 3; i++)
        close(pipes[i][1]);
    Capture captures[3] = {{pipes[0][0], result->out, sizeof result->out, 0},
                           {pipes[1][0], result->err, sizeof result->err, 0},
                           {pipes[2][0], result->note, sizeof result->note, 0}};
    child_watch(pid, captures, limit_s(options), result);
    for (int i = 0; i < 3; i++)
        close(pipes[i][0]);
}

void child_run_case(const char *name, const ChildOptions *options)
{
    static ChildResult result;
    child_run((const char *const[]){program_path, "--case", name, NULL}, options, &result);
    const char *skip = strstr(result.note, "skip=");
    if (WIFEXITED(result.status) && WEXITSTATUS(result.status) == EXIT_SKIPPED && skip) case_skip(skip + 5);
    EXPECT(!result.timed_out && result.status == 0, "helper %s: %s, wait status 0x%x, note '%s', stderr '%s'", name,
           result.timed_out ? "timed out" : "ended", (unsigned)result.status, result.note, result.err);
}

static void judge_exit_0(const ChildResult *result, char *why, size_t why_bytes)
{
    if (WIFSIGNALED(result->status)) {
        snprintf(why, why_bytes, "killed by signal %d (%s)", WTERMSIG(result->status),
                 strsignal(WTERMSIG(result->status)));
    } else if (WEXITSTATUS(result->status) != 0) {
        snprintf(why, why_bytes, "exit status %d", WEXITSTATUS(result->status));
    }
}

static void print_comment(const char *label, const char *text)
{
    while (*text) {
        size_t line = strcspn(text, "\n");
        printf("#   %s: %.*s\n", label, (int)line, text);
        text += line + (text[line] == '\n');
    }
}

// Returns whether the case passed; adds the checks that its child counted.
static bool report_case(size_t number, const TestCase *test, unsigned long *checks)
{
    static ChildResult result;
    char why[512] = "";
    child_run((const char *const[]){program_path, "--case", test->name, NULL}, &test->child, &result);
    bool skipped = WIFEXITED(result.status) && WEXITSTATUS(result.status) == EXIT_SKIPPED;
    const char *skip = strstr(result.note, "skip=");
    if (result.timed_out) {
        snprintf(why, sizeof why, "did not end in time");
    } else if (skipped && skip) {
        printf("ok %zu - %s # SKIP %.*s\n", number, test->name, (int)strcspn(skip + 5, "\n"), skip + 5);
        return true;
    } else if (test->judge) {
        test->judge(&result, test->arg, why, sizeof why);
    } else {
        judge_exit_0(&result, why, sizeof why);
    }
    printf("%sok %zu - %s\n", why[0] ? "not " : "", number, test->name);
    for (const char *info = strstr(result.note, "info="); info; info = strstr(info + 1, "info=")) {
        printf("#   %.*s\n", (int)strcspn(info + 5, "\n"), info + 5);
    }
    const char *counted = strstr(result.note, "checks=");
    *checks += counted ? strtoul(counted + 7, NULL, 10) : 1;
    if (why[0]) {
        printf("#   %s\n", why);
        print_comment("stderr", result.err);
        print_comment("stdout", result.out);
        print_comment("note", result.note);
    }
    return why[0] == '\0';
}

// A mistyped LD_PRELOAD runs glibc with exit code 0; these tests are about hz3 unless told otherwise.
static bool hz3_is_loaded(void)
{
    Dl_info info;
    void *found = dlsym(RTLD_DEFAULT, "malloc");
    return found && dladdr(found, &info) && strstr(info.dli_fname, "hakozuna");
}

int tests_main(int argc, char **argv, const TestCase *cases, size_t n_cases)
{
    ssize_t length = readlink("/proc/self/exe", program_path, sizeof program_path - 1);
    if (length <= 0) return 70;
    if (argc == 3 && strcmp(argv[1], "--case") == 0) return run_one_case(argv[2], cases, n_cases);
    const char *wanted = argc > 1 ? argv[1] : "";
    size_t planned = 1;
    for (size_t i = 0; i < n_cases; i++)
        planned += !cases[i].helper && strstr(cases[i].name, wanted);
    if (*wanted && planned == 1) {
        fprintf(stderr, "%s: no case has '%s' in its name\n", program_path, wanted);
        return 64;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%zu\n", planned);
    bool other_allowed = getenv("TESTS_ANY_MALLOC") != NULL;
    bool all_passed = hz3_is_loaded() || other_allowed;
    printf("%sok 1 - hz3_is_loaded%s\n", all_passed ? "" : "not ", other_allowed ? " # SKIP TESTS_ANY_MALLOC set" : "");
    size_t number = 1;
    unsigned long checks = 0;
    for (size_t i = 0; i < n_cases; i++) {
        if (cases[i].helper || !strstr(cases[i].name, wanted)) continue;
        all_passed &= report_case(++number, &cases[i], &checks);
    }
    printf("# %lu checks\n", checks);
    return all_passed ? 0 : 1;
}
