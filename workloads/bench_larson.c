// Threads that replace blocks at random, then end and hand all they have to a new thread.
//
// It answers to the server benchmark of P.-Å. Larson and M. Krishnan, "Memory Allocation for Long-Running Server
// Applications" (ISMM 1998), known as larson. Stressed are the frees of blocks that a thread which is gone allocated,
// what an allocator keeps for threads that ended, and how it starts new ones.
#include "course.h"

typedef struct Config {
    uint64_t threads, blocks, min, max, iters, generations;
    CommonOptions common;
} Config;

static Config config = {.blocks = 5000,
                        .min = 8,
                        .max = 1000,
                        .iters = 250000,
                        .generations = 20,
                        .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;

static void replace(Worker *w, uint64_t index, uint32_t bits, uint64_t count)
{
    uint32_t size = (uint32_t)(config.min + rng_bounded(bits, config.max - config.min + 1));
    worker_checksum_add(w, index << 32 ^ size);
    if (w->blocks[index].ptr != NULL) worker_free(w, w->blocks[index]);
    worker_alloc(w, &w->blocks[index], size, count);
}

// The first blocks are another thread's, as all later generations find them.
static void fill(void)
{
    for (Worker *w = crew.workers; w < crew.workers + crew.n_workers; w++)
        for (uint64_t i = 0; i < w->n_blocks; i++)
            replace(w, i, (uint32_t)rng_next(&w->rng), i);
}

static void *generation_run(void *worker)
{
    Worker *w = worker;
    for (uint64_t i = 0; i < config.iters; i++) {
        uint64_t r = rng_next(&w->rng);
        replace(w, rng_bounded((uint32_t)r, w->n_blocks), (uint32_t)(r >> 32), i);
    }
    return NULL;
}

// One generation is alive at a time; the worker's own thread waits, as it must tell the crew when all is done.
static void work(Worker *w)
{
    for (uint64_t generation = 0; generation < config.generations; generation++)
        worker_in_new_thread(w, generation_run);
}

static void config_parse(int argc, char **argv)
{
    const Positional positionals[] = {
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"blocks", 1, 100000000, 1, &config.blocks, NULL, NULL},
        {"min", 0, 1 << 30, 1, &config.min, NULL, NULL},
        {"max", 1, 1 << 30, 1, &config.max, &config.min, NULL},
        {"iters", 1, UINT64_C(1000000000000), 1, &config.iters, NULL, NULL},
        {"generations", 1, 1000000, 1, &config.generations, NULL, NULL},
    };
    const CommandLine line = {
        .doc =
            "Threads replace random blocks, then end and leave them to a new thread.\v"
            "Each of `threads` lines has `blocks` blocks (5000) of min to max bytes (8 to 1000), which the main thread "
            "allocates. A thread of the line replaces a random one of them `iters` times (250000) and ends. The next "
            "one goes on with the same blocks, `generations` times (20).\n\n"
            "One op is one replacement: one free and one malloc. The time has the starts and ends of threads in it.",
        .args_doc = "threads [blocks min max iters generations]",
        .positionals = positionals,
        .n_positionals = sizeof positionals / sizeof *positionals,
        .n_required = 1,
        .common = &config.common,
    };
    options_parse(&line, argc, argv);
    options_print(&line, "");
}

int main(int argc, char **argv)
{
    config_parse(argc, argv);
    return course_main(&crew, config.threads, config.threads * config.blocks, &config.common,
                       (Course){.prepare = fill, .work = work, .after = worker_free_all},
                       (HzbResult){.ops = config.threads * config.generations * config.iters});
}
