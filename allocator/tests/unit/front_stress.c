// Preemption storm on the front: more threads than CPUs that hop between them, a signal every millisecond, windows
// inside the sections widened by pauses (CPU front) or yields (thread front), a drainer that never rests, threads that
// end and begin. Every object has an ownership word outside of it (0 → thread when it is handed out). At the end
// everything has been freed and drained, so an object that got lost keeps a slot of the arena from closing.
//
//     HZ3_FRONT=cpu|thread front_stress SECONDS        exit code 0: nothing lost, nothing doubled
//
// The seconds are of all CPUs, so that beside other busy processes the storm is as long as alone. On an emulated
// machine a signal may take longer than a millisecond; FRONT_STRESS_SIGNAL_MS=20 leaves time for the rest.
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "front/hz3_front.h"
#include "front/hz3_front_cpu.h"
#include "front/hz3_front_drain.h"
#include "pages/hz3_arena.h"

#define WORKERS 12u
#define HELD 256u
#define MAILBOXES 512u
#define LIFE_STEPS 200000u // then the thread ends and another takes its place
#define ARENA_BYTES_MAX ((size_t)256 << 20)

void *hz3_unit_malloc(size_t size);
void hz3_unit_free(void *p);
int hz3_unit_malloc_trim(size_t pad);

static _Atomic uint32_t owner[ARENA_BYTES_MAX / HZ3_MIN_ALIGN];
static _Atomic(void *) mailbox[MAILBOXES];
static _Atomic bool stop;
static _Atomic uint64_t operations;
static _Atomic uint64_t drained_bytes;
static uint32_t cpus[CPU_SETSIZE]; // that we may use
static uint32_t n_cpus;

static _Noreturn void fail(const char *what, const void *object, uint32_t self, uint32_t found)
{
    printf("FAILED: %s: object %p, thread %u, mark %u\n", what, object, self, found);
    fflush(stdout);
    _exit(1);
}

static uint32_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 24);
}

// Few classes, small bins: the same slots are contended by everybody.
static size_t random_size(uint64_t *state)
{
    static const size_t sizes[] = {16, 16, 48, 100, 1000, 3584, 5000, 20000};
    return sizes[next_random(state) % (sizeof sizes / sizeof sizes[0])];
}

static _Atomic uint32_t *mark_of(const void *object)
{
    size_t offset = (uintptr_t)object - hz3_arena.base;
    if (offset >= ARENA_BYTES_MAX) {
        fail("not in the arena", object, 0, 0);
    }
    return &owner[(offset & ~(size_t)(HZ3_MIN_ALIGN - 1)) / HZ3_MIN_ALIGN];
}

static void *take(uint64_t *state, uint32_t self)
{
    void *object = hz3_unit_malloc(random_size(state));
    if (object == NULL) {
        fail("out of memory", object, self, 0);
    }
    uint32_t nobody = 0;
    if (!atomic_compare_exchange_strong(mark_of(object), &nobody, self)) {
        fail("handed out twice", object, self, nobody);
    }
    return object;
}

static void give(void *object, uint32_t self)
{
    uint32_t found = self;
    if (!atomic_compare_exchange_strong(mark_of(object), &found, 0)) {
        fail("lost its owner", object, self, found);
    }
    hz3_unit_free(object);
}

// Passes an object on through a mailbox; what lay there is ours now, whoever allocated it.
static void *exchange(void *object, uint64_t *state, uint32_t self)
{
    uint32_t found = self;
    if (!atomic_compare_exchange_strong(mark_of(object), &found, UINT32_MAX)) {
        fail("lost its owner before it was passed on", object, self, found);
    }
    void *got = atomic_exchange(&mailbox[next_random(state) % MAILBOXES], object);
    found = UINT32_MAX;
    if (got != NULL && !atomic_compare_exchange_strong(mark_of(got), &found, self)) {
        fail("lost its mark in the mail", got, self, found);
    }
    return got;
}

static void find_cpus(void)
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    sched_getaffinity(0, sizeof allowed, &allowed);
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed)) {
            cpus[n_cpus++] = cpu;
        }
    }
    if (n_cpus == 0) {
        fail("no CPU", NULL, 0, 0);
    }
}

static void hop(uint64_t *state)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpus[next_random(state) % n_cpus], &set);
    sched_setaffinity(0, sizeof set, &set);
}

// Only workers get signals: a process's go to its first thread, or to one that sleeps, if these do not block them. And
// at the end, beside busy processes, a thread that is alone would get the next one while it yields for the last.
static void block_signals(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(how, &set, NULL);
}

static void *worker(void *arg)
{
    uint32_t self = (uint32_t)(uintptr_t)arg;
    uint64_t state = 0x9E3779B97F4A7C15u * self ^ (uint64_t)time(NULL);
    void *held[HELD] = {NULL};
    uint32_t step = 0;
    block_signals(SIG_UNBLOCK);
    for (; step < LIFE_STEPS && !atomic_load_explicit(&stop, memory_order_relaxed); step++) {
        uint32_t i = next_random(&state) % HELD;
        if (held[i] == NULL) {
            held[i] = take(&state, self);
        } else if (next_random(&state) % 3 == 0) {
            held[i] = exchange(held[i], &state, self);
        } else {
            give(held[i], self);
            held[i] = NULL;
        }
        if (step % 256 == 0) {
            hop(&state);
        }
    }
    for (uint32_t i = 0; i < HELD; i++) {
        if (held[i] != NULL) {
            give(held[i], self);
        }
    }
    block_signals(SIG_BLOCK);
    atomic_fetch_add(&operations, step);
    return NULL;
}

// Keeps one worker of a number alive; the marks need numbers that no two living threads share.
static void *worker_place(void *arg)
{
    while (!atomic_load(&stop)) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, worker, arg) != 0) {
            fail("no thread", NULL, (uint32_t)(uintptr_t)arg, 0);
        }
        pthread_join(thread, NULL);
    }
    return NULL;
}

static void *drainer(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; !atomic_load(&stop); i++) {
        atomic_fetch_add(&drained_bytes, hz3_front_drain(i % 4 == 0 ? HZ3_FRONT_IDLE : HZ3_FRONT_ALL));
    }
    return NULL;
}

static void on_signal(int number)
{
    (void)number;
    sched_yield();
}

static void start_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    const char *set = getenv("FRONT_STRESS_SIGNAL_MS");
    long ns = 1000000 * (set != NULL ? atol(set) : 1);
    struct itimerspec period = {.it_interval = {0, ns}, .it_value = {0, ns}};
    timer_settime(timer, 0, &period, NULL);
}

// Everything is free: after a trim no slot may stay open.
static void check_nothing_lost(void)
{
    for (uint32_t i = 0; i < MAILBOXES; i++) {
        if (mailbox[i] != NULL) {
            give(mailbox[i], UINT32_MAX);
        }
    }
    hz3_unit_malloc_trim(0);
    if (hz3_front_cached_bytes() != 0) {
        fail("still cached after a drain", NULL, 0, 0);
    }
    uint32_t open = atomic_load(&hz3_arena.slots_touched) - hz3_arena_slots_closed();
    if (open != 0) {
        fail("an object is lost: slots stay open", NULL, 0, open);
    }
}

static double cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 2 || getenv("HZ3_ARENA_SIZE") == NULL) {
        fprintf(stderr, "Usage: HZ3_ARENA_SIZE=256M HZ3_FRONT=cpu|thread %s SECONDS\n", argv[0]);
        return 2;
    }
    hz3_unit_free(hz3_unit_malloc(1));
    find_cpus();
    block_signals(SIG_BLOCK);
    start_signals();
    pthread_t threads[WORKERS + 1];
    for (uint32_t i = 0; i < WORKERS; i++) {
        pthread_create(&threads[i], NULL, worker_place, (void *)(uintptr_t)(i + 1));
    }
    pthread_create(&threads[WORKERS], NULL, drainer, NULL);
    while (cpu_seconds() < (double)(atoi(argv[1]) * (int)n_cpus)) {
        usleep(50000);
    }
    atomic_store(&stop, true);
    for (uint32_t i = 0; i <= WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    check_nothing_lost();
    printf("front=%s operations=%llu drained=%llu MiB\n", hz3_cpu_front_is_used() ? "cpu" : "thread",
           (unsigned long long)operations, (unsigned long long)drained_bytes >> 20);
    return 0;
}
