// Many blocks, a row of them of one size, then all or most of them freed: in the order they came, the opposite one, a
// random one, and part of them by another thread.
//
// It answers to MicroQuill's SmartHeap benchmarks with the order `most`: with thousands of small blocks to sh6bench,
// with a hundred thousand of all sizes to sh8bench. With the order `halves` and a depth of 25 to 1,600 it answers to
// glibc's bench-malloc-simple. Stressed is what an allocator does when its caches overflow and run empty by turns,
// thousands of objects at a time.
#include "batches.h"
#include "course.h"

#include <sched.h>

enum { BATCHES_ON_THE_WAY = 4, MOST_KEEPS_ONE_OF = 5 };

typedef enum Order { FIFO, LIFO, RANDOM, TURNS, HALVES, MOST } Order;

static const char *const orders[] = {[FIFO] = "fifo",
                                     [LIFO] = "lifo",
                                     [RANDOM] = "random",
                                     [TURNS] = "turns",
                                     [HALVES] = "halves",
                                     [MOST] = "most",
                                     NULL};

typedef struct Config {
    uint64_t threads, rounds, depth, min, max, order, remote_pct, row;
    CommonOptions common;
} Config;

// A worker's full batches, from the one before it, and the empty ones that it fills for the next.
typedef struct Neighbour {
    BatchQueue full, empty;
    uint64_t handed_over, allocated;
} Neighbour;

static Config config = {
    .depth = 10000, .min = 16, .max = 1000, .order = TURNS, .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;
static Neighbour *neighbours; // one a worker
static uint32_t *shuffled;    // 0..depth-1 in a random order, the same for all

static bool is_remote(Worker *w)
{
    return (rng_next(&w->rng) >> 32) < rng_percent_limit(config.remote_pct);
}

static void batch_free(Worker *w, Batch *batch)
{
    for (uint64_t i = 0; i < batch->count; i++)
        worker_free(w, batch->blocks[i]);
    worker_publish_live(w);
    Neighbour *sender = &neighbours[(w->index + config.threads - 1) % config.threads];
    batch_queue_put(&sender->empty, batch);
}

static bool inbox_serve(Worker *w)
{
    Batch *batch = batch_queue_take(&neighbours[w->index].full);
    if (batch == NULL) return false;
    batch_free(w, batch);
    return true;
}

// Whoever waits for the next thread does what the one before it asked for, so a circle of waiting threads moves on.
static Batch *batch_get(Worker *w)
{
    for (;;) {
        Batch *batch = batch_queue_take(&neighbours[w->index].empty);
        if (batch != NULL) return batch;
        if (!inbox_serve(w)) sched_yield();
    }
}

// Takes the next thread's share out of the blocks.
static void hand_over(Worker *w)
{
    Batch *batch = batch_get(w);
    batch->count = 0;
    for (uint64_t i = 0; i < config.depth; i++) {
        if (!is_remote(w) || w->blocks[i].ptr == NULL) continue;
        batch->blocks[batch->count++] = w->blocks[i];
        w->blocks[i].ptr = NULL;
    }
    neighbours[w->index].handed_over += batch->count;
    batch_queue_put(&neighbours[(w->index + 1) % config.threads].full, batch);
}

static void free_at(Worker *w, uint64_t index)
{
    if (w->blocks[index].ptr == NULL) return;
    worker_free(w, w->blocks[index]);
    w->blocks[index].ptr = NULL;
}

// Frees what lies before the places from `start` to `end` from the front, and what lies behind them from the back.
static void free_around(Worker *w, uint64_t start, uint64_t end)
{
    for (uint64_t i = 0; i < start; i++)
        free_at(w, i);
    for (uint64_t i = config.depth; i > end; i--)
        free_at(w, i - 1);
}

// A fifth stays for a round, another one each time.
static void free_most(Worker *w, uint64_t round)
{
    const uint64_t kept = config.depth / MOST_KEEPS_ONE_OF;
    const uint64_t start = round % MOST_KEEPS_ONE_OF * kept;
    free_around(w, start, start + kept);
}

static void free_in_order(Worker *w, uint64_t round)
{
    switch (config.order == TURNS ? (Order)(round % TURNS) : (Order)config.order) {
    case FIFO:
        free_around(w, config.depth, config.depth);
        break;
    case LIFO:
        free_around(w, 0, 0);
        break;
    case HALVES:
        free_around(w, config.depth / 2, config.depth / 2);
        break;
    case MOST:
        free_most(w, round);
        break;
    default:
        for (uint64_t i = 0; i < config.depth; i++)
            free_at(w, shuffled[i]);
    }
    worker_publish_live(w);
}

static uint64_t fill(Worker *w, uint64_t count)
{
    const uint64_t row = config.row > 0 ? config.row : config.depth;
    uint32_t size = 0;
    for (uint64_t i = 0, filled = 0; i < config.depth; i++) {
        if (w->blocks[i].ptr != NULL) continue;
        if (filled++ % row == 0) {
            size = rng_size_cubed(&w->rng, config.min, config.max);
            worker_checksum_add(w, size);
        }
        worker_alloc(w, &w->blocks[i], size, count++);
    }
    return count;
}

static void work(Worker *w)
{
    uint64_t count = 0;
    for (uint64_t round = 0; round < config.rounds; round++) {
        count = fill(w, count);
        if (config.remote_pct > 0) {
            while (inbox_serve(w)) {
            }
            hand_over(w);
        }
        free_in_order(w, round);
    }
    neighbours[w->index].allocated = count;
}

static void serve(Worker *w)
{
    if (!inbox_serve(w)) sched_yield();
}

static void after(Worker *w)
{
    while (inbox_serve(w)) {
    }
    worker_free_all(w);
}

static void prepare(void)
{
    neighbours = pages_map(config.threads * sizeof *neighbours, "the threads' queues");
    for (unsigned i = 0; i < config.threads; i++) {
        batch_queue_make(&neighbours[i].full);
        batch_queue_make(&neighbours[i].empty);
        if (config.remote_pct == 0) continue;
        Batch *batches = batches_make(BATCHES_ON_THE_WAY, config.depth);
        for (unsigned k = 0; k < BATCHES_ON_THE_WAY; k++)
            batch_queue_put(&neighbours[i].empty, &batches[k]);
    }
    shuffled = pages_map(config.depth * sizeof *shuffled, "a random order");
    Rng rng = rng_make(config.common.seed, LIVE_SLOTS);
    for (uint32_t i = 0; i < config.depth; i++) {
        uint32_t other = (uint32_t)rng_bounded((uint32_t)rng_next(&rng), i + 1);
        shuffled[i] = shuffled[other];
        shuffled[other] = i;
    }
}

static void count(HzbResult *result)
{
    uint64_t handed_over = 0;
    for (unsigned i = 0; i < config.threads; i++) {
        handed_over += neighbours[i].handed_over;
        result->ops += neighbours[i].allocated;
    }
    if (config.remote_pct == 0) return;
    result->has_remote = true;
    result->actual_remote_pct = 100.0 * (double)handed_over / (double)result->ops;
}

static void config_parse(int argc, char **argv)
{
    const Positional positionals[] = {
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"rounds", 1, UINT64_C(1000000000), 1, &config.rounds, NULL, NULL},
        {"depth", 1, 10000000, 1, &config.depth, NULL, NULL},
        {"min", 0, 1 << 30, 1, &config.min, NULL, NULL},
        {"max", 1, 1 << 30, 1, &config.max, &config.min, NULL},
        {.name = "order", .value = &config.order, .words = orders},
        {"remote_pct", 0, 100, 1, &config.remote_pct, NULL, NULL},
        {"row", 0, UINT64_C(1000000000), 1, &config.row, NULL, NULL},
    };
    const CommandLine line = {
        .doc = "Allocates many blocks, a row of them of one size, then frees all or most of them.\v"
               "In each of `rounds` rounds a thread allocates blocks until it has `depth` (10000), and frees them. Of "
               "min to max bytes (16 to 1000, small ones more often) it draws a new size after each `row` blocks; 0, "
               "the default, means a size a round. `order` is fifo, lifo, random, or turns (the default), which takes "
               "the three by turns; halves, the older half first in, first out, then the younger one last in, first "
               "out; or most, which does the same around a fifth of the blocks that stays for a round, each time "
               "another fifth. remote_pct % (0) of the blocks go to the next thread in one batch, which frees them.\n\n"
               "One op is one block: one malloc and one free.",
        .args_doc = "threads rounds [depth min max order remote_pct row]",
        .positionals = positionals,
        .n_positionals = sizeof positionals / sizeof *positionals,
        .n_required = 2,
        .common = &config.common,
    };
    options_parse(&line, argc, argv);
    if (config.order == MOST && config.remote_pct > 0)
        die(EXIT_USAGE, "argument remote_pct: '%u': expected 0 with the order most", (unsigned)config.remote_pct);
    if (config.threads == 1 && config.remote_pct > 0)
        die(EXIT_USAGE, "argument remote_pct: '%u': expected 0, as one thread has nobody to hand blocks to",
            (unsigned)config.remote_pct);
    options_print(&line, "");
}

int main(int argc, char **argv)
{
    config_parse(argc, argv);
    const Course course = {.prepare = prepare, .work = work, .serve = serve, .after = after, .account = count};
    return course_main(&crew, config.threads, config.threads * config.depth, &config.common, course, (HzbResult){0});
}
