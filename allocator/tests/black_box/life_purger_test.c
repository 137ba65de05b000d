// Memory goes back while everybody sleeps, and the thread that sees to it disturbs nobody.
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define WORKERS 4
#define BLOCKS 20000 // of each worker, about 2 KiB each
#define PATIENCE_MS 20000
#define TRICKLE_BLOCKS 600 // more than a bin holds, so that there are slow paths

__attribute__((weak)) void hz3_epoch_force(void);

// ---- the purger as /proc shows it ----

static long switches_of(int tid)
{
    char line[64];
    read_task_line(tid, "status", "voluntary_ctxt_switches:", line, sizeof line);
    EXPECT(*line, "no purger");
    return atol(line + strlen("voluntary_ctxt_switches:"));
}

// Until the purger has not run for a second.
static void await_sleep(int tid)
{
    long before = -1;
    int quiet_ms = 0;
    for (Patience patience = patience_of_ms(PATIENCE_MS); quiet_ms < 1000 && patience_lasts(&patience);) {
        long now = switches_of(tid);
        quiet_ms = now == before ? quiet_ms + 50 : 0;
        before = now;
        sleep_ms(50);
    }
    EXPECT(quiet_ms >= 1000, "the purger finds no sleep");
}

// ---- bursts ----

static pthread_barrier_t barrier;
static size_t peak_bytes;

static void *burst_worker(void *arg)
{
    uint64_t random = (uintptr_t)arg + 1;
    void **blocks = map_pages(BLOCKS * sizeof *blocks);
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = 256 + random_next(&random) % 3841;
        blocks[i] = malloc(size);
        memset(blocks[i], 1, size);
    }
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier); // the peak is taken
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier); // asleep until the test is over
    unmap_pages(blocks, BLOCKS * sizeof *blocks);
    return NULL;
}

// Waits until all but 2 % of the burst is back.
static void await_rss(size_t baseline, const char *what)
{
    size_t limit = baseline + (peak_bytes - baseline) / 50 + MIB;
    size_t rss = rss_bytes();
    for (Patience patience = patience_of_ms(PATIENCE_MS); rss > limit && patience_lasts(&patience);) {
        sleep_ms(20);
        rss = rss_bytes();
    }
    EXPECT(rss <= limit, "%s: RSS stays at %zu KiB; baseline %zu, peak %zu", what, rss / KIB, baseline / KIB,
           peak_bytes / KIB);
}

static void burst_and_sleep(const char *what)
{
    pthread_t threads[WORKERS];
    pthread_barrier_init(&barrier, NULL, WORKERS + 1);
    size_t baseline = rss_bytes();
    for (uintptr_t i = 0; i < WORKERS; i++)
        EXPECT(pthread_create(&threads[i], NULL, burst_worker, (void *)i) == 0, "a worker");
    pthread_barrier_wait(&barrier);
    peak_bytes = rss_bytes();
    EXPECT(peak_bytes > baseline + 100 * MIB, "peak %zu", peak_bytes);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    await_rss(baseline + WORKERS * MIB, what); // the workers' stacks and tables
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
}

static void small_programs_start_no_thread(const void *arg)
{
    (void)arg;
    for (size_t size = 16; size <= MIB; size *= 2) {
        for (int i = 0; i < 100; i++)
            free(malloc(size));
    }
    EXPECT(purger_tid() == 0, "a purger for a small heap");
}

static void a_burst_goes_back_while_its_threads_sleep(const void *arg)
{
    (void)arg;
    burst_and_sleep("first burst");
    burst_and_sleep("second burst");
    EXPECT(purger_tid() != 0, "no purger");
}

static void nobody_is_woken_while_nothing_is_free(const void *arg)
{
    (void)arg;
    burst_and_sleep("before the sleep");
    int tid = purger_tid();
    await_sleep(tid);
    long before = switches_of(tid);
    uint64_t epochs = counter("epochs");
    sleep_ms(1500);
    long woken = switches_of(tid) - before;
    EXPECT(woken == 0, "%ld wake-ups in 1.5 s", woken);
    EXPECT(counter("epochs") == epochs, "epochs while nothing is free");
    burst_and_sleep("after the sleep");
    EXPECT(counter("epochs") > epochs, "nobody woke the purger");
    EXPECT(counter("purger_starts") == 1, "%lu purgers", (unsigned long)counter("purger_starts"));
}

static void signals_pass_the_purger_by(const void *arg)
{
    (void)arg;
    burst_and_sleep("start");
    char line[64];
    read_task_line(purger_tid(), "status", "SigBlk:", line, sizeof line);
    unsigned long blocked = strtoul(line + strlen("SigBlk:"), NULL, 16);
    static const int raised_by_the_thread[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    unsigned long free_to_come = 1ul << (SIGKILL - 1) | 1ul << (SIGSTOP - 1);
    for (size_t i = 0; i < COUNT_OF(raised_by_the_thread); i++)
        free_to_come |= 1ul << (raised_by_the_thread[i] - 1);
    unsigned long of_the_c_library = 3ul << 31; // signals 32 and 33
    EXPECT((blocked | of_the_c_library) == ~free_to_come, "%s", line);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    sigprocmask(SIG_BLOCK, &one, NULL);
    kill(getpid(), SIGUSR1); // deadly for who takes it
    sleep_ms(20);
    sigpending(&one);
    EXPECT(sigismember(&one, SIGUSR1) == 1, "the signal is not pending");
}

static void a_child_has_a_purger_of_its_own(const void *arg)
{
    (void)arg;
    burst_and_sleep("parent");
    int tid = purger_tid();
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        EXPECT(pid >= 0, "fork");
        if (pid == 0) {
            EXPECT(thread_count() == 1, "the parent's purger is in the child");
            burst_and_sleep("child");
            EXPECT(purger_tid() != 0, "no purger in the child");
            _exit(0);
        }
        child_wait(pid, "child");
    }
    burst_and_sleep("parent after its children");
    EXPECT(purger_tid() == tid, "the parent's purger is another one");
}

static void allocate_and_free_much(void)
{
    static void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = malloc(2000);
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

static void *sleep_until_told(void *arg)
{
    pthread_barrier_wait(arg);
    return NULL;
}

// A thread that it started would end with it, and the parent would believe in that thread.
static void a_vfork_child_starts_no_purger(const void *arg)
{
    (void)arg;
    pthread_barrier_t end;
    pthread_barrier_init(&end, NULL, 2);
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, sleep_until_told, &end) == 0, "a thread");
    pid_t pid = vfork();
    EXPECT(pid >= 0, "vfork");
    if (pid == 0) {
        allocate_and_free_much();
        _exit(0);
    }
    child_wait(pid, "vfork child");
    EXPECT(counter("purger_starts") == 0, "a purger of the child");
    burst_and_sleep("parent");
    EXPECT(purger_tid() != 0, "no purger");
    pthread_barrier_wait(&end);
    pthread_join(thread, NULL);
}

// ---- processes that forbid something ----

// A program that goes on with little: its slow paths are the only ones who can look after the rest.
static void burst_and_trickle(const char *what)
{
    static void *blocks[2 * BLOCKS];
    size_t baseline = rss_bytes();
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = malloc(2000);
        memset(blocks[i], 1, 2000);
    }
    peak_bytes = rss_bytes();
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        free(blocks[i]);
    size_t limit = baseline + (peak_bytes - baseline) / 10;
    for (Patience patience = patience_of_ms(PATIENCE_MS); rss_bytes() > limit && patience_lasts(&patience);) {
        for (size_t i = 0; i < TRICKLE_BLOCKS; i++)
            blocks[i] = malloc(2000);
        for (size_t i = 0; i < TRICKLE_BLOCKS; i++)
            free(blocks[i]);
        sleep_ms(10);
    }
    EXPECT(rss_bytes() <= limit, "%s: RSS stays at %zu KiB of %zu", what, rss_bytes() / KIB, peak_bytes / KIB);
    EXPECT(purger_tid() == 0, "%s: there is a purger", what);
}

static void without_threads_slow_paths_do_it(const void *arg)
{
    (void)arg;
    NEEDS(forbid_calls((const int[]){SYS_clone3}, 1, EAGAIN), "no seccomp here");
    burst_and_trickle("no clone");
}

static void switched_off_slow_paths_do_it(const void *arg)
{
    (void)arg;
    burst_and_trickle("HZ3_PURGER=0");
}

static void nothing_runs_by_itself(const void *arg)
{
    (void)arg;
    void *blocks[1000];
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < COUNT_OF(blocks); i++)
            blocks[i] = calloc(1, 30000);
        for (size_t i = 0; i < COUNT_OF(blocks); i++)
            free(blocks[i]);
        sleep_ms(10);
    }
    EXPECT(purger_tid() == 0 && counter("epochs") == 0, "an epoch that nobody asked for");
    hz3_epoch_force();
    EXPECT(counter("epochs") == 1, "hz3_epoch_force");
}

// Spans go to the page maps at once; more than one segment of them, for each epoch of a busy program looks at one.
static void touch_spans(void)
{
    static unsigned char *spans[200];
    for (size_t i = 0; i < COUNT_OF(spans); i++)
        memset(spans[i] = malloc(100000), 1, 100000);
    for (size_t i = 0; i < COUNT_OF(spans); i++)
        free(spans[i]);
}

// With a budget of one page for busy programs. On one CPU: what the thread leaves behind on another lies untouched, and
// an epoch may give back a segment of it.
static void an_epoch_spares_busy_programs_only(const void *arg)
{
    (void)arg;
    NEEDS(run_on_cpu(0), "a CPU to stay on");
    for (int round = 0; round < 20; round++) {
        touch_spans();
        hz3_epoch_force();
    }
    EXPECT(counter("purged_pages") < 200 * 25 / 4, "%lu pages purged of a busy program",
           (unsigned long)counter("purged_pages"));
    for (int i = 0; i < 6; i++)
        hz3_epoch_force();
    EXPECT(counter("purged_pages") >= 200 * 25, "%lu pages purged of an idle program",
           (unsigned long)counter("purged_pages"));
}

// With a budget of one medium run for busy programs.
static void an_idle_program_has_no_budget_of_medium_runs(const void *arg)
{
    (void)arg;
    static void *blocks[400];
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        blocks[i] = malloc(20000);
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        free(blocks[i]);
    for (int i = 0; i < 8; i++)
        hz3_epoch_force();
    EXPECT(counter("reclaim_runs") > 50, "%lu medium runs in 8 epochs", (unsigned long)counter("reclaim_runs"));
}

static uint64_t purged_in(int epochs)
{
    uint64_t before = counter("purged_pages");
    for (int i = 0; i < epochs; i++)
        hz3_epoch_force();
    return counter("purged_pages") - before;
}

// The first pauses take what the program then faults in again; later ones leave it, until it does not come back.
static void short_pauses_leave_the_program_its_memory(const void *arg)
{
    (void)arg;
    NEEDS(run_on_cpu(0), "a CPU to stay on"); // likewise
    const uint64_t pages = 200 * 25;
    touch_spans();
    EXPECT(purged_in(8) >= pages, "the first pause");
    touch_spans();
    purged_in(8);
    for (int round = 0; round < 10; round++) {
        touch_spans();
        uint64_t purged = purged_in(8);
        EXPECT(purged < pages / 20, "%lu of %lu pages purged in pause %d", (unsigned long)purged, (unsigned long)pages,
               round);
    }
    EXPECT(purged_in(40) >= pages * 9 / 10, "nothing goes when the program does not come back");
    touch_spans();
    EXPECT(purged_in(8) >= pages * 9 / 10, "a long pause counts as a short one");
}

static void a_kernel_that_refuses_changes_nothing(const void *arg)
{
    (void)arg;
    NEEDS(forbid_calls((const int[]){SYS_madvise, SYS_process_madvise}, 2, EINVAL), "no seccomp here");
    static unsigned char *blocks[BLOCKS];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            blocks[i] = malloc(1000);
            pattern_fill(blocks[i], 1000, i);
        }
        for (size_t i = 0; i < BLOCKS; i++) {
            if (i % 5 != 0) free(blocks[i]);
        }
        for (int i = 0; i < 10; i++)
            hz3_epoch_force();
        for (size_t i = 0; i < BLOCKS; i += 5) {
            EXPECT(pattern_mismatch(blocks[i], 1000, i) == 1000, "block %zu changed", i);
            free(blocks[i]);
        }
    }
    unsigned char *zero = calloc(1, 100000);
    EXPECT(nonzero_offset(zero, 100000) == 100000, "calloc of dirty pages");
    EXPECT(counter("madvise_failures") > 0 && counter("purged_pages") == 0, "failures %lu, purged %lu",
           (unsigned long)counter("madvise_failures"), (unsigned long)counter("purged_pages"));
}

// ---- a program that goes on, and one that ends ----

static void steady_work_does_not_fault_its_memory_in_again(const void *arg)
{
    (void)arg;
    static void *blocks[4000];
    uint64_t random = 7;
    struct rusage before = {0};
    struct rusage after;
    for (int round = 0; round < 400; round++) {
        for (size_t i = 0; i < COUNT_OF(blocks); i++) {
            size_t size = random_size(&random, 64 * KIB);
            blocks[i] = malloc(size);
            memset(blocks[i], 1, size);
        }
        for (size_t i = 0; i < COUNT_OF(blocks); i++)
            free(blocks[i]);
        if (round == 100) getrusage(RUSAGE_SELF, &before);
    }
    getrusage(RUSAGE_SELF, &after);
    long faults = after.ru_minflt - before.ru_minflt;
    child_note("info=%ld faults, %lu epochs", faults, (unsigned long)counter("epochs"));
    // 300 rounds that touch some 6000 pages each: what is purged between them is a small part of that.
    EXPECT(faults < 300 * 600, "%ld faults", faults);
}

static void *outlive_main(void *arg)
{
    pthread_join(*(pthread_t *)arg, NULL);
    heap_exercise(3, 200);
    return NULL;
}

// The C library keeps the stacks of ended threads up to 40 MiB, and frees the data of those beyond under the lock that
// pthread_create takes. A purger that such a free started would wait for its own thread.
#define STACKS 600 // more than a bin holds, so that some of the frees take the slow path

static void *wait_twice(void *arg)
{
    pthread_barrier_wait(arg);
    pthread_barrier_wait(arg);
    return NULL;
}

static void freed_stacks_start_nothing(const void *arg)
{
    (void)arg;
    pthread_t threads[STACKS];
    pthread_barrier_t all_there;
    pthread_barrier_init(&all_there, NULL, STACKS + 1);
    for (int i = 0; i < STACKS; i++)
        EXPECT(pthread_create(&threads[i], NULL, wait_twice, &all_there) == 0, "thread %d", i);
    pthread_barrier_wait(&all_there);
    static void *blocks[8192]; // the heap grows until a purger is worth it; nothing was freed yet
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        EXPECT((blocks[i] = malloc(1024)) != NULL, "block %zu", i);
    pthread_barrier_wait(&all_there);
    for (int i = 0; i < STACKS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        free(blocks[i]);
}

static void the_process_ends_with_its_last_thread(const void *arg)
{
    (void)arg;
    burst_and_sleep("start");
    EXPECT(purger_tid() != 0, "no purger");
    static pthread_t self;
    self = pthread_self();
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, outlive_main, &self) == 0, "a thread");
    pthread_exit(NULL);
}

static void *fork_and_end(void *arg)
{
    pid_t *pid = arg;
    *pid = fork();
    EXPECT(*pid >= 0, "fork");
    if (*pid == 0) {
        burst_and_sleep("child");
        EXPECT(purger_tid() != 0, "no purger in the child");
    }
    return NULL; // in the child the last thread of the program's own
}

static void a_workers_child_ends_with_its_last_thread(const void *arg)
{
    (void)arg;
    pid_t pid;
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, fork_and_end, &pid) == 0, "a thread");
    pthread_join(thread, NULL);
    child_wait(pid, "child");
}

int main(int argc, char **argv)
{
    static const char *const off[] = {"HZ3_PURGER=0", NULL};
    static const char *const no_epochs[] = {"HZ3_EPOCH_TICK_MS=0", NULL};
    static const char *const one_page[] = {"HZ3_EPOCH_TICK_MS=0", "HZ3_S65_PURGE_BUDGET_PAGES=1", NULL};
    static const char *const one_run[] = {"HZ3_EPOCH_TICK_MS=0", "HZ3_S65_MEDIUM_RECLAIM_BUDGET_RUNS=1", NULL};
#define CASE(function, ...)                                                                                            \
    {                                                                                                                  \
        .name = #function, .run = function, __VA_ARGS__                                                                \
    }
    const TestCase cases[] = {
        CASE(small_programs_start_no_thread),
        CASE(a_burst_goes_back_while_its_threads_sleep),
        CASE(nobody_is_woken_while_nothing_is_free),
        CASE(signals_pass_the_purger_by),
        CASE(a_child_has_a_purger_of_its_own),
        CASE(a_vfork_child_starts_no_purger),
        CASE(without_threads_slow_paths_do_it),
        CASE(switched_off_slow_paths_do_it, .child = {.env = off}),
        CASE(nothing_runs_by_itself, .child = {.env = no_epochs}),
        CASE(an_epoch_spares_busy_programs_only, .child = {.env = one_page}),
        CASE(an_idle_program_has_no_budget_of_medium_runs, .child = {.env = one_run}),
        CASE(short_pauses_leave_the_program_its_memory, .child = {.env = no_epochs}),
        CASE(a_kernel_that_refuses_changes_nothing, .child = {.env = no_epochs}),
        CASE(steady_work_does_not_fault_its_memory_in_again),
        CASE(freed_stacks_start_nothing),
        CASE(the_process_ends_with_its_last_thread),
        CASE(a_workers_child_ends_with_its_last_thread),
    };
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
