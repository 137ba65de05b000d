// How much of a fixed arena can be alive when the first request fails? Threads fill it level by level, replace blocks
// at each level, and stop when malloc returns NULL.
#include "crew.h"
#include "ring.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>

enum { RING_SLOTS = 1024, DRAIN_PERIOD = 32 };

typedef struct Config {
    uint64_t threads, arena_mib, min, max, remote_pct, churn_pct, first_pct, step_pct, last_pct;
    CommonOptions common;
} Config;

// One a worker; its ring is written by others, the rest is its own.
typedef struct Filler {
    Ring *ring;
    uint64_t held;       // blocks in the worker's slots
    uint64_t held_bytes; // usable bytes of those
    uint64_t handed_over, replaced;
} Filler;

static Config config = {
    .churn_pct = 200, .first_pct = 500, .step_pct = 10, .last_pct = 1050, .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;
static Filler *fillers;
static uint64_t level; // of the arena in 1/1000; the main thread changes it between two barriers
static _Atomic bool failed;

static void take_block(void *worker, Block block)
{
    worker_free(worker, block);
}

static void drain_ring(Worker *w)
{
    if (ring_drain(fillers[w->index].ring, RING_SLOTS, take_block, w) > 0) worker_publish_live(w);
}

// What counts is what the program may use of a block, so that is its size here. False: malloc returned NULL.
static bool fill_slot(Worker *w, uint64_t at)
{
    Block *block = &w->blocks[at];
    uint32_t size = (uint32_t)(config.min + rng_bounded((uint32_t)rng_next(&w->rng), config.max - config.min + 1));
    block->ptr = malloc(size);
    if (block->ptr == NULL) {
        worker_note_failure(w);
        atomic_store(&failed, true);
        return false;
    }
    block->size = (uint32_t)malloc_usable_size(block->ptr);
    block->tag = object_tag(w->index, w->allocated);
    object_write(*block, w->touch);
    w->live_bytes += block->size;
    w->allocated++;
    fillers[w->index].held_bytes += block->size;
    worker_publish_live(w);
    return true;
}

static void empty_slot(Worker *w, uint64_t at)
{
    Filler *own = &fillers[w->index];
    uint64_t bits = rng_next(&w->rng);
    Block block = w->blocks[at];
    w->blocks[at].ptr = NULL;
    own->held_bytes -= block.size;
    own->replaced++;
    bool is_remote = (bits >> 32) < rng_percent_limit(config.remote_pct);
    uint64_t to = (w->index + 1 + rng_bounded((uint32_t)bits, config.threads - 1)) % config.threads;
    if (is_remote && ring_push(fillers[to].ring, &block, 1)) {
        own->handed_over++;
    } else {
        worker_free(w, block);
        worker_publish_live(w);
    }
}

static void grow(Worker *w, uint64_t target_bytes)
{
    Filler *own = &fillers[w->index];
    while (own->held_bytes < target_bytes && own->held < w->n_blocks && !atomic_load(&failed)) {
        if (own->held % DRAIN_PERIOD == 0) drain_ring(w);
        if (!fill_slot(w, own->held)) return;
        own->held++;
    }
}

static void churn(Worker *w)
{
    Filler *own = &fillers[w->index];
    uint64_t replacements = own->held * config.churn_pct / 100;
    for (uint64_t i = 0; i < replacements && !atomic_load(&failed); i++) {
        if (i % DRAIN_PERIOD == 0) drain_ring(w);
        uint64_t at = rng_bounded((uint32_t)(rng_next(&w->rng) >> 32), own->held);
        empty_slot(w, at);
        if (!fill_slot(w, at)) { // the last slot fills the gap: slots below `held` are full
            w->blocks[at] = w->blocks[--own->held];
            w->blocks[own->held].ptr = NULL;
        }
    }
}

static void *worker_main(void *argument)
{
    Worker *w = argument;
    w->start_ns = clock_ns();
    for (;;) {
        crew_wait(&crew);
        if (level == 0) break;
        grow(w, config.arena_mib * 1048576 / 1000 * level / config.threads);
        churn(w);
        crew_wait(&crew);
    }
    w->end_ns = clock_ns();
    drain_ring(w);
    worker_free_all(w);
    return NULL;
}

static uint64_t levels_run(void)
{
    uint64_t live_peak = 0;
    for (level = config.first_pct; level <= config.last_pct && !atomic_load(&failed); level += config.step_pct) {
        crew_wait(&crew);
        crew_wait(&crew);
        uint64_t live = live_sum(crew.live_page);
        if (live > live_peak) live_peak = live;
    }
    level = 0;
    crew_wait(&crew);
    return live_peak;
}

static void config_parse(int argc, char **argv)
{
    const Positional positionals[] = {
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"arena_mib", 1, 1 << 24, 1, &config.arena_mib, NULL, NULL},
        {"min", 1, 1 << 30, 1, &config.min, NULL, NULL},
        {"max", 1, 1 << 30, 1, &config.max, &config.min, NULL},
        {"remote_pct", 0, 100, 1, &config.remote_pct, NULL, NULL},
        {"churn_pct", 0, 10000, 1, &config.churn_pct, NULL, NULL},
        {"first_pct", 1, 2000, 10, &config.first_pct, NULL, NULL},
        {"step_pct", 1, 1000, 10, &config.step_pct, NULL, NULL},
        {"last_pct", 1, 2000, 10, &config.last_pct, &config.first_pct, NULL},
    };
    const CommandLine line = {
        .doc =
            "Fills `arena_mib` MiB level by level until malloc returns NULL, and says how much was alive then.\v"
            "The levels rise from first_pct (50) by step_pct (1) to last_pct (105) % of the arena. At each the threads "
            "allocate blocks of min to max bytes up to it, then replace random ones, churn_pct (200) % of those they "
            "have; remote_pct % of the replaced ones are freed by another thread. Bytes are those of "
            "malloc_usable_size. The first NULL ends it.\n\n"
            "One op is one malloc that succeeded; the time is from the first thread's start to the last one's end.",
        .args_doc = "threads arena_mib min max remote_pct [churn_pct first_pct step_pct last_pct]",
        .positionals = positionals,
        .n_positionals = sizeof positionals / sizeof *positionals,
        .n_required = 5,
        .common = &config.common,
    };
    options_parse(&line, argc, argv);
    if (config.threads == 1 && config.remote_pct > 0)
        die(EXIT_USAGE, "argument remote_pct: '%" PRIu64 "': expected 0, as one thread has nobody to hand blocks to",
            config.remote_pct);
    options_print(&line, "");
}

static void result_make(HzbResult *result)
{
    uint64_t handed_over = 0, replaced = 0;
    for (unsigned i = 0; i < config.threads; i++) {
        result->ops += crew.workers[i].allocated;
        handed_over += fillers[i].handed_over;
        replaced += fillers[i].replaced;
    }
    result->work_ns = crew_span_ns(&crew);
    result->has_remote = replaced > 0;
    result->actual_remote_pct = replaced > 0 ? 100.0 * (double)handed_over / (double)replaced : 0;
    crew_account(&crew, result);
}

int main(int argc, char **argv)
{
    config_parse(argc, argv);
    hzb_open();
    uint64_t arena_bytes = config.arena_mib << 20;
    crew_make(&crew, (unsigned)config.threads, 2 * arena_bytes / (config.min + config.max) * 2 + 1024, &config.common);
    fillers = pages_map(config.threads * sizeof *fillers, "the threads' books");
    for (unsigned i = 0; i < config.threads; i++)
        fillers[i].ring = ring_make(RING_SLOTS);
    crew_start(&crew, worker_main);
    hzb_phase("work", 0);
    HzbResult result = {.live_peak = levels_run()};
    crew_join(&crew);
    hzb_phase("post", 0);
    // Blocks that a thread handed over after the receiver's last look.
    for (unsigned i = 0; i < config.threads; i++)
        drain_ring(&crew.workers[i]);
    result_make(&result);
    result_print(&result);
    printf("[FILL] live_at_fail=%" PRIu64 " arena=%" PRIu64 " ratio=%.4f\n", result.live_at_fail, arena_bytes,
           (double)result.live_at_fail / (double)arena_bytes);
    hzb_finish(&result);
    return 0;
}
