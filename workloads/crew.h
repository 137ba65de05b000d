// Crew: the threads of a workload, the blocks they hold and the books they keep about them.
#ifndef WORKLOADS_CREW_H
#define WORKLOADS_CREW_H

#include "hzb_client.h"
#include "live.h"
#include "object.h"
#include "options.h"
#include "rng.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct Crew Crew;

// Written by its own thread; the main thread reads and writes it after a barrier or a join.
typedef struct Worker {
    _Alignas(CACHE_LINE) unsigned index; // constant, as are the next five
    Touch touch;
    Crew *crew;
    LiveSlot *live;
    Block *blocks; // ptr NULL = no block there
    uint64_t n_blocks;
    Rng rng;
    int64_t live_bytes;
    uint64_t allocated, freed, alloc_failed;
    uint64_t checksum;         // over what was asked for, not over what the allocator gave
    uint64_t start_ns, end_ns; // of the last timed work
    Latency *latency;          // in the latency lane
    pthread_t thread;          // the main thread's
} Worker;

struct Crew {
    Worker *workers;
    unsigned n_workers;
    LivePage *live_page;
    _Atomic uint64_t live_at_fail; // live bytes at the first NULL
    pthread_barrier_t barrier;     // all workers and the main thread
};

// Makes the workers' state, `n_blocks` for all together, with `seed` and `touch` of the options. Starts no thread.
void crew_make(Crew *crew, unsigned n_workers, uint64_t n_blocks, const CommonOptions *options);

void crew_start(Crew *crew, void *(*worker_main)(void *));
void crew_join(Crew *crew);

// Lets a thread that is started for it go on with the worker, and waits for its end.
void worker_in_new_thread(Worker *w, void *(*thread_main)(void *));

// Between two barriers, so that neither thread start nor the main thread's looking around is part of the time.
void worker_timed(Worker *w, void (*work)(Worker *));

// From the first worker's start to the last one's end.
uint64_t crew_span_ns(const Crew *crew);

// Fills what is the same in every workload; dies when blocks are missing although all were freed.
void crew_account(const Crew *crew, HzbResult *result);

void result_print(const HzbResult *result);

static inline void crew_wait(Crew *crew)
{
    pthread_barrier_wait(&crew->barrier);
}

void worker_note_failure(Worker *w);

static inline void worker_publish_live(Worker *w)
{
    live_publish(w->live, w->live_bytes);
}

static inline void worker_checksum_add(Worker *w, uint64_t value)
{
    w->checksum = rng_rotate(w->checksum, 7) + value;
}

static inline void *worker_malloc(Worker *w, size_t size)
{
    if (LATENCY_LANE && latency_is_due(w->latency)) return latency_malloc(w->latency, size);
    return malloc(size);
}

static inline void worker_give_back(Worker *w, Block block)
{
    if (LATENCY_LANE && latency_is_due(w->latency))
        latency_free(w->latency, block.ptr, block.tag >> TAG_COUNT_BITS != w->index);
    else
        free(block.ptr);
}

// Puts a new block into `block`; its ptr is NULL when the allocator had none. `count` makes its tag unlike others'.
static inline void worker_alloc(Worker *w, Block *block, uint32_t size, uint64_t count)
{
    block->ptr = worker_malloc(w, size);
    if (__builtin_expect(block->ptr == NULL, 0)) {
        worker_note_failure(w);
        return;
    }
    block->size = size;
    block->tag = object_tag(w->index, count);
    object_write(*block, w->touch);
    w->live_bytes += size;
    w->allocated++;
    worker_publish_live(w);
}

// False, and the block stays as it is, when the allocator had none. A block that is moved must keep what was in it.
static inline bool worker_realloc(Worker *w, Block *block, uint32_t size)
{
    const Block before = *block;
    object_check(before, w->touch);
    void *moved = realloc(before.ptr, size);
    if (__builtin_expect(moved == NULL, 0)) {
        worker_note_failure(w);
        return false;
    }
    block->ptr = moved;
    block->size = size;
    object_check_moved(before, *block, w->touch);
    object_write(*block, w->touch);
    w->live_bytes += (int64_t)size - (int64_t)before.size;
    worker_publish_live(w);
    return true;
}

// Leaves publishing to the caller, which often allocates next.
static inline void worker_free(Worker *w, Block block)
{
    object_check(block, w->touch);
    w->live_bytes -= block.size;
    w->freed++;
    worker_give_back(w, block);
}

static inline void worker_free_all(Worker *w)
{
    for (uint64_t i = 0; i < w->n_blocks; i++) {
        if (w->blocks[i].ptr == NULL) continue;
        worker_free(w, w->blocks[i]);
        w->blocks[i].ptr = NULL;
        worker_publish_live(w);
    }
}

#endif
