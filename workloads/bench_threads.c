// Threads that live for a moment: each allocates a little, frees it and ends.
//
// It answers to servers with a thread for each request, and to mleak in D. Leijen's mimalloc-bench. Stressed are an
// allocator's first and last steps in a thread: does a new one find ready what one that ended has left?
#include "course.h"

enum { BLOCKS_MAX = 4096 };

typedef struct Config {
    uint64_t threads, starts, blocks, min, max;
    CommonOptions common;
} Config;

static Config config = {.blocks = 100, .min = 16, .max = 2048, .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;

static void *short_life(void *worker)
{
    Worker *w = worker;
    for (uint64_t i = 0; i < w->n_blocks; i++) {
        const uint32_t size = rng_size_cubed(&w->rng, config.min, config.max);
        worker_checksum_add(w, size);
        worker_alloc(w, &w->blocks[i], size, i);
    }
    worker_free_all(w);
    return NULL;
}

static void work(Worker *w)
{
    for (uint64_t i = 0; i < config.starts; i++)
        worker_in_new_thread(w, short_life);
}

static void config_parse(int argc, char **argv)
{
    const Positional positionals[] = {
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"starts", 1, 100000000, 1, &config.starts, NULL, NULL},
        {"blocks", 1, BLOCKS_MAX, 1, &config.blocks, NULL, NULL},
        {"min", 0, 1 << 30, 1, &config.min, NULL, NULL},
        {"max", 1, 1 << 30, 1, &config.max, &config.min, NULL},
    };
    const CommandLine line = {
        .doc = "Threads that allocate a little and end.\v"
               "At `threads` places one thread after the other is started, `starts` times. Each allocates `blocks` "
               "blocks (100) of min to max bytes (16 to 2048), frees them and ends.\n\n"
               "One op is the life of one thread.",
        .args_doc = "threads starts [blocks min max]",
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
    return course_main(&crew, config.threads, config.threads * config.blocks, &config.common,
                       (Course){.work = work, .after = worker_free_all},
                       (HzbResult){.ops = config.threads * config.starts});
}
