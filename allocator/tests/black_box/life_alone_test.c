// A process of one thread stays one, and its memory goes back all the same. When it has more, whose thread starts the
// purger makes no difference to it.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

#define PATIENCE_MS 20000
#define TRICKLE_BLOCKS 600 // more than a bin holds, so that there are slow paths
#define HEAP_BYTES (64 * MIB)
#define BLOCK_BYTES 2000

static void *blocks[HEAP_BYTES / BLOCK_BYTES];

static void fill_heap(void)
{
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = malloc(BLOCK_BYTES);
        memset(blocks[i], 1, BLOCK_BYTES);
    }
}

static void free_heap(void)
{
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        free(blocks[i]);
}

// ---- one thread ----

static void one_thread_stays_one(const void *arg)
{
    (void)arg;
    fill_heap();
    free_heap();
    fill_heap();
    EXPECT(thread_count() == 1, "%d threads", thread_count());
    errno = 0;
    int refused = unshare(CLONE_NEWUSER); // which the kernel refuses to a process of more threads by EINVAL
    NEEDS(refused == 0 || errno == EINVAL, "no user namespaces here");
    EXPECT(refused == 0, "unshare: %s", strerror(errno));
}

// A few blocks now and then, whose slow paths are the events.
static void trickle_until_rss_is(size_t limit)
{
    for (Patience patience = patience_of_ms(PATIENCE_MS); rss_bytes() > limit && patience_lasts(&patience);) {
        for (size_t i = 0; i < TRICKLE_BLOCKS; i++)
            blocks[i] = malloc(BLOCK_BYTES);
        for (size_t i = 0; i < TRICKLE_BLOCKS; i++)
            free(blocks[i]);
        sleep_ms(10);
    }
}

static void its_memory_goes_back_by_events(const void *arg)
{
    (void)arg;
    size_t before = rss_bytes();
    fill_heap();
    free_heap();
    trickle_until_rss_is(before + HEAP_BYTES / 10);
    EXPECT(rss_bytes() <= before + HEAP_BYTES / 10, "RSS stays at %zu KiB of %zu", rss_bytes() / KIB,
           (before + HEAP_BYTES) / KIB);
    EXPECT(counter("epochs") > 0 && thread_count() == 1, "%lu epochs, %d threads", (unsigned long)counter("epochs"),
           thread_count());
}

// ---- more threads ----

static void await_purger(void)
{
    for (Patience patience = patience_of_ms(PATIENCE_MS); purger_tid() == 0 && patience_lasts(&patience);)
        sleep_ms(1);
    EXPECT(purger_tid() != 0, "no purger");
}

static void *fill_and_free(void *arg)
{
    fill_heap();
    free_heap();
    return arg;
}

static void in_a_thread(void *(*body)(void *))
{
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, body, NULL) == 0, "a thread");
    pthread_join(thread, NULL);
}

static void a_second_thread_brings_the_purger(const void *arg)
{
    (void)arg;
    fill_heap();
    free_heap();
    EXPECT(purger_tid() == 0, "a purger for one thread");
    in_a_thread(fill_and_free);
    await_purger();
    EXPECT(counter("purger_starts") == 1, "%lu purgers", (unsigned long)counter("purger_starts"));
}

static cpu_set_t at_start;

static void *fill_as_batch_on_one_cpu(void *arg)
{
    struct sched_param param = {.sched_priority = 0};
    EXPECT(sched_setscheduler(0, SCHED_BATCH, &param) == 0, "SCHED_BATCH: %s", strerror(errno));
    EXPECT(run_on_cpu(0), "on one CPU");
    return fill_and_free(arg);
}

static void expect_ordinary_purger(void)
{
    await_purger();
    int tid = purger_tid();
    cpu_set_t cpus;
    EXPECT(sched_getscheduler(tid) == SCHED_OTHER, "the purger's policy is %d", sched_getscheduler(tid));
    EXPECT(sched_getaffinity(tid, sizeof cpus, &cpus) == 0 && CPU_EQUAL(&cpus, &at_start),
           "the purger has %d of %d CPUs", CPU_COUNT(&cpus), CPU_COUNT(&at_start));
    int nice_of_it = getpriority(PRIO_PROCESS, (id_t)tid);
    EXPECT(nice_of_it == getpriority(PRIO_PROCESS, (id_t)getpid()), "the purger's nice is %d", nice_of_it);
}

static void the_purger_is_ordinary(const void *arg)
{
    (void)arg;
    EXPECT(sched_getaffinity(0, sizeof at_start, &at_start) == 0, "sched_getaffinity");
    NEEDS(CPU_COUNT(&at_start) > 1, "one CPU");
    in_a_thread(fill_as_batch_on_one_cpu);
    expect_ordinary_purger();
}

// It could not be raised again without a privilege.
static void *fill_as_idle(void *arg)
{
    struct sched_param param = {.sched_priority = 0};
    EXPECT(sched_setscheduler(0, SCHED_IDLE, &param) == 0, "SCHED_IDLE: %s", strerror(errno));
    return fill_and_free(arg);
}

static void *fill_as_nice(void *arg)
{
    EXPECT(setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10) == 0, "nice: %s", strerror(errno));
    return fill_and_free(arg);
}

static void low_threads_start_no_purger(const void *arg)
{
    (void)arg;
    EXPECT(sched_getaffinity(0, sizeof at_start, &at_start) == 0, "sched_getaffinity");
    in_a_thread(fill_as_idle);
    EXPECT(counter("purger_starts") == 0, "a purger by a thread of SCHED_IDLE");
    in_a_thread(fill_as_nice);
    EXPECT(counter("purger_starts") == 0, "a purger by a thread of nice 10");
    fill_heap();
    expect_ordinary_purger();
}

static const TestCase cases[] = {
    {.name = "one_thread_stays_one", .run = one_thread_stays_one},
    {.name = "its_memory_goes_back_by_events", .run = its_memory_goes_back_by_events},
    {.name = "a_second_thread_brings_the_purger", .run = a_second_thread_brings_the_purger},
    {.name = "the_purger_is_ordinary", .run = the_purger_is_ordinary},
    {.name = "low_threads_start_no_purger", .run = low_threads_start_no_purger},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
