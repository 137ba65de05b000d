// Large blocks, from 64 KiB to 32 MiB, that are replaced at random.
//
// It answers to malloc-large in D. Leijen's mimalloc-bench (5 to 25 MB). Stressed are maps and unmaps, page faults, and
// how much of a freed large block is kept for the next one.
#include "course.h"

typedef struct Config {
    uint64_t threads, iters, ws, min, max;
    CommonOptions common;
} Config;

static Config config = {.ws = 10, .min = 64 << 10, .max = 32 << 20, .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;

static void work(Worker *w)
{
    for (uint64_t i = 0; i < config.iters; i++) {
        const uint64_t at = rng_bounded((uint32_t)rng_next(&w->rng), w->n_blocks);
        const uint32_t size = rng_size_cubed(&w->rng, config.min, config.max);
        worker_checksum_add(w, at << 32 ^ size);
        if (w->blocks[at].ptr != NULL) worker_free(w, w->blocks[at]);
        worker_alloc(w, &w->blocks[at], size, i);
    }
}

static void config_parse(int argc, char **argv)
{
    const Positional positionals[] = {
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"iters", 1, UINT64_C(1000000000), 1, &config.iters, NULL, NULL},
        {"ws", 1, 1000000, 1, &config.ws, NULL, NULL},
        {"min", 1, 1 << 30, 1, &config.min, NULL, NULL},
        {"max", 1, 1 << 30, 1, &config.max, &config.min, NULL},
    };
    const CommandLine line = {
        .doc = "Replaces large blocks in a working set of each thread.\v"
               "In each of `iters` iterations a thread frees a random one of its `ws` blocks (10) and allocates one of "
               "min to max bytes (65536 to 33554432), small ones more often. It writes one byte to each page.\n\n"
               "One op is one iteration: one free and one malloc.",
        .args_doc = "threads iters [ws min max]",
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
    return course_main(&crew, config.threads, config.threads * config.ws, &config.common,
                       (Course){.work = work, .after = worker_free_all},
                       (HzbResult){.ops = config.threads * config.iters});
}
