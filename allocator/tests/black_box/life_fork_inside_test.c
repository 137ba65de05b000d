// fork from inside malloc and free: in a signal handler that interrupted them, and after each instruction that locks.
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "support.h"

#define BUSY_THREADS 4

// ---- fork inside a signal handler that interrupted malloc ----

static volatile sig_atomic_t in_forked_child;
static volatile sig_atomic_t forks_made;
static volatile sig_atomic_t forks_wanted;

// Not beyond the count: that child would return to code which joins threads that only its parent has.
static void fork_in_handler(int signal_number)
{
    (void)signal_number;
    if (forks_made >= forks_wanted) return;
    int saved_errno = errno;
    pid_t pid = in_forked_child ? 0 : fork();
    if (pid < 0) _exit(3);
    if (pid == 0) {
        in_forked_child = 1;
    } else {
        forks_made++;
        int status;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        if (status != 0) _exit(4);
    }
    errno = saved_errno;
}

// The child returns from the handler into the interrupted call, finishes it, and then works on.
static void child_of_handler_goes_on(void)
{
    in_forked_child = 2;
    heap_exercise(5, 20);
    malloc_trim(0);
    heap_exercise(6, 20);
    _exit(0);
}

static void churn_until_forked(void)
{
    enum { BLOCKS = 600 };
    static void *blocks[BLOCKS];
    uint64_t random = 11;
    while (forks_made < forks_wanted) {
        size_t i = random_next(&random) % BLOCKS;
        free(blocks[i]);
        blocks[i] = malloc(random_size(&random, 60 * KIB));
        if (!blocks[i]) _exit(5);
        if (in_forked_child == 1) child_of_handler_goes_on();
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

static void fork_in_signal_handler(const void *arg)
{
    size_t n_threads = (size_t)(uintptr_t)arg;
    pthread_t threads[BUSY_THREADS];
    forks_wanted = 80;
    struct sigaction action = {.sa_handler = fork_in_handler, .sa_flags = SA_RESTART};
    sigaction(SIGPROF, &action, NULL);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGPROF);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    busy_threads_start(threads, n_threads);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF};
    EXPECT(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0, "timer_create");
    // An odd period, so that the interrupted places differ.
    struct itimerspec period = {.it_interval = {0, 311000}, .it_value = {0, 311000}};
    timer_settime(timer, 0, &period, NULL);
    churn_until_forked();
    timer_delete(timer);
    busy_threads_stop(threads, n_threads);
}

// ---- fork after each instruction that locks the bus, and once more in the child ----

#ifdef __x86_64__
#define TRAP_FLAG 0x100
static volatile sig_atomic_t stepping_forks;
static volatile sig_atomic_t steps;
static int forks_per_window;
static bool dawdle;                // lets other threads run into the lock that this one holds
static _Atomic bool child_at_work; // others leave the CPUs to it

static bool is_locked_instruction(const unsigned char *code)
{
    bool locked = false;
    for (int i = 0; i < 4; i++, code++) {
        if (*code == 0xf0) {
            locked = true;
        } else if (*code != 0x66 && *code != 0xf2 && *code != 0xf3) {
            break;
        }
    }
    if ((*code & 0xf0) == 0x40) code++; // REX
    // xchg with memory locks without the prefix
    return locked || ((code[0] == 0x86 || code[0] == 0x87) && (code[1] & 0xc0) != 0xc0);
}

static void step_handler(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    (void)info;
    static bool last_was_locked;
    static uintptr_t last_place;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    uintptr_t place = (uintptr_t)registers[REG_RIP];
    bool fork_now = last_was_locked;
    last_was_locked = is_locked_instruction((const unsigned char *)place);
    steps++;
    // A spinning lock would otherwise fork at each turn.
    if (!fork_now || last_place == place) return;
    last_place = place;
    int saved_errno = errno;
    if (dawdle && !in_forked_child) nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
    pid_t pid = fork();
    if (pid < 0) _exit(3);
    if (pid == 0) {
        // A child of the first generation forks once more, at the next such instruction.
        if (in_forked_child) registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
        forks_per_window = in_forked_child ? 0 : stepping_forks + 1;
        in_forked_child = 1;
    } else {
        stepping_forks++;
        child_at_work = true;
        int status;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        if (status != 0) {
            child_note("info=the child forked at %p ended with wait status 0x%x", (void *)place, (unsigned)status);
            _exit(4);
        }
        child_at_work = false;
        if (stepping_forks >= forks_per_window) registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    }
    errno = saved_errno;
}

static void trap_flag_set(void)
{
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
}

static void trap_flag_clear(void)
{
    __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
}

static void small_refill_and_flush(void)
{
    void *blocks[300];
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        blocks[i] = malloc(200);
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        free(blocks[i]);
}
static void medium_refill_and_flush(void)
{
    void *blocks[60];
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        blocks[i] = malloc(20000);
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        free(blocks[i]);
}
static void large_and_mapped(void)
{
    for (size_t i = 0; i < 4; i++) {
        void *large = malloc(100000 * (i + 1));
        void *mapped = malloc(2 * MIB * (i + 1));
        mapped = realloc(mapped, 5 * MIB);
        free(large);
        free(mapped);
    }
}
static void trim(void)
{
    small_refill_and_flush();
    malloc_trim(0);
}

// Blocks of another thread, and others that refill and flush the same class all the time.
static void *remote_blocks[800];
static _Atomic bool remote_stop;

static void *allocate_remote(void *arg)
{
    run_on_cpu(1);
    for (size_t i = 0; i < COUNT_OF(remote_blocks); i++)
        remote_blocks[i] = malloc(200);
    return arg;
}
static void *churn_same_class(void *arg)
{
    enum { BLOCKS = 3000 };
    run_on_cpu(1);
    void **blocks = map_pages(BLOCKS * sizeof *blocks);
    while (!remote_stop) {
        if (child_at_work) {
            sleep_ms(1);
            continue;
        }
        for (size_t i = 0; i < BLOCKS; i++)
            blocks[i] = malloc(200);
        for (size_t i = 0; i < BLOCKS; i++)
            free(blocks[i]);
    }
    unmap_pages(blocks, BLOCKS * sizeof *blocks);
    return arg;
}
static void remote_frees(void)
{
    for (size_t i = 0; i < COUNT_OF(remote_blocks); i++)
        free(remote_blocks[i]);
}

static void fork_after_each_lock(const void *arg)
{
    static void (*const windows[])(void) = {small_refill_and_flush, medium_refill_and_flush, large_and_mapped, trim};
    forks_per_window = 60;
    stepping_forks = 0;
    heap_exercise(1, 30); // resolve symbols first
    struct sigaction action = {.sa_sigaction = step_handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, NULL);
    trap_flag_set();
    windows[(size_t)(uintptr_t)arg]();
    trap_flag_clear();
    if (in_forked_child == 1) child_of_handler_goes_on();
    child_note("info=%d forks in %d instructions", (int)stepping_forks, (int)steps);
    EXPECT(steps > 1000 && stepping_forks > 0, "only %d steps, %d forks", (int)steps, (int)stepping_forks);
    heap_exercise(2, 30);
}

static void fork_after_each_lock_under_contention(const void *arg)
{
    (void)arg;
    pthread_t threads[3];
    EXPECT(pthread_create(&threads[0], NULL, allocate_remote, NULL) == 0, "pthread_create");
    pthread_join(threads[0], NULL);
    run_on_cpu(0);
    heap_exercise(1, 30);
    struct sigaction action = {.sa_sigaction = step_handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, NULL);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        EXPECT(pthread_create(&threads[i], NULL, churn_same_class, NULL) == 0, "pthread_create");
    }
    dawdle = true;
    forks_per_window = 100;
    trap_flag_set();
    remote_frees();
    trap_flag_clear();
    if (in_forked_child == 1) child_of_handler_goes_on();
    remote_stop = true;
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    child_note("info=%d forks in %d instructions", (int)stepping_forks, (int)steps);
    EXPECT(steps > 1000 && stepping_forks > 0, "only %d steps, %d forks", (int)steps, (int)stepping_forks);
}
#else
static void fork_after_each_lock_under_contention(const void *arg)
{
    (void)arg;
    case_skip("single steps are written for x86-64 only");
}
static void fork_after_each_lock(const void *arg)
{
    (void)arg;
    case_skip("single steps are written for x86-64 only");
}
#endif

#define STEPPED(window, number)                                                                                        \
    {                                                                                                                  \
        .name = "fork_after_each_lock_instruction_" window, .run = fork_after_each_lock, .arg = (void *)number,        \
        .child = {                                                                                                     \
            .timeout_s = 60                                                                                            \
        }                                                                                                              \
    }

static const char *const one_shard[] = {"HZ3_SHARDS=1", NULL}; // so that both CPUs meet at the same locks

static const TestCase cases[] = {
    {.name = "fork_in_a_signal_handler_that_interrupted_malloc", .run = fork_in_signal_handler},
    {.name = "fork_in_a_signal_handler_among_busy_threads",
     .run = fork_in_signal_handler,
     .arg = (void *)(uintptr_t)BUSY_THREADS},
    STEPPED("small", 0),
    STEPPED("medium", 1),
    STEPPED("large", 2),
    STEPPED("trim", 3),
    {.name = "fork_after_each_lock_instruction_under_contention",
     .run = fork_after_each_lock_under_contention,
     .child = {.env = one_shard, .timeout_s = 60}},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
