// Threads that replace blocks of random sizes in a working set; part of the blocks is freed by another thread.
#include "hzb_client.h"
#include "live.h"
#include "object.h"
#include "options.h"
#include "ring.h"
#include "rng.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

// Enough for a thread to catch up after it was descheduled, few enough that one iteration stays short.
enum { DRAIN_LIMIT = 16, DRAIN_UNLIMITED = 1 << 30, SAMPLE_PERIOD_NS = 1000000 };

typedef struct {
    uint64_t threads, iters, ws, min, max, remote_pct, ring_slots;
    CommonOptions common;
} Config;

// Written by its own thread; the main thread reads it after a barrier.
typedef struct {
    _Alignas(CACHE_LINE) unsigned index;
    pthread_t thread;
    Rng rng;
    Block *slots; // ptr NULL = empty
    Ring *ring;   // what others handed to this thread
    LiveSlot *live;
    int64_t live_bytes;
    uint64_t checksum;
    uint64_t allocated, freed_by_work, freed, handed_over, fallbacks, alloc_failed;
    uint64_t start_ns, end_ns;
} Worker;

static Config config = {.ring_slots = 65536, .common = {.touch = TOUCH_PAGE, .seed = 1}};
static Worker *workers;
static LivePage *live_page;
static pthread_barrier_t barrier; // all workers and the main thread
static _Atomic uint64_t workers_done;
static _Atomic uint64_t live_at_fail;

static void block_free(void *context, Block block)
{
    Worker *w = context;
    object_check(block, config.common.touch);
    w->live_bytes -= block.size;
    w->freed++;
    free(block.ptr);
}

static __attribute__((noinline, cold)) bool wait_for_room(Worker *w, Ring *ring, Block block)
{
    if (!config.common.matched) return false;
    do {
        ring_drain(w->ring, DRAIN_LIMIT, block_free, w);
        live_publish(w->live, w->live_bytes);
        sched_yield();
    } while (!ring_push(ring, block));
    return true;
}

static void hand_over(Worker *w, uint32_t bits, Block block)
{
    uint64_t other = w->index + 1 + rng_bounded(bits, config.threads - 1);
    Ring *ring = workers[other < config.threads ? other : other - config.threads].ring;
    if (ring_push(ring, block) || wait_for_room(w, ring, block)) {
        w->handed_over++;
    } else {
        w->fallbacks++;
        block_free(w, block);
    }
}

static __attribute__((noinline, cold)) void note_failure(Worker *w)
{
    w->alloc_failed++;
    live_publish(w->live, w->live_bytes);
    uint64_t none = 0;
    if (atomic_load(&live_at_fail) == 0) atomic_compare_exchange_strong(&live_at_fail, &none, live_sum(live_page));
}

// All random bits of an iteration are drawn whatever happens in it, so that the same seed asks for the same blocks
// from every allocator, also from one that fails; the checksum covers what was asked for.
static void work(Worker *w)
{
    const uint64_t remote_limit = rng_percent_limit(config.remote_pct);
    const uint64_t sizes = config.max - config.min + 1;
    const Touch touch = config.common.touch;
    uint64_t checksum = 0;
    Rng rng = w->rng;
    for (uint64_t i = 0; i < config.iters; i++) {
        ring_drain(w->ring, DRAIN_LIMIT, block_free, w);
        uint64_t r = rng_next(&rng), q = rng_next(&rng);
        uint64_t index = rng_bounded((uint32_t)r, config.ws);
        Block *slot = &w->slots[index];
        if (slot->ptr != NULL) {
            w->freed_by_work++;
            if ((r >> 32) < remote_limit)
                hand_over(w, (uint32_t)(q >> 32), *slot);
            else
                block_free(w, *slot);
        }
        uint32_t size = (uint32_t)(config.min + rng_bounded((uint32_t)q, sizes));
        checksum = rng_rotate(checksum, 7) + (index << 32 ^ size);
        slot->ptr = malloc(size);
        if (__builtin_expect(slot->ptr == NULL, 0)) {
            note_failure(w);
            continue;
        }
        slot->size = size;
        slot->tag = object_tag(w->index, i);
        object_write(*slot, touch);
        w->live_bytes += size;
        w->allocated++;
        live_publish(w->live, w->live_bytes);
    }
    w->checksum = checksum;
}

// A thread that is done goes on emptying its ring, or the others would find it full through no fault of theirs.
static void serve_until_all_done(Worker *w)
{
    atomic_fetch_add(&workers_done, 1);
    while (atomic_load(&workers_done) < config.threads) {
        ring_drain(w->ring, DRAIN_UNLIMITED, block_free, w);
        live_publish(w->live, w->live_bytes);
        sleep_until_ns(clock_ns() + SAMPLE_PERIOD_NS / 4);
    }
}

static void drain(Worker *w)
{
    ring_drain(w->ring, DRAIN_UNLIMITED, block_free, w);
    for (uint64_t i = 0; i < config.ws; i++)
        if (w->slots[i].ptr != NULL) block_free(w, w->slots[i]);
    live_publish(w->live, w->live_bytes);
}

static void *worker_main(void *argument)
{
    Worker *w = argument;
    w->rng = rng_make(config.common.seed, w->index);
    memset(w->slots, 0, config.ws * sizeof *w->slots); // takes the page faults before the clock runs
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    w->start_ns = clock_ns();
    work(w);
    w->end_ns = clock_ns();
    serve_until_all_done(w);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    drain(w);
    return NULL;
}

static void workers_start(void)
{
    workers = pages_map(config.threads * sizeof *workers, "the threads' state");
    pthread_barrier_init(&barrier, NULL, (unsigned)config.threads + 1);
    for (unsigned i = 0; i < config.threads; i++) {
        Worker *w = &workers[i];
        w->index = i;
        w->slots = pages_map(config.ws * sizeof *w->slots, "a working set");
        w->ring = ring_make(config.ring_slots);
        w->live = &live_page->slots[i];
    }
    for (unsigned i = 0; i < config.threads; i++) {
        int error = pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]);
        if (error != 0)
            die(EXIT_INTERNAL, "cannot start thread %u of %" PRIu64 ": %s", i, config.threads, strerror(error));
    }
}

static uint64_t sample_live_peak(void)
{
    uint64_t peak = 0;
    uint64_t at_ns = clock_ns();
    bool done;
    do {
        done = atomic_load(&workers_done) == config.threads;
        uint64_t live = live_sum(live_page);
        if (live > peak) peak = live;
        if (!done) sleep_until_ns(at_ns += SAMPLE_PERIOD_NS);
    } while (!done);
    return peak;
}

// Runs all phases; returns the highest sampled live bytes.
static uint64_t phases_run(void)
{
    hzb_phase("setup", 0);
    workers_start();
    pthread_barrier_wait(&barrier); // all are ready
    hzb_phase("work", 0);
    pthread_barrier_wait(&barrier);
    uint64_t live_peak = sample_live_peak();
    pthread_barrier_wait(&barrier); // no ring gets entries any more
    hzb_phase("drain", 0);
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < config.threads; i++)
        pthread_join(workers[i].thread, NULL);
    hzb_phase("post", 0);
    return live_peak;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

static HzbResult results_collect(uint64_t live_peak)
{
    Worker sum = {.start_ns = UINT64_MAX};
    for (unsigned i = 0; i < config.threads; i++) {
        const Worker *w = &workers[i];
        sum.checksum += rng_mix(w->checksum ^ rng_mix(i));
        sum.allocated += w->allocated;
        sum.freed += w->freed;
        sum.freed_by_work += w->freed_by_work;
        sum.handed_over += w->handed_over;
        sum.fallbacks += w->fallbacks;
        sum.alloc_failed += w->alloc_failed;
        if (w->start_ns < sum.start_ns) sum.start_ns = w->start_ns;
        if (w->end_ns > sum.end_ns) sum.end_ns = w->end_ns;
    }
    if (sum.allocated != sum.freed || live_sum(live_page) != 0)
        die(EXIT_INTERNAL,
            "%" PRIu64 " blocks were allocated, %" PRIu64 " freed, %" PRIu64 " bytes still count as live",
            sum.allocated, sum.freed, live_sum(live_page));
    return (HzbResult){
        .ops = config.threads * config.iters,
        .work_ns = sum.end_ns - sum.start_ns,
        .checksum = sum.checksum,
        .alloc_failed = sum.alloc_failed,
        .live_peak = live_peak,
        .live_at_fail = atomic_load(&live_at_fail),
        .has_remote = true,
        .fallback_pct = percent(sum.fallbacks, sum.freed_by_work),
        .actual_remote_pct = percent(sum.handed_over, sum.freed_by_work),
    };
}

static void results_print(const HzbResult *result)
{
    printf("ops/s=%.0f\n", (double)result->ops * 1e9 / (double)result->work_ns);
    printf("[EFFECTIVE_REMOTE] actual=%.2f%% fallback=%.2f%%\n", result->actual_remote_pct, result->fallback_pct);
    printf("live peak: %.1f MiB\n", (double)result->live_peak / (1 << 20));
    if (result->alloc_failed > 0)
        printf("alloc failed: %" PRIu64 " (first at live=%" PRIu64 " bytes)\n", result->alloc_failed,
               result->live_at_fail);
    fflush(stdout);
}

static void config_parse(int argc, char **argv)
{
    const Positional positionals[] = {
        {"threads", 1, LIVE_SLOTS, 1, &config.threads, NULL},
        {"iters", 1, UINT64_C(1000000000000), 1, &config.iters, NULL},
        {"ws", 1, 100000000, 1, &config.ws, NULL},
        {"min", 0, 1 << 30, 1, &config.min, NULL},
        {"max", 1, 1 << 30, 1, &config.max, &config.min},
        {"remote_pct", 0, 100, 1, &config.remote_pct, NULL},
        {"ring_slots", 1, 1 << 26, 1, &config.ring_slots, NULL},
    };
    const CommandLine line = {
        .doc =
            "Replaces blocks of random sizes in a working set of each thread; part of them is freed by another "
            "thread.\v"
            "In each of its `iters` iterations a thread first frees up to 16 blocks that others handed to it, then "
            "picks a random slot of its `ws` slots. A block found there is handed to another random thread in "
            "`remote_pct` % of all cases and freed at once otherwise; then a new block of min to max bytes goes into "
            "the slot. A full ring (of `ring_slots` blocks, default 65536) means a local free: the fallback.\n\n"
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
}

int main(int argc, char **argv)
{
    config_parse(argc, argv);
    hzb_open();
    live_page = live_open((unsigned)config.threads);
    printf("[BENCH_ARGS] threads=%" PRIu64 " iters=%" PRIu64 " ws=%" PRIu64 " min=%" PRIu64 " max=%" PRIu64
           " remote_pct=%" PRIu64 " ring_slots=%" PRIu64 " touch=%s seed=%" PRIu64 " matched=%d\n",
           config.threads, config.iters, config.ws, config.min, config.max, config.remote_pct, config.ring_slots,
           touch_name(config.common.touch), config.common.seed, config.common.matched);
    fflush(stdout);
    uint64_t live_peak = phases_run();
    HzbResult result = results_collect(live_peak);
    results_print(&result);
    hzb_finish(&result);
    return 0;
}
