// How much memory does the allocator keep for threads that do nothing, and does it come back when another thread asks
// for it? Threads take turns to fill and empty a cache and then sleep.
#include "crew.h"
#include "self_memory.h"

#include <inttypes.h>
#include <malloc.h>
#include <semaphore.h>
#include <stdio.h>

enum { STACK_TOUCH_BYTES = 16 << 10 };

// There when hz3 is preloaded, NULL with any other allocator.
extern void hz3_epoch_force(void) __attribute__((weak));

typedef struct Config {
    uint64_t threads, blocks, min, max, idle_ns, epochs;
    CommonOptions common;
} Config;

static Config config = {.threads = 1000,
                        .blocks = 256,
                        .min = 16,
                        .max = 2048,
                        .idle_ns = 500000000,
                        .epochs = 5,
                        .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;
static HzbResult result;
// Thread i works between turns[i] and turns[i + 1]; the one after the last is the main thread's.
static sem_t *turns;

// Makes resident what malloc will use of the stack, so that it is part of the baseline.
static void stack_touch(void)
{
    volatile char stack[STACK_TOUCH_BYTES];
    for (size_t at = 0; at < sizeof stack; at += TOUCH_STEP_BYTES / 4)
        stack[at] = 0;
}

static void turn_wait(uint64_t turn)
{
    while (sem_wait(&turns[turn]) != 0)
        continue; // EINTR
}

static void cache_fill(Worker *w)
{
    const uint64_t sizes = config.max - config.min + 1;
    for (uint64_t i = 0; i < w->n_blocks; i++) {
        uint32_t size = (uint32_t)(config.min + rng_bounded((uint32_t)rng_next(&w->rng), sizes));
        worker_checksum_add(w, size);
        worker_alloc(w, &w->blocks[i], size, i);
    }
    // Nobody else holds a block or the turn: this thread's live bytes are all there are, and `result` is its alone.
    if ((uint64_t)w->live_bytes > result.live_peak) result.live_peak = (uint64_t)w->live_bytes;
    worker_free_all(w);
}

static void *worker_main(void *argument)
{
    Worker *w = argument;
    stack_touch();
    crew_wait(&crew);
    turn_wait(w->index);
    w->start_ns = clock_ns();
    cache_fill(w);
    w->end_ns = clock_ns();
    sem_post(&turns[w->index + 1]);
    crew_wait(&crew); // asleep until all is measured
    return NULL;
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void rss_print(const char *when, uint64_t baseline)
{
    uint64_t rss = self_rss_bytes();
    printf("[RSS] %s=%.1f above_baseline=%.1f MiB\n", when, mib(rss), mib(rss) - mib(baseline));
    fflush(stdout);
}

static void setup(void)
{
    hzb_phase("setup", 0);
    crew_make(&crew, (unsigned)config.threads, config.threads * config.blocks, &config.common);
    self_memory_open(0);
    turns = pages_map((config.threads + 1) * sizeof *turns, "the turns");
    for (uint64_t i = 0; i <= config.threads; i++)
        sem_init(&turns[i], 0, 0);
    crew_start(&crew, worker_main);
    crew_wait(&crew);
}

// What each allocator offers to give back all it can: malloc_trim is glibc's and hz3's.
__attribute__((weak)) void mi_collect(bool force);
__attribute__((weak)) int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes);
__attribute__((weak)) void MallocExtension_ReleaseFreeMemory(void);

static void trim_all(void)
{
    if (mi_collect != NULL) mi_collect(true);
    if (mallctl != NULL) mallctl("arena.4096.purge", NULL, NULL, NULL, 0); // 4096: all of them
    if (MallocExtension_ReleaseFreeMemory != NULL) MallocExtension_ReleaseFreeMemory();
    malloc_trim(0);
}

static void drain(uint64_t baseline)
{
    hzb_phase("drain", 0);
    if (hz3_epoch_force != NULL) {
        for (uint64_t i = 0; i < config.epochs; i++)
            hz3_epoch_force();
        rss_print("after_epochs", baseline);
    }
    trim_all();
    rss_print("after_trim", baseline);
}

static void phases_run(void)
{
    setup();
    uint64_t baseline = self_rss_bytes();
    rss_print("baseline", baseline);
    hzb_phase("work", 0);
    sem_post(&turns[0]);
    turn_wait(config.threads);
    hzb_phase("idle", 0);
    sleep_until_ns(clock_ns() + config.idle_ns);
    rss_print("cached", baseline);
    drain(baseline);
    hzb_phase("post", 0);
}

static void config_parse(int argc, char **argv)
{
    const uint64_t second = 1000000000;
    const Positional positionals[] = {
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"blocks", 1, 1000000, 1, &config.blocks, NULL, NULL},
        {"min", 0, 1 << 30, 1, &config.min, NULL, NULL},
        {"max", 1, 1 << 30, 1, &config.max, &config.min, NULL},
        {"idle_s", 0, 86400 * second, second, &config.idle_ns, NULL, NULL},
        {"epochs", 0, 1000000, 1, &config.epochs, NULL, NULL},
    };
    const CommandLine line = {
        .doc = "Threads that each fill a cache and then sleep.\v"
               "All `threads` threads (1000) are started; then one after the other allocates `blocks` blocks (256) of "
               "min to max bytes (16 to 2048), frees them and sleeps. As only one of them works at a time, memory "
               "above the baseline is what the allocator keeps for those that sleep. After `idle_s` seconds (0.5) the "
               "main thread calls hz3_epoch_force() `epochs` times (5), if there is one, and what the allocator has "
               "to give back all it can (malloc_trim, mi_collect, mallctl, MallocExtension_ReleaseFreeMemory). RSS is "
               "printed after each step, all threads still asleep.\n\n"
               "One op is one malloc or one free; the time is from the first thread's start to the last one's end, "
               "the handing on of the turn included.",
        .args_doc = "[threads blocks min max idle_s epochs]",
        .positionals = positionals,
        .n_positionals = sizeof positionals / sizeof *positionals,
        .n_required = 0,
        .common = &config.common,
    };
    options_parse(&line, argc, argv);
    options_print(&line, hz3_epoch_force != NULL ? " epoch_force=found" : " epoch_force=absent");
}

int main(int argc, char **argv)
{
    config_parse(argc, argv);
    hzb_open();
    phases_run();
    result.work_ns = crew_span_ns(&crew);
    for (unsigned i = 0; i < crew.n_workers; i++)
        result.ops += crew.workers[i].allocated + crew.workers[i].freed;
    crew_account(&crew, &result);
    result_print(&result);
    hzb_finish(&result); // before the threads end, so that the harness, too, sees the RSS with all of them asleep
    crew_wait(&crew);
    crew_join(&crew);
    return 0;
}
