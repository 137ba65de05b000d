// fork in every awkward moment. Whatever the parent's threads were doing, the child must be able to use everything.
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "support.h"

#define BUSY_THREADS 4
#define KEPT_BLOCKS 300

static void *kept[KEPT_BLOCKS];

static size_t kept_size(size_t i)
{
    static const size_t sizes[] = {16, 100, 700, 3000, 8000, 30000, 100000};
    return sizes[i % COUNT_OF(sizes)];
}

static void keep_blocks(void)
{
    for (size_t i = 0; i < KEPT_BLOCKS; i++) {
        kept[i] = malloc(kept_size(i));
        EXPECT(kept[i] != NULL, "malloc(%zu)", kept_size(i));
        pattern_fill(kept[i], kept_size(i), i);
    }
}

static void free_kept_blocks(void)
{
    for (size_t i = 0; i < KEPT_BLOCKS; i++) {
        EXPECT(pattern_mismatch(kept[i], kept_size(i), i) == kept_size(i), "block %zu of before the fork", i);
        free(kept[i]);
    }
}

// Every kind of call and size, deep enough to leave the caches.
static void use_heap(uint64_t seed, size_t blocks_per_size)
{
    enum { BLOCKS_MAX = 400 };
    static const size_t sizes[] = {16, 64, 200, 1000, 4000, 6000, 32768, 50000, 300000, 2 * MIB};
    void *blocks[BLOCKS_MAX];
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        size_t n = sizes[s] > 32768 ? 3 : blocks_per_size < BLOCKS_MAX ? blocks_per_size : BLOCKS_MAX;
        for (size_t i = 0; i < n; i++) {
            blocks[i] = i % 8 == 7 ? calloc(1, sizes[s]) : malloc(sizes[s]);
            EXPECT(blocks[i] != NULL, "block of %zu", sizes[s]);
            size_t touched = sizes[s] < 4096 ? sizes[s] : 4096;
            pattern_fill(blocks[i], touched, seed + i);
        }
        for (size_t i = 0; i < n; i++) {
            size_t touched = sizes[s] < 4096 ? sizes[s] : 4096;
            EXPECT(pattern_mismatch(blocks[i], touched, seed + i) == touched, "block of %zu changed", sizes[s]);
            if (i % 5 == 4) blocks[i] = realloc(blocks[i], sizes[s] * 3);
            EXPECT(blocks[i] != NULL, "realloc of %zu", sizes[s]);
            free(blocks[i]);
        }
    }
}

static void wait_for(pid_t pid, const char *what)
{
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(pid, &status, 0)) < 0 && errno == EINTR) {
    }
    EXPECT(ended == pid && status == 0, "%s ended with wait status 0x%x", what, (unsigned)status);
}

static _Atomic bool stop;

static void *busy_thread(void *arg)
{
    for (uint64_t i = 0; !stop; i++)
        use_heap(i, 40);
    return arg;
}

static void start_busy_threads(pthread_t *threads, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        EXPECT(pthread_create(&threads[i], NULL, busy_thread, NULL) == 0, "pthread_create");
    }
}

static void stop_busy_threads(const pthread_t *threads, size_t n)
{
    stop = true;
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

static void fork_with_busy_threads(const void *arg)
{
    (void)arg;
    pthread_t threads[BUSY_THREADS];
    start_busy_threads(threads, BUSY_THREADS);
    keep_blocks();
    for (int i = 0; i < 80; i++) {
        pid_t pid = fork();
        EXPECT(pid >= 0, "fork %d", i);
        if (pid == 0) {
            alarm(10);
            use_heap((uint64_t)i, 30);
            free_kept_blocks();
            malloc_trim(0);
            use_heap((uint64_t)i, 30);
            _exit(0);
        }
        wait_for(pid, "child of a busy parent");
    }
    stop_busy_threads(threads, BUSY_THREADS);
    free_kept_blocks();
}

static void *fork_from_here(void *arg)
{
    for (int i = 0; i < 40; i++) {
        pid_t pid = fork();
        EXPECT(pid >= 0, "fork %d", i);
        if (pid == 0) {
            alarm(10);
            use_heap((uint64_t)i, 20);
            exit(0); // with handlers and destructors
        }
        wait_for(pid, "child of a thread");
    }
    return arg;
}

static void fork_from_several_threads(const void *arg)
{
    (void)arg;
    pthread_t threads[BUSY_THREADS];
    for (size_t i = 0; i < BUSY_THREADS; i++) {
        EXPECT(pthread_create(&threads[i], NULL, fork_from_here, NULL) == 0, "pthread_create");
    }
    for (size_t i = 0; i < BUSY_THREADS; i++)
        pthread_join(threads[i], NULL);
}

// ---- storms: the child allocates, starts threads, forks again ----

static void *use_heap_thread(void *arg)
{
    use_heap((uint64_t)(uintptr_t)arg, 60);
    return arg;
}

static void fork_storm(int depth)
{
    pthread_t threads[2];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        EXPECT(pthread_create(&threads[i], NULL, use_heap_thread, (void *)i) == 0, "pthread_create at depth %d", depth);
    }
    pid_t children[3];
    for (size_t i = 0; i < COUNT_OF(children) && depth > 0; i++) {
        children[i] = fork();
        EXPECT(children[i] >= 0, "fork at depth %d", depth);
        if (children[i] == 0) {
            use_heap(i, 40);
            fork_storm(depth - 1);
            _exit(0);
        }
    }
    use_heap(77, 40);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < COUNT_OF(children) && depth > 0; i++)
        wait_for(children[i], "child in the storm");
}

static void fork_storm_with_threads(const void *arg)
{
    (void)arg;
    keep_blocks();
    for (int round = 0; round < 2; round++)
        fork_storm(3);
    free_kept_blocks();
}

static void fork_chain(const void *arg)
{
    (void)arg;
    pid_t first = getpid();
    keep_blocks();
    int generation = 0;
    for (; generation < 40; generation++) {
        pid_t pid = fork();
        EXPECT(pid >= 0, "fork of generation %d", generation);
        if (pid > 0) {
            wait_for(pid, "next generation");
            break;
        }
        use_heap((uint64_t)generation, 10);
    }
    free_kept_blocks();
    if (getpid() != first) _exit(0);
}

// ---- fork inside a signal handler that interrupted malloc ----

static volatile sig_atomic_t in_forked_child;
static volatile sig_atomic_t forks_made;

static void fork_in_handler(int signal_number)
{
    (void)signal_number;
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
    alarm(10);
    use_heap(5, 20);
    malloc_trim(0);
    use_heap(6, 20);
    _exit(0);
}

static void churn_until(int forks_wanted)
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
    signal(SIGALRM, SIG_DFL);
    struct sigaction action = {.sa_handler = fork_in_handler, .sa_flags = SA_RESTART};
    sigaction(SIGPROF, &action, NULL);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGPROF);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    start_busy_threads(threads, n_threads);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF};
    EXPECT(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0, "timer_create");
    // An odd period, so that the interrupted places differ.
    struct itimerspec period = {.it_interval = {0, 311000}, .it_value = {0, 311000}};
    timer_settime(timer, 0, &period, NULL);
    churn_until(120);
    timer_delete(timer);
    stop_busy_threads(threads, n_threads);
}

// ---- fork after each instruction with a LOCK prefix ----

#ifdef __x86_64__
#define TRAP_FLAG 0x100
static volatile sig_atomic_t stepping_forks;
static volatile sig_atomic_t steps;
static int forks_per_window;

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
    if (!fork_now || last_place == place || stepping_forks >= forks_per_window) return;
    last_place = place;
    int saved_errno = errno;
    pid_t pid = fork();
    if (pid < 0) _exit(3);
    if (pid == 0) {
        in_forked_child = 1;
        alarm(10);
        registers[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    } else {
        stepping_forks++;
        int status;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        if (status != 0) {
            child_note("info=the child forked at %p ended with wait status 0x%x", (void *)place, (unsigned)status);
            _exit(4);
        }
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

static void fork_after_each_lock(const void *arg)
{
    static void (*const windows[])(void) = {small_refill_and_flush, medium_refill_and_flush, large_and_mapped, trim};
    forks_per_window = 150;
    stepping_forks = 0;
    use_heap(1, 30); // resolve symbols first
    struct sigaction action = {.sa_sigaction = step_handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, NULL);
    trap_flag_set();
    windows[(size_t)(uintptr_t)arg]();
    trap_flag_clear();
    if (in_forked_child == 1) child_of_handler_goes_on();
    child_note("info=%d forks in %d instructions", (int)stepping_forks, (int)steps);
    EXPECT(steps > 1000, "only %d steps", (int)steps);
    use_heap(2, 30);
}
#else
static void fork_after_each_lock(const void *arg)
{
    (void)arg;
    case_skip("single steps are written for x86-64 only");
}
#endif

// ---- fork and exec, vfork, posix_spawn ----

static void fork_then_exec(const void *arg)
{
    (void)arg;
    pthread_t threads[BUSY_THREADS];
    start_busy_threads(threads, BUSY_THREADS);
    for (int i = 0; i < 25; i++) {
        pid_t pid = i % 2 ? fork() : vfork();
        EXPECT(pid >= 0, "fork %d", i);
        if (pid == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(127);
        }
        wait_for(pid, i % 2 ? "fork and exec" : "vfork and exec");
    }
    for (int i = 0; i < 10; i++) {
        pid_t pid;
        char *argv[] = {"true", NULL};
        EXPECT(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0, "posix_spawn");
        wait_for(pid, "posix_spawn");
        EXPECT(system("exit 0") == 0, "system()");
    }
    stop_busy_threads(threads, BUSY_THREADS);
}

static void popen_reads_a_child(const void *arg)
{
    (void)arg;
    keep_blocks();
    for (int i = 0; i < 10; i++) {
        char line[64] = "";
        FILE *pipe = popen("echo hello", "r");
        EXPECT(pipe && fgets(line, sizeof line, pipe) && strcmp(line, "hello\n") == 0, "popen: '%s'", line);
        EXPECT(pclose(pipe) == 0, "pclose");
    }
    free_kept_blocks();
}

// ---- epochs must release memory in the child too ----

// Weak: without hz3 the C library's own policy is on trial.
__attribute__((weak)) void hz3_epoch_force(void);

static void burst_returns_to_the_kernel(const char *who)
{
    enum { BLOCKS = 4000 };
    static void *blocks[BLOCKS];
    size_t before = rss_bytes();
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(20000);
        EXPECT(blocks[i] != NULL, "malloc");
        memset(blocks[i], 1, 20000);
    }
    size_t peak = rss_bytes();
    EXPECT(peak >= before + 64 * MIB, "%s: RSS %zu, with 76 MiB more %zu", who, before, peak);
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    size_t after = peak;
    for (int waited_ms = 0; waited_ms < 8000 && after > before + 16 * MIB; waited_ms += 50) {
        sleep_ms(50);
        if (hz3_epoch_force) hz3_epoch_force();
        after = rss_bytes();
    }
    EXPECT(after <= before + 16 * MIB, "%s: RSS %zu, burst %zu, idle %zu", who, before, peak, after);
}

static void epochs_release_memory_in_the_child(const void *arg)
{
    (void)arg;
    burst_returns_to_the_kernel("parent");
    pid_t pid = fork();
    EXPECT(pid >= 0, "fork");
    if (pid == 0) {
        burst_returns_to_the_kernel("child");
        _exit(0);
    }
    wait_for(pid, "child");
    burst_returns_to_the_kernel("parent again");
}

static const TestCase cases[] = {
    {.name = "fork_with_busy_threads", .run = fork_with_busy_threads},
    {.name = "fork_from_several_threads", .run = fork_from_several_threads},
    {.name = "fork_storm_whose_children_allocate_start_threads_and_fork", .run = fork_storm_with_threads},
    {.name = "fork_chain_of_40_generations", .run = fork_chain},
    {.name = "fork_in_a_signal_handler_that_interrupted_malloc", .run = fork_in_signal_handler},
    {.name = "fork_in_a_signal_handler_among_busy_threads",
     .run = fork_in_signal_handler,
     .arg = (void *)(uintptr_t)BUSY_THREADS},
    {.name = "fork_after_each_lock_instruction_small", .run = fork_after_each_lock, .arg = (void *)0},
    {.name = "fork_after_each_lock_instruction_medium", .run = fork_after_each_lock, .arg = (void *)1},
    {.name = "fork_after_each_lock_instruction_large", .run = fork_after_each_lock, .arg = (void *)2},
    {.name = "fork_after_each_lock_instruction_trim", .run = fork_after_each_lock, .arg = (void *)3},
    {.name = "fork_then_exec_vfork_and_posix_spawn", .run = fork_then_exec},
    {.name = "popen_reads_a_child", .run = popen_reads_a_child},
    {.name = "epochs_release_memory_in_the_child", .run = epochs_release_memory_in_the_child},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
