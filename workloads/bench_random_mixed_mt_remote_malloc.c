// Threads that replace blocks of random sizes in a working set; part of the blocks is freed by another thread.
#include "course.h"
#include "ring.h"

#include <inttypes.h>
#include <sched.h>

// A thread looks into its ring every 32 iterations and then frees up to 16 blocks for each of them. Looking every time
// would move the cache line that a producer is filling back and forth. With an allocator that does nothing, half of the
// ops remote, an op then takes 47 ns instead of 19. The limit lets a thread catch up after it was descheduled.
//
// Blocks for another thread go to its ring in batches: of 16 with up to five threads, of fewer with more. So at most 64
// blocks wait in a thread. A push of a single block has a locked instruction, which waits for the cache lines of the
// block that was touched just before. That was 40 % of the run at T=2, R=50, 16..32768, for every allocator alike.
enum {
    BATCH_MAX = 16,
    BATCHED_MAX = 64,
    DRAIN_PERIOD = 32,
    DRAIN_LIMIT = 16 * DRAIN_PERIOD,

    SERVE_PERIOD_NS = 250000
};

typedef struct Config {
    uint64_t threads, iters, ws, min, max, remote_pct, ring_slots;
    CommonOptions common;
} Config;

typedef struct Batch {
    unsigned count;
    Block blocks[BATCH_MAX];
} Batch;

// A worker's ring is read by all others, its counters are its own: never on one cache line.
typedef struct Remote {
    _Alignas(CACHE_LINE) Ring *ring;     // constant: what others handed to this worker
    _Alignas(CACHE_LINE) Batch *batches; // constant: one a worker, what this one will hand over
    uint64_t left_slot;
    uint64_t handed_over, fallbacks;
} Remote;

static Config config = {.ring_slots = 65536, .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Crew crew;
static Remote *remotes;       // one a worker
static unsigned batch_blocks; // blocks of a full batch

static void take_block(void *worker, Block block)
{
    worker_free(worker, block);
}

static unsigned drain_ring(Worker *w)
{
    unsigned taken = ring_drain(remotes[w->index].ring, DRAIN_LIMIT, take_block, w);
    if (taken > 0) worker_publish_live(w);
    return taken;
}

// In portions: producers see the room and the harness sees the live bytes after each, however long the whole takes.
static void drain_whole_ring(Worker *w)
{
    while (drain_ring(w) == DRAIN_LIMIT) {
    }
}

static __attribute__((noinline, cold)) bool wait_for_room(Worker *w, Ring *ring, const Batch *batch)
{
    if (!config.common.matched) return false;
    do {
        drain_ring(w);
        sched_yield();
    } while (!ring_push(ring, batch->blocks, batch->count));
    return true;
}

static void send_batch(Worker *w, uint64_t to, Batch *batch)
{
    Remote *own = &remotes[w->index];
    Ring *ring = remotes[to].ring;
    if (ring_push(ring, batch->blocks, batch->count) || wait_for_room(w, ring, batch)) {
        own->handed_over += batch->count;
    } else {
        own->fallbacks += batch->count;
        for (unsigned i = 0; i < batch->count; i++)
            worker_free(w, batch->blocks[i]);
    }
    batch->count = 0;
}

static void hand_over(Worker *w, uint32_t bits, Block block)
{
    uint64_t other = w->index + 1 + rng_bounded(bits, config.threads - 1);
    uint64_t to = other < config.threads ? other : other - config.threads;
    Batch *batch = &remotes[w->index].batches[to];
    batch->blocks[batch->count++] = block;
    if (batch->count == batch_blocks) send_batch(w, to, batch);
}

static void send_all_batches(Worker *w)
{
    for (uint64_t to = 0; to < config.threads; to++) {
        Batch *batch = &remotes[w->index].batches[to];
        if (batch->count > 0) send_batch(w, to, batch);
    }
}

// All random bits of an iteration are drawn whatever happens in it. So the same seed asks every allocator for the same
// blocks, even one that fails.
static void work(Worker *w)
{
    const uint64_t remote_limit = rng_percent_limit(config.remote_pct);
    const uint64_t sizes = config.max - config.min + 1;
    Rng rng = w->rng;
    for (uint64_t i = 0; i < config.iters; i++) {
        if (i % DRAIN_PERIOD == 0) drain_ring(w);
        uint64_t r = rng_next(&rng), q = rng_next(&rng);
        uint64_t index = rng_bounded((uint32_t)r, config.ws);
        Block *slot = &w->blocks[index];
        if (slot->ptr != NULL) {
            remotes[w->index].left_slot++;
            if ((r >> 32) < remote_limit)
                hand_over(w, (uint32_t)(q >> 32), *slot);
            else
                worker_free(w, *slot);
        }
        uint32_t size = (uint32_t)(config.min + rng_bounded((uint32_t)q, sizes));
        worker_checksum_add(w, index << 32 ^ size);
        worker_alloc(w, slot, size, i);
    }
    send_all_batches(w);
}

// A thread that is done goes on emptying its ring, or the others would find it full through no fault of theirs.
static void serve(Worker *w)
{
    drain_whole_ring(w);
    sleep_until_ns(clock_ns() + SERVE_PERIOD_NS);
}

static void drain(Worker *w)
{
    drain_whole_ring(w);
    worker_free_all(w);
}

static unsigned choose_batch_blocks(void)
{
    uint64_t blocks = config.threads > 1 ? BATCHED_MAX / (config.threads - 1) : 1;
    if (blocks > BATCH_MAX) blocks = BATCH_MAX;
    if (blocks > config.ring_slots) blocks = config.ring_slots;
    return blocks > 0 ? (unsigned)blocks : 1;
}

static void prepare(void)
{
    batch_blocks = choose_batch_blocks();
    remotes = pages_map(config.threads * sizeof *remotes, "the rings");
    for (unsigned i = 0; i < config.threads; i++) {
        remotes[i].ring = ring_make(config.ring_slots);
        remotes[i].batches = pages_map(config.threads * sizeof(Batch), "the batches");
    }
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

static void count_remote(HzbResult *result)
{
    Remote sum = {0};
    for (unsigned i = 0; i < config.threads; i++) {
        sum.left_slot += remotes[i].left_slot;
        sum.handed_over += remotes[i].handed_over;
        sum.fallbacks += remotes[i].fallbacks;
    }
    result->has_remote = true;
    result->fallback_pct = percent(sum.fallbacks, sum.left_slot);
    result->actual_remote_pct = percent(sum.handed_over, sum.left_slot);
}

static void config_parse(int argc, char **argv)
{
    const Positional positionals[] = {
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"iters", 1, UINT64_C(1000000000000), 1, &config.iters, NULL, NULL},
        {"ws", 1, 100000000, 1, &config.ws, NULL, NULL},
        {"min", 0, 1 << 30, 1, &config.min, NULL, NULL},
        {"max", 1, 1 << 30, 1, &config.max, &config.min, NULL},
        {"remote_pct", 0, 100, 1, &config.remote_pct, NULL, NULL},
        {"ring_slots", 1, 1 << 26, 1, &config.ring_slots, NULL, NULL},
    };
    const CommandLine line = {
        .doc =
            "Replaces blocks of random sizes in a working set of each thread; part of them is freed by another "
            "thread.\v"
            "In each of its `iters` iterations a thread picks a random slot of its `ws` slots. A block found there is "
            "handed to another random thread in `remote_pct` % of all cases and freed at once otherwise; then a new "
            "block of min to max bytes goes into the slot. Blocks are handed over in batches, 16 with up to five "
            "threads, fewer with more; every 32 iterations a thread frees up to 512 that others handed to it. A full "
            "ring (of `ring_slots` blocks, default 65536) means a local free: the fallback.\n\n"
            "One op is one iteration: one malloc and, once the working set is full, one free. Ops/s is threads x "
            "iters over the time from the first thread's first iteration to the last thread's last one. Actual "
            "remote share and fallback are shares of all blocks that left a slot.",
        .args_doc = "threads iters ws min max remote_pct [ring_slots]",
        .positionals = positionals,
        .n_positionals = sizeof positionals / sizeof *positionals,
        .n_required = 6,
        .has_matched = true,
        .common = &config.common,
    };
    options_parse(&line, argc, argv);
    if (config.threads == 1 && config.remote_pct > 0)
        die(EXIT_USAGE, "argument remote_pct: '%" PRIu64 "': expected 0, as one thread has nobody to hand blocks to",
            config.remote_pct);
    options_print(&line, "");
}

int main(int argc, char **argv)
{
    config_parse(argc, argv);
    const Course course = {.prepare = prepare, .work = work, .serve = serve, .after = drain, .account = count_remote};
    return course_main(&crew, config.threads, config.threads * config.ws, &config.common, course,
                       (HzbResult){.ops = config.threads * config.iters});
}
