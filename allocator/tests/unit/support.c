#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MAX 32

// Whether it is so.
static bool set_entry(const char *entry)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(entry, "="), entry);
    const char *wanted = strchr(entry, '=') + 1;
    const char *is = getenv(name);
    bool was_set = is != NULL && strcmp(is, wanted) == 0;
    if (!was_set) {
        setenv(name, wanted, 1);
    }
    return was_set;
}

// Shards of one node help each other, which most tests count on, whatever machine this is.
void unit_need_env(char **argv, const char *const *env)
{
    bool is_complete = getenv("HZ3_NODES") != NULL || set_entry("HZ3_NODES=1");
    for (size_t i = 0; env[i] != NULL; i++) {
        is_complete = set_entry(env[i]) && is_complete;
    }
    if (!is_complete) {
        execv("/proc/self/exe", argv);
        perror("execv /proc/self/exe");
        exit(1);
    }
}

static Patience watchdog;

static void on_tick(int number)
{
    int saved_errno = errno;
    if (patience_lasts(&watchdog)) {
        alarm(1);
    } else {
        signal(number, SIG_DFL);
        raise(number);
    }
    errno = saved_errno;
}

void unit_watchdog(unsigned seconds)
{
    watchdog = patience_of_ms(seconds * 1000);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_tick, .sa_flags = SA_RESTART}, NULL);
    alarm(1);
}

uint64_t unit_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

uint32_t unit_random_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)((unit_random(state) >> 32) * n >> 32);
}

static _Noreturn void run_child(void (*body)(void *), void *arg, int stderr_fd)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    static const int caught_by_cmocka[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    for (size_t i = 0; i < COUNT_OF(caught_by_cmocka); i++) {
        signal(caught_by_cmocka[i], SIG_DFL);
    }
    unit_watchdog(10);
    dup2(stderr_fd, STDERR_FILENO);
    body(arg);
    _exit(0);
}

void unit_expect_abort(void (*body)(void *), void *arg, const char *message)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        run_child(body, arg, fds[1]);
    }
    close(fds[1]);
    char text[2048];
    size_t bytes = 0;
    for (ssize_t n; (n = read(fds[0], text + bytes, sizeof text - 1 - bytes)) > 0;) {
        bytes += (size_t)n;
    }
    text[bytes] = '\0';
    close(fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) {
        fail_msg("expected abort() with \"%s\", got status 0x%x and \"%s\"", message, (unsigned)status, text);
    }
    if (strstr(text, message) == NULL) {
        fail_msg("expected the message \"%s\", got \"%s\"", message, text);
    }
}

// --- threads -----------------------------------------------------------------------------------------------------

static struct {
    pthread_barrier_t start;
    UnitWorker *worker;
    void *arg;
    atomic_flag has_message;
    _Atomic bool has_failed; // after the message is complete
    char message[256];
} crew = {.has_message = ATOMIC_FLAG_INIT};

static void *thread_main(void *index)
{
    pthread_barrier_wait(&crew.start);
    crew.worker((uint32_t)(uintptr_t)index, crew.arg);
    return NULL;
}

void unit_run_threads(uint32_t n, UnitWorker *worker, void *arg)
{
    pthread_t threads[THREADS_MAX];
    assert_true(n <= THREADS_MAX);
    crew.worker = worker;
    crew.arg = arg;
    pthread_barrier_init(&crew.start, NULL, n);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, (void *)(uintptr_t)i), 0);
    }
    for (uint32_t i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&crew.start);
    if (unit_has_failed()) {
        fail_msg("%s", crew.message);
    }
}

_Noreturn void unit_fail(const char *format, ...)
{
    if (!atomic_flag_test_and_set(&crew.has_message)) {
        va_list args;
        va_start(args, format);
        vsnprintf(crew.message, sizeof crew.message, format, args);
        va_end(args);
        atomic_store(&crew.has_failed, true);
    }
    pthread_exit(NULL);
}

bool unit_has_failed(void)
{
    return atomic_load(&crew.has_failed);
}
