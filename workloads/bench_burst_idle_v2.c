// Threads that allocate a burst, free most of it and sleep: how much memory does the process keep meanwhile?
#include "crew.h"
#include "self_memory.h"

#include <inttypes.h>
#include <stdio.h>

enum { NS_PER_MS = 1000000, SETTLE_NS = 1000000000 };

// There when hz3 is preloaded, NULL with any other allocator.
extern void hz3_epoch_force(void) __attribute__((weak));

typedef struct Config {
    uint64_t objs, idle_ns, cycles, keep_pct, threads, min, max, keep_hold, idle_tick_ms, dump_mode;
    CommonOptions common;
} Config;

static Config config = {.min = 256, .max = 4096, .keep_hold = 1, .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;
static HzbResult result;

static void burst(Worker *w)
{
    const uint64_t sizes = config.max - config.min + 1;
    for (uint64_t i = 0; i < w->n_blocks; i++) {
        uint32_t size = (uint32_t)(config.min + rng_bounded((uint32_t)rng_next(&w->rng), sizes));
        worker_checksum_add(w, size);
        worker_alloc(w, &w->blocks[i], size, i);
    }
}

static void free_all_but_kept(Worker *w)
{
    const uint64_t keep_limit = rng_percent_limit(config.keep_pct);
    for (uint64_t i = 0; i < w->n_blocks; i++) {
        bool keep = (rng_next(&w->rng) >> 32) < keep_limit;
        worker_checksum_add(w, keep);
        if (keep || w->blocks[i].ptr == NULL) continue;
        worker_free(w, w->blocks[i]);
        w->blocks[i].ptr = NULL;
        worker_publish_live(w);
    }
}

static void *worker_main(void *argument)
{
    Worker *w = argument;
    for (uint64_t cycle = 1; cycle <= (config.keep_hold ? config.cycles : 1); cycle++) {
        worker_timed(w, burst);
        worker_timed(w, free_all_but_kept);
        if (!config.keep_hold) break;
        crew_wait(&crew); // asleep until the idle window is over
        worker_free_all(w);
        crew_wait(&crew);
    }
    return NULL;
}

// Mallocs and frees so far.
static uint64_t ops_done(void)
{
    uint64_t ops = 0;
    for (unsigned i = 0; i < crew.n_workers; i++)
        ops += crew.workers[i].allocated + crew.workers[i].freed;
    return ops;
}

static void phase_run(const char *name, unsigned cycle)
{
    uint64_t ops_before = ops_done();
    hzb_phase(name, cycle);
    crew_wait(&crew);
    crew_wait(&crew);
    result.work_ns += crew_span_ns(&crew);
    result.ops += ops_done() - ops_before;
    // Live bytes only grow in a burst and only fall in a free phase, so the end of a burst is the peak.
    uint64_t live = live_sum(crew.live_page);
    if (live > result.live_peak) result.live_peak = live;
}

// Sleeps until the deadline and calls hz3_epoch_force() at the asked period meanwhile.
static void idle_until_ns(uint64_t deadline_ns, uint64_t *next_tick_ns)
{
    while (config.idle_tick_ms > 0 && hz3_epoch_force != NULL && *next_tick_ns < deadline_ns) {
        sleep_until_ns(*next_tick_ns);
        hz3_epoch_force();
        *next_tick_ns += config.idle_tick_ms * NS_PER_MS;
    }
    sleep_until_ns(deadline_ns);
}

static void idle_run(unsigned cycle, uint64_t *after_settle, uint64_t *at_end)
{
    hzb_phase("idle", cycle);
    uint64_t start_ns = clock_ns();
    uint64_t next_tick_ns = start_ns + config.idle_tick_ms * NS_PER_MS;
    *after_settle = 0;
    if (config.idle_ns >= SETTLE_NS) {
        idle_until_ns(start_ns + SETTLE_NS, &next_tick_ns);
        *after_settle = self_rss_bytes();
    }
    idle_until_ns(start_ns + config.idle_ns, &next_tick_ns);
    *at_end = self_rss_bytes();
    self_memory_dump("idle", cycle);
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void release_kept(void)
{
    if (config.keep_hold) {
        crew_wait(&crew);
        crew_wait(&crew);
        return;
    }
    for (unsigned i = 0; i < crew.n_workers; i++)
        worker_free_all(&crew.workers[i]);
}

static void cycle_run(unsigned cycle)
{
    if (!config.keep_hold) crew_start(&crew, worker_main);
    phase_run("burst", cycle);
    uint64_t peak = self_rss_bytes();
    self_memory_dump("burst", cycle);
    phase_run("free", cycle);
    if (!config.keep_hold) crew_join(&crew);
    uint64_t after_free = self_rss_bytes();
    self_memory_dump("free", cycle);
    uint64_t after_settle, at_end;
    idle_run(cycle, &after_settle, &at_end);
    char settled[32] = "-";
    if (after_settle > 0) snprintf(settled, sizeof settled, "%.1f", mib(after_settle));
    printf("[RSS] cycle=%u peak=%.1f after_free=%.1f after_1s=%s idle_end=%.1f kept=%.1f MiB\n", cycle, mib(peak),
           mib(after_free), settled, mib(at_end), mib(live_sum(crew.live_page)));
    fflush(stdout);
    release_kept();
}

static void config_parse(int argc, char **argv)
{
    const uint64_t second = 1000000000;
    const Positional positionals[] = {
        {"objs", 1, second, 1, &config.objs, NULL, NULL},
        {"idle_s", 0, 86400 * second, second, &config.idle_ns, NULL, NULL},
        {"cycles", 1, 1000000, 1, &config.cycles, NULL, NULL},
        {"keep_pct", 0, 100, 1, &config.keep_pct, NULL, NULL},
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"min", 0, 1 << 30, 1, &config.min, NULL, NULL},
        {"max", 1, 1 << 30, 1, &config.max, &config.min, NULL},
        {"keep_hold", 0, 1, 1, &config.keep_hold, NULL, NULL},
        {"idle_tick_ms", 0, 3600000, 1, &config.idle_tick_ms, NULL, NULL},
        {"dump_mode", 0, 2, 1, &config.dump_mode, NULL, NULL},
    };
    const CommandLine line = {
        .doc = "Allocates a burst of blocks, frees most of them and sleeps, in cycles.\v"
               "In each cycle `threads` threads allocate `objs` blocks of min to max bytes (256 to 4096) between them, "
               "free all but `keep_pct` % and sleep for `idle_s` seconds (0.25 is fine). keep_hold 1 (default): the "
               "threads stay alive and asleep. keep_hold 0: they end, new ones start in each cycle. What was kept is "
               "freed after the idle window. idle_tick_ms > 0: the main thread calls hz3_epoch_force() at that period "
               "meanwhile, if there is one. dump_mode 1 or 2: smaps_rollup or smaps of each phase's end is appended to "
               "the file that $S59_2_DUMP_PATH names, or to stderr without it.\n\n"
               "One op is one malloc or one free of the burst and free phases; ops/s is over these phases' time.",
        .args_doc = "objs idle_s cycles keep_pct threads [min max keep_hold idle_tick_ms dump_mode]",
        .positionals = positionals,
        .n_positionals = sizeof positionals / sizeof *positionals,
        .n_required = 5,
        .common = &config.common,
    };
    options_parse(&line, argc, argv);
    options_print(&line, hz3_epoch_force != NULL ? " epoch_force=found" : " epoch_force=absent");
}

int main(int argc, char **argv)
{
    config_parse(argc, argv);
    hzb_open();
    crew_make(&crew, (unsigned)config.threads, config.objs, &config.common);
    self_memory_open((unsigned)config.dump_mode);
    if (config.keep_hold) crew_start(&crew, worker_main);
    printf("[RSS] baseline=%.1f MiB\n", mib(self_rss_bytes()));
    fflush(stdout);
    self_memory_dump("baseline", 0);
    for (unsigned cycle = 1; cycle <= config.cycles; cycle++)
        cycle_run(cycle);
    if (config.keep_hold) crew_join(&crew);
    hzb_phase("post", 0);
    crew_account(&crew, &result);
    result_print(&result);
    hzb_finish(&result);
    return 0;
}
