// Some threads only allocate, the others only free: batch after batch goes one way.
//
// It answers to xmalloc-test (C. Lever and D. Boreham, "malloc() Performance in a Multithreaded Linux Environment",
// USENIX 2000). Stressed is memory that crosses threads in bulk and never comes back by itself.
#include "batches.h"
#include "course.h"

typedef struct Config {
    uint64_t producers, consumers, batches, batch, min, max, queued;
    CommonOptions common;
} Config;

static Config config = {.batch = 4096, .min = 64, .max = 64, .queued = 8, .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;
static BatchQueue full, empty;
static _Atomic uint64_t producers_left;

// How many batches are made is fixed for each producer, whoever takes them.
static void produce(Worker *w)
{
    const uint64_t sizes = config.max - config.min + 1;
    uint64_t count = 0;
    for (uint64_t i = 0; i < config.batches; i++) {
        Batch *batch = batch_queue_wait(&empty);
        for (batch->count = 0; batch->count < config.batch; batch->count++) {
            uint32_t size = (uint32_t)(config.min + rng_bounded((uint32_t)rng_next(&w->rng), sizes));
            worker_checksum_add(w, size);
            worker_alloc(w, &batch->blocks[batch->count], size, count++);
        }
        batch_queue_put(&full, batch);
    }
    if (atomic_fetch_sub(&producers_left, 1) == 1) batch_queue_close(&full);
}

static void consume(Worker *w)
{
    Batch *batch;
    while ((batch = batch_queue_wait(&full)) != NULL) {
        for (uint64_t i = 0; i < batch->count; i++)
            if (batch->blocks[i].ptr != NULL) worker_free(w, batch->blocks[i]);
        worker_publish_live(w);
        batch_queue_put(&empty, batch);
    }
}

static void work(Worker *w)
{
    if (w->index < config.producers)
        produce(w);
    else
        consume(w);
}

static void prepare(void)
{
    batch_queue_make(&full);
    batch_queue_make(&empty);
    Batch *batches = batches_make(config.queued, config.batch);
    for (uint64_t i = 0; i < config.queued; i++)
        batch_queue_put(&empty, &batches[i]);
    atomic_store(&producers_left, config.producers);
}

static void config_parse(int argc, char **argv)
{
    const Positional positionals[] = {
        {"producers", 1, LIVE_SLOTS / 2, 1, &config.producers, NULL, NULL},
        {"consumers", 1, LIVE_SLOTS / 2, 1, &config.consumers, NULL, NULL},
        {"batches", 1, UINT64_C(1000000000), 1, &config.batches, NULL, NULL},
        {"batch", 1, 1000000, 1, &config.batch, NULL, NULL},
        {"min", 0, 1 << 30, 1, &config.min, NULL, NULL},
        {"max", 1, 1 << 30, 1, &config.max, &config.min, NULL},
        {"queued", 1, 100000, 1, &config.queued, NULL, NULL},
    };
    const CommandLine line = {
        .doc =
            "Threads that only allocate hand batches to threads that only free.\v"
            "Each of `producers` threads allocates `batches` batches of `batch` blocks (4096) of min to max bytes (64 "
            "to 64). One of `consumers` threads takes each batch and frees it. At most `queued` batches (8) are on "
            "their way; then a producer sleeps, as a consumer does when there is none.\n\n"
            "One op is one block: one malloc and one free.",
        .args_doc = "producers consumers batches [batch min max queued]",
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
    const Course course = {.prepare = prepare, .work = work, .after = worker_free_all};
    return course_main(&crew, config.producers + config.consumers, 0, &config.common, course,
                       (HzbResult){.ops = config.producers * config.batches * config.batch,
                                   .has_remote = true,
                                   .actual_remote_pct = 100});
}
