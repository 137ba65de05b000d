// A mixed load for as long as one likes, in cycles of phases. It checks every byte it holds and writes what memory the
// process holds as CSV. Its clock is its own work, as the main thread hands out ticks. A tick that the machine delays
// is late but not longer, so what is done between two samples never depends on the machine.
//
// Cycles must be comparable to the last per mille, so each has the same live bytes. The blocks that come and go repeat
// their draws. A quarter stays from cycle to cycle; its blocks are renewed one by one, at random, with the sizes they
// had.
#include "live.h"
#include "object.h"
#include "options.h"
#include "pattern.h"
#include "rng.h"
#include "self_memory.h"
#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    EXIT_BROKEN = 1,
    TICK_MS = 20,
    TICKS_PER_S = 1000 / TICK_MS,
    LATE_MAX_NS = 1000000000,
    CYCLE_MAX_TICKS = 60 * TICKS_PER_S,
    CYCLE_MIN_TICKS = 2 * TICKS_PER_S,
    SAMPLES_PER_CYCLE = 30,
    RING_BLOCKS = 4096,
    MEAN_BLOCK_BYTES = 3000,
    KEPT_PCT = 25,
    MILLI = 1000,
};

typedef struct Span {
    unsigned percent_milli; // thousandths of a percent
    uint32_t min, max;
} Span;

// Small blocks are most of the calls, large ones most of the bytes, in one mix; in the other the medium ones are both.
static const Span usual[] = {{90000, 1, 1024}, {9000, 1025, 32768}, {900, 32769, 262144}, {100, 262145, 4 << 20}};
static const Span other[] = {{39000, 16, 512}, {60000, 2048, 32768}, {1000, 32769, 1 << 20}};
enum { N_USUAL = sizeof usual / sizeof *usual, N_OTHER = sizeof other / sizeof *other };

// Where live bytes go during a phase, in percent of live_mib, the kept quarter included; half_pct is the middle's.
typedef struct Phase {
    const char *name;
    unsigned share_pct; // of the cycle
    unsigned from_pct, half_pct, to_pct;
    bool rests;
    const Span *mix;
    unsigned n_mix;
} Phase;

static const Phase phases[] = {
    {"growth", 20, 25, 62, 100, false, usual, N_USUAL},  {"steady", 20, 100, 100, 100, false, usual, N_USUAL},
    {"burst", 15, 100, 160, 100, false, usual, N_USUAL}, {"idle", 10, 100, 100, 100, true, usual, N_USUAL},
    {"shrink", 15, 100, 62, 25, false, usual, N_USUAL},  {"other", 20, 25, 50, 25, false, other, N_OTHER},
};
enum { N_PHASES = sizeof phases / sizeof *phases };

typedef struct Worker {
    _Alignas(CACHE_LINE) unsigned index;
    Rng rng;      // of the blocks that come and go: starts anew in each cycle
    Rng kept_rng; // of everything else: goes on
    Ring *inbox;
    LiveSlot *live;
    Block *blocks, *kept;
    uint32_t n_blocks, n_kept, capacity; // of each
    int64_t live_bytes;                  // as in LiveSlot: made by me minus freed by me
    int64_t held_bytes;                  // in `blocks`
    uint64_t made, ops;
    pthread_t thread;
} Worker;

typedef struct Config {
    uint64_t minutes_milli, live_mib, ops_per_s, threads, leak_every, corrupt_at;
    CommonOptions common;
} Config;

static Config config = {.live_mib = 64, .ops_per_s = 20000, .threads = 2, .common = {.seed = 1}};
static Worker *workers;
static LivePage *live_page;
static pthread_barrier_t barrier;

// The main thread's orders for one tick, read by all workers between two barriers.
static struct {
    const Phase *phase;
    int64_t target_bytes; // of one worker
    uint64_t ops;
    bool check_all, ends;
} tick;

// ---- one block ----

static uint64_t draw(Rng *rng, uint64_t n)
{
    return rng_bounded((uint32_t)rng_next(rng), n);
}

static uint32_t size_draw(Rng *rng)
{
    uint64_t at = draw(rng, 100000);
    const Span *span = tick.phase->mix;
    for (const Span *last = span + tick.phase->n_mix - 1; span < last && at >= span->percent_milli; span++)
        at -= span->percent_milli;
    // Each doubling between min and max is as likely as the next.
    unsigned doublings = 0;
    while ((uint64_t)span->min << (doublings + 1) <= span->max)
        doublings++;
    uint64_t low = (uint64_t)span->min << draw(rng, doublings + 1);
    uint64_t high = 2 * low - 1 < span->max ? 2 * low - 1 : span->max;
    return (uint32_t)(low + draw(rng, high - low + 1));
}

_Noreturn static void block_report(const char *bytes, size_t at, Block block, const char *when)
{
    uint64_t word = pattern_word(pattern_seed(block), at / sizeof word);
    die(EXIT_BROKEN, "block %p of %u bytes, allocated by thread %u, %s: byte %zu is %02x, expected %02x", block.ptr,
        block.size, block.tag >> TAG_COUNT_BITS, when, at, (unsigned char)bytes[at],
        (unsigned char)(word >> (at % sizeof word * 8)));
}

static void block_check(Block block, const char *when)
{
    size_t at = pattern_mismatch(block.ptr, block.size, block);
    if (at < block.size) block_report(block.ptr, at, block, when);
}

static void *zeroed_alloc(uint32_t size)
{
    char *bytes = calloc(1, size);
    for (uint32_t i = 0; bytes != NULL && i < size; i++)
        if (bytes[i] != 0) die(EXIT_BROKEN, "calloc(1, %u) at %p: byte %u is not zero", size, (void *)bytes, i);
    return bytes;
}

static void *aligned_new(Rng *rng, uint32_t size)
{
    size_t alignment = (size_t)16 << draw(rng, 10);
    void *bytes = NULL;
    if (posix_memalign(&bytes, alignment, size) != 0) return NULL;
    if ((uintptr_t)bytes % alignment != 0)
        die(EXIT_BROKEN, "posix_memalign(%zu, %u): %p is not aligned", alignment, size, bytes);
    return bytes;
}

static void *bytes_new(Rng *rng, uint32_t size)
{
    uint64_t kind = draw(rng, 100);
    if (kind < 70) return malloc(size);
    if (kind < 85) return zeroed_alloc(size);
    if (kind < 95) return aligned_new(rng, size);
    return realloc(NULL, size);
}

static void block_claim(Worker *w, Block *block, void *bytes, uint32_t size)
{
    if (bytes == NULL) die(EXIT_BROKEN, "thread %u: no memory for %u bytes", w->index, size);
    *block = (Block){bytes, size, object_tag(w->index, w->made++)};
    pattern_write(*block);
}

static void block_free(Worker *w, Block block)
{
    block_check(block, "when it was freed");
    w->live_bytes -= block.size;
    free(block.ptr);
}

static void inbox_take(void *worker, Block block)
{
    block_free(worker, block);
}

// Three in ten are to die with any thread, which may be this one.
static void block_dispose(Worker *w, Rng *rng, Block block)
{
    uint64_t away = draw(rng, config.threads);
    bool remote = draw(rng, 10) < 3 && away != w->index;
    if (!remote || !ring_push(workers[away].inbox, &block, 1)) block_free(w, block);
}

// ---- the blocks that come and go ----

static void block_make(Worker *w)
{
    uint32_t size = size_draw(&w->rng);
    block_claim(w, &w->blocks[w->n_blocks++], bytes_new(&w->rng, size), size);
    w->held_bytes += size;
    w->live_bytes += size;
}

static void block_end(Worker *w)
{
    Block *place = &w->blocks[draw(&w->rng, w->n_blocks)];
    Block block = *place;
    *place = w->blocks[--w->n_blocks];
    w->held_bytes -= block.size;
    block_dispose(w, &w->rng, block);
}

static void block_resize(Worker *w)
{
    Block *block = &w->blocks[draw(&w->rng, w->n_blocks)];
    Block old = *block;
    uint32_t size = size_draw(&w->rng);
    block_check(old, "before realloc");
    char *bytes = realloc(old.ptr, size);
    if (bytes == NULL) die(EXIT_BROKEN, "thread %u: realloc of %u to %u bytes gives NULL", w->index, old.size, size);
    uint32_t kept = old.size < size ? old.size : size;
    size_t at = pattern_mismatch(bytes, kept, old);
    if (at < kept) block_report(bytes, at, old, "after realloc");
    block_claim(w, block, bytes, size);
    w->held_bytes += (int64_t)size - old.size;
    w->live_bytes += (int64_t)size - old.size;
}

// ---- the blocks that stay ----

static void kept_make(Worker *w)
{
    const int64_t wanted = (int64_t)((config.live_mib << 20) / config.threads * KEPT_PCT / 100);
    while (w->live_bytes < wanted && w->n_kept < w->capacity) {
        uint32_t size = size_draw(&w->kept_rng);
        block_claim(w, &w->kept[w->n_kept++], bytes_new(&w->kept_rng, size), size);
        w->live_bytes += size;
    }
}

static void kept_renew(Worker *w)
{
    Block *block = &w->kept[draw(&w->kept_rng, w->n_kept)];
    Block old = *block;
    block_claim(w, block, bytes_new(&w->kept_rng, old.size), old.size);
    w->live_bytes += old.size;
    block_dispose(w, &w->kept_rng, old);
}

// ---- planted faults, for the tests of this program and of the verdict ----

// Memory that the program has no use for and does not count: to a reader of RSS and live bytes the allocator's leak.
static void plant_leak(Worker *w)
{
    Block lost;
    block_claim(w, &lost, malloc(MEAN_BLOCK_BYTES), MEAN_BLOCK_BYTES);
}

static void plant_corruption(Worker *w)
{
    Block *block = &w->kept[draw(&w->kept_rng, w->n_kept)];
    ((unsigned char *)block->ptr)[draw(&w->kept_rng, block->size)] ^= 1;
}

// ---- a worker ----

static void op_do(Worker *w)
{
    w->ops++;
    if (config.leak_every != 0 && w->ops % config.leak_every == 0) plant_leak(w);
    if (w->ops % 20 == 0) kept_renew(w);
    bool room = w->n_blocks < w->capacity;
    if (w->n_blocks == 0 || (room && w->held_bytes < tick.target_bytes))
        block_make(w);
    else
        block_end(w);
    if (w->ops % 10 == 0 && w->n_blocks > 0) block_resize(w);
    if (w->index == 0 && w->ops == config.corrupt_at) plant_corruption(w);
}

static void all_check(const Worker *w)
{
    for (uint32_t i = 0; i < w->n_blocks; i++)
        block_check(w->blocks[i], "while it was alive");
    for (uint32_t i = 0; i < w->n_kept; i++)
        block_check(w->kept[i], "while it was alive");
}

static void tick_do(Worker *w)
{
    ring_drain(w->inbox, RING_BLOCKS, inbox_take, w);
    for (uint64_t i = 0; i < tick.ops; i++)
        op_do(w);
    if (tick.check_all) all_check(w);
    live_publish(w->live, w->live_bytes);
}

// For one cycle.
static void *worker_main(void *argument)
{
    Worker *w = argument;
    w->rng = rng_make(config.common.seed, w->index);
    while (true) {
        pthread_barrier_wait(&barrier);
        if (w->n_kept == 0) kept_make(w);
        if (tick.ends) break;
        tick_do(w);
        pthread_barrier_wait(&barrier);
    }
    while (w->n_blocks > 0)
        block_end(w);
    return NULL;
}

static void workers_make(void)
{
    unsigned n = (unsigned)config.threads;
    live_page = live_open(n);
    workers = pages_map(n * sizeof *workers, "the threads' state");
    pthread_barrier_init(&barrier, NULL, n + 1);
    for (unsigned i = 0; i < n; i++) {
        Worker *w = &workers[i];
        w->index = i;
        w->kept_rng = rng_make(config.common.seed, LIVE_SLOTS + i);
        w->live = &live_page->slots[i];
        w->inbox = ring_make(RING_BLOCKS);
        // Twice what the burst holds on average; all of it resident before the first sample.
        w->capacity = (uint32_t)((config.live_mib << 20) / MEAN_BLOCK_BYTES / n * 4 + 64);
        size_t bytes = 2 * w->capacity * sizeof *w->blocks;
        w->blocks = pages_map(bytes, "the blocks' addresses");
        w->kept = w->blocks + w->capacity;
        memset(w->blocks, 0, bytes);
    }
}

// ---- the main thread ----

static void workers_start(void)
{
    tick.ends = false;
    for (unsigned i = 0; i < config.threads; i++) {
        int error = pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]);
        if (error != 0) die(EXIT_INTERNAL, "cannot start thread %u: %s", i + 1, strerror(error));
    }
}

static void workers_end(void)
{
    tick.ends = true;
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < config.threads; i++)
        pthread_join(workers[i].thread, NULL);
}

static void sample_write(uint64_t ticks, uint64_t cycle)
{
    const double mib = 1 << 20;
    uint64_t rss = self_rss_bytes(), live = live_sum(live_page);
    printf("%.2f,%" PRIu64 ",%s,%.3f,%.3f\n", (double)ticks / TICKS_PER_S, cycle, tick.phase->name, (double)rss / mib,
           (double)live / mib);
    if (fflush(stdout) != 0) die(EXIT_INTERNAL, "cannot write the samples: %s", strerror(errno));
}

// Of one worker, without what stays.
static int64_t target_of(const Phase *phase, uint64_t at, uint64_t n_ticks)
{
    uint64_t from = phase->from_pct - KEPT_PCT, to = phase->half_pct - KEPT_PCT, half = n_ticks / 2;
    if (at >= half) {
        from = to, to = phase->to_pct - KEPT_PCT;
        at -= half;
        half = n_ticks - half;
    }
    uint64_t pct_milli = (from * (half - at) + to * at) * MILLI / half;
    return (int64_t)((config.live_mib << 20) / config.threads * pct_milli / (100 * MILLI));
}

typedef struct Clock {
    uint64_t cycle_ticks, sample_ticks;
} Clock;

static void tick_wait(void)
{
    static uint64_t deadline_ns;
    uint64_t now_ns = clock_ns();
    deadline_ns += TICK_MS * UINT64_C(1000000);
    if (now_ns > deadline_ns + LATE_MAX_NS) deadline_ns = now_ns;
    sleep_until_ns(deadline_ns);
}

static uint64_t at_least_1(uint64_t n)
{
    return n > 0 ? n : 1;
}

// `at` counts the cycle's ticks, so that samples are taken at the same ones in each.
static void phase_run(uint64_t cycle, uint64_t n_ticks, const Clock *clock, uint64_t *at)
{
    for (uint64_t i = 0; i < n_ticks; i++) {
        tick.target_bytes = target_of(tick.phase, i, n_ticks);
        tick.ops = tick.phase->rests ? 0 : at_least_1(config.ops_per_s / TICKS_PER_S / config.threads);
        tick.check_all = i == 0;
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        if (++*at % clock->sample_ticks == 0) sample_write((cycle - 1) * clock->cycle_ticks + *at, cycle);
        tick_wait();
    }
}

static Clock clock_make(uint64_t all)
{
    Clock clock = {.cycle_ticks = all / 60};
    if (clock.cycle_ticks < CYCLE_MIN_TICKS) clock.cycle_ticks = CYCLE_MIN_TICKS;
    if (clock.cycle_ticks > CYCLE_MAX_TICKS) clock.cycle_ticks = CYCLE_MAX_TICKS;
    clock.sample_ticks = at_least_1(clock.cycle_ticks / SAMPLES_PER_CYCLE);
    if (clock.sample_ticks > TICKS_PER_S) clock.sample_ticks = TICKS_PER_S;
    return clock;
}

static void cycles_run(void)
{
    const uint64_t all = at_least_1(config.minutes_milli * 60 * TICKS_PER_S / MILLI);
    const Clock clock = clock_make(all);
    for (uint64_t cycle = 1; (cycle - 1) * clock.cycle_ticks < all; cycle++) {
        uint64_t at = 0;
        workers_start();
        for (const Phase *phase = phases; phase < phases + N_PHASES; phase++) {
            tick.phase = phase;
            phase_run(cycle, clock.cycle_ticks * phase->share_pct / 100, &clock, &at);
        }
        workers_end();
    }
}

// The threads are gone: what lies in the rings and what stayed is freed from here.
static uint64_t all_free(void)
{
    uint64_t ops = 0;
    for (unsigned i = 0; i < config.threads; i++) {
        Worker *w = &workers[i];
        ring_drain(w->inbox, RING_BLOCKS, inbox_take, w);
        while (w->n_kept > 0)
            block_free(w, w->kept[--w->n_kept]);
        live_publish(w->live, w->live_bytes);
        ops += w->ops;
    }
    uint64_t live = live_sum(live_page);
    if (live != 0) die(EXIT_INTERNAL, "%" PRIu64 " bytes still count as live although all blocks were freed", live);
    return ops;
}

static void config_parse(int argc, char **argv)
{
    const Positional positionals[] = {
        {"minutes", 1, 100000 * MILLI, MILLI, &config.minutes_milli, NULL, NULL},
        {"live_mib", 1, 1 << 14, 1, &config.live_mib, NULL, NULL},
        {"ops_per_s", 1, 100000000, 1, &config.ops_per_s, NULL, NULL},
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL, NULL},
        {"leak_every", 0, UINT32_MAX, 1, &config.leak_every, NULL, NULL},
        {"corrupt_at", 0, UINT32_MAX, 1, &config.corrupt_at, NULL, NULL},
    };
    const CommandLine line = {
        .doc =
            "Allocates, frees and checks blocks of 1 byte to 4 MiB for a long time and writes memory over time.\v"
            "In cycles: live bytes grow to `live_mib` (64), stay, burst, idle, shrink to a quarter, and stay there "
            "with other sizes. `threads` threads (2), new ones in each cycle, do `ops_per_s` (20000) of malloc, "
            "calloc, posix_memalign, realloc and free between them; three blocks in ten are freed by a thread "
            "drawn by lot. Every block's bytes depend on its address, size and owner, and are checked when it is freed "
            "or resized and at the start of each phase: a wrong one ends the program with 1. stdout is CSV.\n\n"
            "One op allocates or frees one block; every tenth also resizes one, every twentieth also replaces "
            "one.\n\n"
            "For tests: every `leak_every`-th op a block is lost and not counted as live; after op `corrupt_at` of "
            "the first thread one byte of a live block is changed. 0: no such fault.",
        .args_doc = "minutes [live_mib ops_per_s threads leak_every corrupt_at]",
        .positionals = positionals,
        .n_positionals = sizeof positionals / sizeof *positionals,
        .n_required = 1,
        .no_touch = true,
        .common = &config.common,
    };
    options_parse(&line, argc, argv);
}

int main(int argc, char **argv)
{
    config_parse(argc, argv);
    self_memory_open(0);
    workers_make();
    printf("t_s,cycle,phase,rss_mib,live_mib\n");
    uint64_t start_ns = clock_ns();
    cycles_run();
    uint64_t ops = all_free();
    fprintf(stderr, "%" PRIu64 " operations in %.1f minutes, every byte as it was written\n", ops,
            (double)(clock_ns() - start_ns) / 60e9);
    return 0;
}
