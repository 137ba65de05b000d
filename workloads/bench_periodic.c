// Threads that work, pause, and work again: what does an allocator that gives memory back in every pause cost a program
// that wants it again, and does it give it back when the program stays asleep?
#include "crew.h"
#include "self_memory.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

typedef struct Config {
    uint64_t rounds, passes, mib, threads, pause_ms, min, max, idle_ns;
    CommonOptions common;
} Config;

static Config config = {.min = 256, .max = 4096, .idle_ns = 0, .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;
static HzbResult result;

// One pass fills the working set and frees all of it.
static void pass_run(Worker *w)
{
    const uint64_t sizes = config.max - config.min + 1;
    for (uint64_t i = 0; i < w->n_blocks; i++) {
        uint32_t size = (uint32_t)(config.min + rng_bounded((uint32_t)rng_next(&w->rng), sizes));
        worker_checksum_add(w, size);
        worker_alloc(w, &w->blocks[i], size, i);
    }
    crew_wait(&crew); // all hold all they want, so the main thread may see the peak
    worker_free_all(w);
    crew_wait(&crew);
}

static void *worker_main(void *argument)
{
    Worker *w = argument;
    for (uint64_t round = 0; round < config.rounds; round++) {
        crew_wait(&crew); // asleep in the pause
        for (uint64_t pass = 0; pass < config.passes; pass++)
            pass_run(w);
    }
    crew_wait(&crew); // asleep until all is measured
    return NULL;
}

// Of all threads, the allocator's own included.
static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static long faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static void round_run(unsigned round)
{
    hzb_phase("work", round);
    crew_wait(&crew);
    for (uint64_t pass = 0; pass < config.passes; pass++) {
        crew_wait(&crew);
        uint64_t live = live_sum(crew.live_page);
        if (live > result.live_peak) result.live_peak = live;
        crew_wait(&crew);
    }
    hzb_phase("pause", round);
    sleep_until_ns(clock_ns() + config.pause_ms * NS_PER_MS);
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

// The first two rounds show an allocator what the program does, so they are not part of what is measured.
static void rounds_run(void)
{
    const unsigned warm = config.rounds > 2 ? 2 : 0;
    uint64_t cpu_before = 0;
    long faults_before = 0;
    for (unsigned round = 1; round <= config.rounds; round++) {
        if (round == warm + 1) {
            cpu_before = cpu_ns();
            faults_before = faults();
        }
        round_run(round);
    }
    const uint64_t measured = config.rounds - warm;
    result.work_ns = cpu_ns() - cpu_before;
    printf("[PERIODIC] cpu_ms_a_round=%.2f faults_a_round=%.0f\n",
           (double)result.work_ns / NS_PER_MS / (double)measured,
           (double)(faults() - faults_before) / (double)measured);
    for (unsigned i = 0; i < crew.n_workers; i++)
        result.ops += 2 * crew.workers[i].n_blocks * config.passes * measured;
}

static void config_parse(int argc, char **argv)
{
    const Positional positionals[] = {
        {"rounds", 1, 1000000, 1, &config.rounds, NULL, NULL},
        {"passes", 1, 1000000, 1, &config.passes, NULL, NULL},
        {"mib", 1, 1 << 20, 1, &config.mib, NULL, NULL},
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"pause_ms", 0, 3600000, 1, &config.pause_ms, NULL, NULL},
        {"min", 1, 1 << 30, 1, &config.min, NULL, NULL},
        {"max", 1, 1 << 30, 1, &config.max, &config.min, NULL},
        {"idle_s", 0, 86400 * (uint64_t)NS_PER_S, NS_PER_S, &config.idle_ns, NULL, NULL},
    };
    const CommandLine line = {
        .doc = "Threads that work, pause, and work again.\v"
               "In each of `rounds` rounds `threads` threads fill a working set of `mib` MiB with blocks of min to max "
               "bytes (256 to 4096) and free all of it, `passes` times; then all sleep for `pause_ms`. After the last "
               "round they stay asleep for `idle_s` seconds (0), and RSS is printed.\n\n"
               "One op is one malloc or one free; ops/s is over the CPU time of the whole process from the third round "
               "on, pauses included, so that what an allocator does in the background counts.",
        .args_doc = "rounds passes mib threads pause_ms [min max idle_s]",
        .positionals = positionals,
        .n_positionals = sizeof positionals / sizeof *positionals,
        .n_required = 5,
        .common = &config.common,
    };
    options_parse(&line, argc, argv);
    options_print(&line, "");
}

int main(int argc, char **argv)
{
    config_parse(argc, argv);
    hzb_open();
    uint64_t blocks = (config.mib << 20) / ((config.min + config.max) / 2);
    crew_make(&crew, (unsigned)config.threads, blocks, &config.common);
    self_memory_open(0);
    crew_start(&crew, worker_main);
    const uint64_t baseline = self_rss_bytes();
    rounds_run();
    hzb_phase("idle", 0);
    sleep_until_ns(clock_ns() + config.idle_ns);
    printf("[RSS] baseline=%.1f idle_end=%.1f MiB\n", mib(baseline), mib(self_rss_bytes()));
    crew_wait(&crew);
    crew_join(&crew);
    hzb_phase("post", 0);
    crew_account(&crew, &result);
    result_print(&result);
    hzb_finish(&result);
    return 0;
}
