#include "process/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/callgrind.h"
#include "base/files.h"

enum { EXIT_CANNOT_EXEC = 127 };

static char *fill_in(const char *template, const StrList *values)
{
    char *text = xstrdup("");
    while (*template) {
        size_t plain = strcspn(template, "{");
        char *next = xfmt("%s%.*s", text, (int)plain, template);
        free(text);
        text = next;
        template += plain;
        if (!*template) break;
        size_t length = strcspn(template, "}");
        char *key = xfmt("%.*s", (int)length - 1, template + 1);
        const char *value = pairs_find(values, key);
        next = xfmt("%s%s", text, value ? value : "");
        free(text);
        free(key);
        text = next;
        template += length + 1;
    }
    return text;
}

static StrList placeholders(const Workload *workload, const PlanRow *plan)
{
    StrList values = list_split(plan->params, ' ');
    char *seed = xfmt("seed=%" PRIu64, plan->seed);
    list_add(&values, seed);
    free(seed);
    if (!workload->program) return values;
    char *inputs = xfmt("inputs=%s", workload->program->inputs);
    list_add(&values, inputs);
    free(inputs);
    return values;
}

char *child_fill_in(const char *text, const Workload *workload, const PlanRow *plan)
{
    StrList values = placeholders(workload, plan);
    char *filled = fill_in(text, &values);
    list_free(&values);
    return filled;
}

StrList child_arguments(const Workload *workload, const PlanRow *plan)
{
    StrList arguments = {0};
    list_add(&arguments, workload->bin);
    for (unsigned i = 0; i < workload->argv.count; i++) {
        char *argument = child_fill_in(workload->argv.items[i], workload, plan);
        if (*argument) list_add(&arguments, argument);
        free(argument);
    }
    return arguments;
}

static void add_all(StrList *list, const StrList *more)
{
    for (unsigned i = 0; i < more->count; i++)
        list_add(list, more->items[i]);
}

static void set(StrList *environment, const char *name, const char *value)
{
    if (!value) return;
    char *entry = xfmt("%s=%s", name, value);
    pairs_set(environment, entry);
    free(entry);
}

// What is the allocator's affair.
static void set_arm(const ChildSpec *spec, StrList *environment)
{
    for (unsigned i = 0; i < spec->arm->env.count; i++)
        pairs_set(environment, spec->arm->env.items[i]);
    set(environment, "LD_PRELOAD", spec->arm->preload);
    if (spec->arm->stats_file_env) set(environment, spec->arm->stats_file_env, spec->stats_path);
}

// A program is started by a small one, which sets the allocator's variables for it alone.
static void add_launcher(const ChildSpec *spec, int socket_fd, StrList *whole)
{
    StrList of_arm = {0};
    char *launcher = xfmt("%s/hzb-launch", program_dir()), *fd = xfmt("%d", socket_fd);
    set_arm(spec, &of_arm);
    list_add(whole, launcher);
    list_add(whole, fd);
    add_all(whole, &of_arm);
    list_add(whole, "--");
    free(launcher);
    free(fd);
    list_free(&of_arm);
}

static StrList command_line(const ChildSpec *spec, int socket_fd)
{
    StrList program = child_arguments(spec->workload, spec->plan), whole = {0};
    if (spec->workload->program) add_launcher(spec, socket_fd, &whole);
    if (spec->count_path) callgrind_arguments(spec->count_path, &whole);
    add_all(&whole, &program);
    list_free(&program);
    return whole;
}

StrList child_environment(const ChildSpec *spec, int socket_fd, int live_fd)
{
    static const char *const kept[] = {"PATH", "HOME", "TMPDIR"};
    StrList environment = {0};
    char number[16];
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        set(&environment, kept[i], getenv(kept[i]));
    set(&environment, "LC_ALL", "C");
    if (!spec->workload->program) {
        set_arm(spec, &environment);
        snprintf(number, sizeof number, "%d", socket_fd);
        set(&environment, "HZB_FD", number);
        snprintf(number, sizeof number, "%d", live_fd);
        set(&environment, "HZB_LIVE_FD", number);
    }
    char *pad = xfmt("%0*d", (int)spec->plan->env_pad_bytes + 1, 0);
    set(&environment, "HZB_PAD", pad);
    free(pad);
    return environment;
}

static void keep_over_exec(int fd)
{
    fcntl(fd, F_SETFD, 0);
}

static int open_onto(const char *path, int flags, int fd)
{
    int opened = open(path, flags | O_CLOEXEC, 0644);
    return opened == fd ? fcntl(fd, F_SETFD, 0) : opened < 0 ? -1 : dup2(opened, fd);
}

// An allocator may keep memory by CPU: a thread that is moved in between would take other ways, and other counts.
static void stay_on_one_cpu(void)
{
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all) != 0) return;
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

// In the child, between fork and exec.
static void become(const ChildSpec *spec, char *const argv[], char *const envp[], int socket_fd, int live_fd,
                   pid_t parent)
{
    const struct rlimit no_core = {0, 0};
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(EXIT_CANNOT_EXEC); // hzb was killed before the line above
    cgroup_enter(spec->group);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL); // which hzb ignores
    setrlimit(RLIMIT_CORE, &no_core);
    bool ready = open_onto(spec->stdin_path ? spec->stdin_path : "/dev/null", O_RDONLY, STDIN_FILENO) >= 0 &&
                 open_onto(spec->out_path, O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO) >= 0 &&
                 open_onto(spec->err_path, O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO) >= 0 &&
                 chdir(spec->run_dir ? spec->run_dir : spec->work_dir) == 0;
    keep_over_exec(socket_fd);
    if (!spec->workload->program) keep_over_exec(live_fd);
    if (spec->count_path) stay_on_one_cpu();
    if (ready) execvpe(argv[0], argv, envp);
    dprintf(STDERR_FILENO, "hzb: cannot start %s: %s\n", argv[0], strerror(errno));
    _exit(EXIT_CANNOT_EXEC);
}

static char **null_terminated(StrList *list)
{
    list->items = xrealloc(list->items, list->count + 1, sizeof *list->items);
    list->items[list->count] = NULL;
    return list->items;
}

bool child_start(const ChildSpec *spec, const LivePage *live, Child *child)
{
    assert(spec->arm && spec->workload && live->fd >= 0);
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        hzb_error("socketpair: %s", strerror(errno));
        return false;
    }
    StrList arguments = command_line(spec, ends[1]);
    StrList environment = child_environment(spec, ends[1], live->fd);
    pid_t parent = getpid();
    *child = (Child){.pid = fork(), .pidfd = -1, .socket = ends[0]};
    if (child->pid == 0)
        become(spec, null_terminated(&arguments), null_terminated(&environment), ends[1], live->fd, parent);
    close(ends[1]);
    list_free(&arguments);
    list_free(&environment);
    if (child->pid > 0) {
        setpgid(child->pid, child->pid); // in both, so that a kill of the group works from now on
        child->pidfd = pidfd_open(child->pid, 0);
    }
    if (child->pidfd >= 0) return true;
    hzb_error("cannot start a process: %s", strerror(errno));
    if (child->pid > 0) child_kill_group(child);
    close(ends[0]);
    return false;
}

void child_kill_group(const Child *child)
{
    assert(child->pid > 1); // kill(-1) is every process there is
    kill(-child->pid, SIGKILL);
}

void child_close(Child *child)
{
    close(child->pidfd);
    if (child->socket >= 0) close(child->socket);
}
