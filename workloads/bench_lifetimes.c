// Blocks of mixed lifetimes in threads that start and end: some die young, some stay as long as their thread, and some
// change hands by way of a shared table, which all threads find as the ones before left it.
//
// It answers to mimalloc's stress test, known as mstress in D. Leijen's mimalloc-bench. Stressed are frees from any
// thread to any other, pages that hold young and old blocks together, and what threads leave when they end.
#include "course.h"

enum { YOUNG = 64, SHARED_MAX = 1 << 20, BUSY = 1 };

typedef struct Config {
    uint64_t threads, rounds, blocks, min, max, old_pct, shared_pct, shared;
    CommonOptions common;
} Config;

// Whoever sets `busy` from 0 to 1 owns the block until it stores 0.
typedef struct SharedSlot {
    _Atomic uint32_t busy;
    Block block;
} SharedSlot;

static Config config = {.min = 16,
                        .max = 65536,
                        .old_pct = 50,
                        .shared_pct = 25,
                        .shared = 1000,
                        .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;
static SharedSlot *shared;

static void block_free(Worker *w, Block *block)
{
    if (block->ptr != NULL) worker_free(w, *block);
    block->ptr = NULL;
}

// Nobody waits for a slot: the next one will do.
static void exchange(uint64_t at, Block *block)
{
    SharedSlot *slot = &shared[at];
    while (atomic_exchange_explicit(&slot->busy, BUSY, memory_order_acquire) == BUSY)
        slot = &shared[++at % config.shared];
    Block found = slot->block;
    slot->block = *block;
    *block = found;
    atomic_store_explicit(&slot->busy, 0, memory_order_release);
}

static void *round_run(void *worker)
{
    Worker *w = worker;
    const uint64_t old_limit = rng_percent_limit(config.old_pct), shared_limit = rng_percent_limit(config.shared_pct);
    Block young[YOUNG] = {0};
    for (uint64_t i = 0; i < config.blocks; i++) {
        const uint64_t r = rng_next(&w->rng), q = rng_next(&w->rng);
        const uint32_t size = rng_size_halving(&w->rng, config.min, config.max);
        worker_checksum_add(w, size);
        const bool is_old = (uint32_t)r < old_limit;
        Block *place = is_old ? &w->blocks[rng_bounded((uint32_t)q, w->n_blocks)] : &young[i % YOUNG];
        block_free(w, place);
        worker_alloc(w, place, size, i);
        if ((r >> 32) < shared_limit) exchange(rng_bounded((uint32_t)(q >> 32), config.shared), place);
    }
    for (unsigned i = 0; i < YOUNG; i++)
        block_free(w, &young[i]);
    worker_free_all(w);
    worker_publish_live(w);
    return NULL;
}

static void work(Worker *w)
{
    for (uint64_t round = 0; round < config.rounds; round++)
        worker_in_new_thread(w, round_run);
}

static void after(Worker *w)
{
    for (uint64_t at = w->index; at < config.shared; at += config.threads)
        block_free(w, &shared[at].block);
    worker_publish_live(w);
}

static void config_parse(int argc, char **argv)
{
    const Positional positionals[] = {
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"rounds", 1, 1000000, 1, &config.rounds, NULL, NULL},
        {"blocks", 1, UINT64_C(1000000000), 1, &config.blocks, NULL, NULL},
        {"min", 1, 1 << 30, 1, &config.min, NULL, NULL},
        {"max", 1, 1 << 30, 1, &config.max, &config.min, NULL},
        {"old_pct", 0, 100, 1, &config.old_pct, NULL, NULL},
        {"shared_pct", 0, 100, 1, &config.shared_pct, NULL, NULL},
        {"shared", 1, SHARED_MAX, 1, &config.shared, NULL, NULL},
    };
    const CommandLine line = {
        .doc = "Blocks that live shortly, as long as their thread, or in a table that all threads share.\v"
               "In each of `rounds` rounds a new thread takes the place of each of `threads` threads and allocates "
               "`blocks` blocks of min to max bytes (16 to 65536), small ones more often. Of these old_pct % (50) take "
               "the place of a random one among the thread's old blocks, which are at most half of `blocks` and die "
               "with it. The others die when 64 younger ones have come. shared_pct % (25) are exchanged at once for "
               "what lies in a random one of `shared` slots (1000).\n\n"
               "One op is one malloc, with the free of what had its place.",
        .args_doc = "threads rounds blocks [min max old_pct shared_pct shared]",
        .positionals = positionals,
        .n_positionals = sizeof positionals / sizeof *positionals,
        .n_required = 3,
        .common = &config.common,
    };
    options_parse(&line, argc, argv);
    options_print(&line, "");
}

static void make_shared(void)
{
    shared = pages_map(config.shared * sizeof *shared, "the shared slots");
}

int main(int argc, char **argv)
{
    config_parse(argc, argv);
    return course_main(&crew, config.threads, config.threads * (config.blocks / 2 + 1), &config.common,
                       (Course){.prepare = make_shared, .work = work, .after = after},
                       (HzbResult){.ops = config.threads * config.rounds * config.blocks});
}
