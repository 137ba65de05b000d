// The sizes that a program asks for shift from phase to phase, and a few blocks of each phase stay: what is RSS for
// each live byte then?
//
// It answers to the phase behaviour that P. Wilson et al. describe, "Dynamic Storage Allocation: A Survey and Critical
// Review" (IWMM 1995), and to B. Powers et al., "Mesh: Compacting Memory Management for C/C++ Applications" (PLDI
// 2019). Stressed is whether memory that one size left becomes usable for another, or goes back to the kernel.
#include "crew.h"
#include "self_memory.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct Config {
    uint64_t threads, live_mib, phases, min, keep_pct, settle_ns;
    CommonOptions common;
} Config;

static Config config = {
    .phases = 8, .min = 64, .keep_pct = 10, .settle_ns = 50000000, .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;
static HzbResult result;
static uint64_t phase; // the main thread changes it between two barriers
static uint64_t *held; // blocks that each worker has, at the front of its array

static uint64_t live_share(void)
{
    return (config.live_mib << 20) / config.threads;
}

// A failed malloc counts as if it had given what was asked for, so that all allocators are asked for the same.
static void grow(Worker *w)
{
    const uint64_t smallest = config.min << phase;
    for (uint64_t asked = (uint64_t)w->live_bytes; asked < live_share();) {
        const uint32_t size = (uint32_t)(smallest + rng_bounded((uint32_t)rng_next(&w->rng), smallest));
        worker_checksum_add(w, size);
        worker_alloc(w, &w->blocks[held[w->index]], size, w->allocated);
        if (w->blocks[held[w->index]].ptr != NULL) held[w->index]++;
        asked += size;
    }
}

static void thin_out(Worker *w)
{
    const uint64_t keep_limit = rng_percent_limit(config.keep_pct);
    uint64_t kept = 0;
    for (uint64_t i = 0; i < held[w->index]; i++) {
        if ((rng_next(&w->rng) >> 32) < keep_limit) {
            w->blocks[kept++] = w->blocks[i];
        } else {
            worker_free(w, w->blocks[i]);
            worker_publish_live(w);
        }
    }
    memset(&w->blocks[kept], 0, (held[w->index] - kept) * sizeof *w->blocks);
    held[w->index] = kept;
}

static void *worker_main(void *argument)
{
    Worker *w = argument;
    for (uint64_t i = 0; i < config.phases; i++) {
        worker_timed(w, grow);
        worker_timed(w, thin_out);
    }
    worker_free_all(w);
    return NULL;
}

static void timed_wait(const char *name)
{
    hzb_phase(name, (unsigned)phase + 1);
    crew_wait(&crew);
    crew_wait(&crew);
    result.work_ns += crew_span_ns(&crew);
}

static void phase_run(uint64_t baseline)
{
    timed_wait("grow");
    hzb_phase("idle", (unsigned)phase + 1);
    sleep_until_ns(clock_ns() + config.settle_ns);
    const uint64_t live = live_sum(crew.live_page), rss = self_rss_bytes();
    if (live > result.live_peak) result.live_peak = live;
    printf("[RSS] phase=%" PRIu64 " sizes=%" PRIu64 "..%" PRIu64 " above_baseline=%.1f live=%.1f MiB ratio=%.3f\n",
           phase + 1, config.min << phase, (config.min << (phase + 1)) - 1, (double)(rss - baseline) / (1 << 20),
           (double)live / (1 << 20), (double)(rss - baseline) / (double)live);
    fflush(stdout);
    timed_wait("thin_out");
}

static void config_parse(int argc, char **argv)
{
    const uint64_t second = 1000000000;
    const Positional positionals[] = {
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"live_mib", 1, 1 << 20, 1, &config.live_mib, NULL, NULL},
        {"phases", 1, 12, 1, &config.phases, NULL, NULL},
        {"min", 16, 4096, 1, &config.min, NULL, NULL},
        {"keep_pct", 0, 90, 1, &config.keep_pct, NULL, NULL},
        {"settle_s", 0, 3600 * second, second, &config.settle_ns, NULL, NULL},
    };
    const CommandLine line = {
        .doc =
            "Fills memory with blocks whose sizes double from phase to phase.\v"
            "In each of `phases` phases (8) `threads` threads allocate blocks until `live_mib` MiB are alive. The "
            "first "
            "phase has sizes from min to just below 2 min bytes (64 to 127), and each phase twice those of the one "
            "before. After settle_s seconds (0.05) of sleep RSS is read. Then all but a random keep_pct % (10) of the "
            "blocks are freed, and the next phase begins.\n\n"
            "One op is one malloc or one free; the time is without the sleep.",
        .args_doc = "threads live_mib [phases min keep_pct settle_s]",
        .positionals = positionals,
        .n_positionals = sizeof positionals / sizeof *positionals,
        .n_required = 2,
        .common = &config.common,
    };
    options_parse(&line, argc, argv);
    options_print(&line, "");
}

int main(int argc, char **argv)
{
    config_parse(argc, argv);
    hzb_open();
    crew_make(&crew, (unsigned)config.threads, config.threads * (live_share() / config.min + 1), &config.common);
    held = pages_map(config.threads * sizeof *held, "the numbers of blocks");
    self_memory_open(0);
    crew_start(&crew, worker_main);
    const uint64_t baseline = self_rss_bytes();
    for (phase = 0; phase < config.phases; phase++)
        phase_run(baseline);
    crew_join(&crew);
    hzb_phase("post", 0);
    crew_account(&crew, &result);
    result.ops = 2 * result.blocks;
    result_print(&result);
    hzb_finish(&result);
    return 0;
}
