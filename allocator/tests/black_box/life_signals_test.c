// What interrupts the program at any instruction: profilers' signals, handlers that jump out, CPUs that change under
// it.
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

#define BUSY_THREADS 4

static timer_t timer_at_1_khz(int signal_number, pid_t tid)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = tid ? SIGEV_THREAD_ID : SIGEV_SIGNAL, .sigev_signo = signal_number};
    event._sigev_un._tid = tid;
    EXPECT(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create");
    const struct itimerspec each_ms = {.it_value = {.tv_nsec = 1000000}, .it_interval = {.tv_nsec = 1000000}};
    EXPECT(timer_settime(timer, 0, &each_ms, NULL) == 0, "timer_settime");
    return timer;
}

static void handle(int signal_number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    EXPECT(sigaction(signal_number, &action, NULL) == 0, "sigaction");
}

// ---- a profiler ----

static atomic_ulong profiled;

static void profile(int signal_number)
{
    (void)signal_number;
    atomic_fetch_add(&profiled, 1);
}

static void sigprof_at_1_khz(const void *arg)
{
    (void)arg;
    enum { SIGNALS = 800 };
    pthread_t threads[BUSY_THREADS];
    handle(SIGPROF, profile, SA_RESTART);
    timer_t timer = timer_at_1_khz(SIGPROF, 0);
    const struct itimerval each_ms = {.it_value = {.tv_usec = 1000}, .it_interval = {.tv_usec = 1000}};
    EXPECT(setitimer(ITIMER_PROF, &each_ms, NULL) == 0, "setitimer");
    busy_threads_start(threads, BUSY_THREADS);
    unsigned long rounds = 0;
    for (; atomic_load(&profiled) < SIGNALS; rounds++)
        heap_exercise(rounds, 20);
    busy_threads_stop(threads, BUSY_THREADS);
    timer_delete(timer);
    child_note("info=%lu signals, %lu rounds", atomic_load(&profiled), rounds);
}

// ---- handlers that jump out of the program's own code; out of malloc nobody may ----

#define JUMPS 200
#define HELD 64

static _Thread_local sigjmp_buf jump_target;
static _Thread_local volatile sig_atomic_t may_jump;

static void jump_out(int signal_number)
{
    (void)signal_number;
    if (!may_jump) return;
    may_jump = 0;
    siglongjmp(jump_target, 1);
}

static size_t held_size(size_t i, size_t round)
{
    static const size_t sizes[] = {16, 100, 700, 3000, 8000, 30000, 100000};
    return sizes[(i + round) % COUNT_OF(sizes)];
}

// Looks at the blocks until a signal takes it out of here, wherever it is.
static void look_until_jump(void *const blocks[HELD], size_t round)
{
    if (sigsetjmp(jump_target, 1) != 0) return;
    may_jump = 1;
    for (size_t i = 0;; i = (i + 1) % HELD) {
        size_t size = held_size(i, round);
        if (pattern_mismatch(blocks[i], size, i) == size) continue;
        may_jump = 0;
        EXPECT(false, "block %zu of round %zu changed", i, round);
    }
}

static void *jump_in_thread(void *arg)
{
    void *blocks[HELD];
    char *stack = map_pages(64 * KIB);
    const stack_t alternate = {.ss_sp = stack, .ss_size = 64 * KIB};
    if (arg) EXPECT(sigaltstack(&alternate, NULL) == 0, "sigaltstack");
    timer_t timer = timer_at_1_khz(SIGUSR1, (pid_t)syscall(SYS_gettid));
    for (size_t round = 0; round < JUMPS; round++) {
        for (size_t i = 0; i < HELD; i++) {
            blocks[i] = malloc(held_size(i, round));
            EXPECT(blocks[i] != NULL, "malloc");
            pattern_fill(blocks[i], held_size(i, round), i);
        }
        look_until_jump(blocks, round);
        heap_exercise(round, 2);
        for (size_t i = 0; i < HELD; i++)
            free(blocks[i]);
    }
    timer_delete(timer);
    const stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    return NULL;
}

static void handlers_that_jump(const void *arg)
{
    pthread_t threads[BUSY_THREADS];
    handle(SIGUSR1, jump_out, SA_RESTART | (arg ? SA_ONSTACK : 0));
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        EXPECT(pthread_create(&threads[i], NULL, jump_in_thread, (void *)(uintptr_t)arg) == 0, "pthread_create");
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    handle(SIGUSR1, SIG_IGN, 0);
    heap_exercise(1, 40);
}

// ---- threads that are moved from CPU to CPU, and a process that loses all but one ----

static void cpus_change_under_busy_threads(const void *arg)
{
    (void)arg;
    enum { MOVES = 2000 };
    cpu_set_t all;
    size_t cpus[CPU_SETSIZE], n_cpus = 0;
    uint64_t random = 5;
    NEEDS(sched_getaffinity(0, sizeof all, &all) == 0 && CPU_COUNT(&all) > 1, "one CPU");
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all)) cpus[n_cpus++] = cpu;
    }
    pthread_t threads[BUSY_THREADS + 1];
    busy_threads_start(threads, BUSY_THREADS);
    threads[BUSY_THREADS] = pthread_self();
    for (size_t move = 0; move < MOVES; move++) {
        cpu_set_t set = all;
        if (random_next(&random) % 4 != 0) {
            CPU_ZERO(&set);
            CPU_SET(cpus[random_next(&random) % n_cpus], &set);
        }
        pthread_t moved = threads[random_next(&random) % COUNT_OF(threads)];
        EXPECT(pthread_setaffinity_np(moved, sizeof set, &set) == 0, "pthread_setaffinity_np");
        if (move % 20 == 0) heap_exercise(move, 2);
    }
    CPU_ZERO(&all);
    CPU_SET(cpus[n_cpus - 1], &all);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        EXPECT(pthread_setaffinity_np(threads[i], sizeof all, &all) == 0, "pthread_setaffinity_np");
    heap_exercise(3, 40);
    busy_threads_stop(threads, BUSY_THREADS);
}

static const TestCase cases[] = {
    {.name = "sigprof_at_1_khz", .run = sigprof_at_1_khz},
    {.name = "handlers_that_jump", .run = handlers_that_jump},
    {.name = "handlers_that_jump_from_a_stack_of_their_own", .run = handlers_that_jump, .arg = "own stack"},
    {.name = "cpus_change_under_busy_threads", .run = cpus_change_under_busy_threads},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
