// Blocks that grow and shrink by realloc: buffers that double, strings that get longer step by step, results that are
// cut to size, and arrays of vectors.
//
// It answers to what interpreters, databases and parsers do, for which the field has no small program. Stressed is
// whether a block can change its size where it is, and what a move costs.
#include "course.h"

typedef enum Pattern { DOUBLE, LINEAR, SHRINK, VECTORS } Pattern;

static const char *const patterns[] = {
    [DOUBLE] = "double", [LINEAR] = "linear", [SHRINK] = "shrink", [VECTORS] = "vectors", NULL};

enum { SMALLEST = 16, STEP_MAX = 256 };

typedef struct Config {
    uint64_t threads, iters, pattern, max, ws;
    CommonOptions common;
} Config;

static Config config = {.max = 65536, .ws = 100, .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;

// The next size of a block that has `size` bytes; 0 when its life is over.
static uint32_t size_next(Worker *w, uint32_t size)
{
    const uint64_t bits = rng_next(&w->rng) >> 32;
    uint64_t next = 0;
    switch ((Pattern)config.pattern) {
    case DOUBLE:
        next = size * UINT64_C(2);
        break;
    case LINEAR:
        next = size + 1 + rng_bounded((uint32_t)bits, STEP_MAX);
        break;
    case SHRINK:
        return size > SMALLEST ? size / 2 : 0;
    case VECTORS: // one vector of four is cut to a quarter
        next = bits % 4 == 0 && size >= 4 * SMALLEST ? size / 4 : size + size / UINT64_C(2);
        break;
    }
    return next <= config.max ? (uint32_t)next : 0;
}

static uint32_t size_first(Worker *w)
{
    const uint64_t bits = rng_next(&w->rng) >> 32;
    if (config.pattern == SHRINK) return (uint32_t)(config.max / 2 + 1 + rng_bounded((uint32_t)bits, config.max / 2));
    return (uint32_t)(SMALLEST + rng_bounded((uint32_t)bits, SMALLEST));
}

// The size that a block should have goes on even when the allocator had no memory for it.
static void step(Worker *w, uint64_t at, uint32_t *wanted, uint64_t count)
{
    Block *block = &w->blocks[at];
    *wanted = *wanted == 0 ? size_first(w) : size_next(w, *wanted);
    worker_checksum_add(w, at << 32 ^ *wanted);
    if (*wanted == 0) {
        if (block->ptr != NULL) worker_free(w, *block);
        block->ptr = NULL;
    } else if (block->ptr == NULL) {
        worker_alloc(w, block, *wanted, count);
    } else {
        worker_realloc(w, block, *wanted);
    }
}

static void work(Worker *w)
{
    uint32_t *wanted = pages_map(w->n_blocks * sizeof *wanted, "the blocks' sizes");
    for (uint64_t i = 0; i < config.iters; i++) {
        const uint64_t at = rng_bounded((uint32_t)rng_next(&w->rng), w->n_blocks);
        step(w, at, &wanted[at], i);
    }
}

static void config_parse(int argc, char **argv)
{
    const Positional positionals[] = {
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"iters", 1, UINT64_C(1000000000000), 1, &config.iters, NULL, NULL},
        {.name = "pattern", .value = &config.pattern, .words = patterns},
        {"max", 2 * SMALLEST, 1 << 30, 1, &config.max, NULL, NULL},
        {"ws", 1, 10000000, 1, &config.ws, NULL, NULL},
    };
    const CommandLine line = {
        .doc =
            "Changes the size of blocks by realloc.\v"
            "In each of `iters` iterations a thread picks one of its `ws` blocks (100) and changes its size by "
            "`pattern`. double: from 16 to 31 bytes on, twice as much each time. linear: 1 to 256 bytes more. "
            "shrink: from more than half of `max` down to 16 bytes, by halves. vectors: half as much more, or in one "
            "case of four a quarter. A block that would exceed `max` bytes (65536), or has shrunk to 16, is freed; "
            "the next time a new one takes its place.\n\n"
            "One op is one iteration: one malloc, realloc or free.",
        .args_doc = "threads iters pattern [max ws]",
        .positionals = positionals,
        .n_positionals = sizeof positionals / sizeof *positionals,
        .n_required = 3,
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
