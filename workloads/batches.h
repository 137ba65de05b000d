// Batches of blocks on their way from one thread to another, and the queue that they wait in.
//
// Unlike a ring (ring.h) a queue passes thousands of blocks by one lock, as programs do that hand over whole jobs.
// A batch is reused: it goes from a queue of empty ones to its maker, to a queue of full ones, to its user, and back.
// So the number of batches that are made bounds the blocks on their way.
#ifndef WORKLOADS_BATCHES_H
#define WORKLOADS_BATCHES_H

#include "ring.h"

#include <pthread.h>

typedef struct Batch {
    struct Batch *next; // the queue's, while the batch waits in one
    uint64_t count;
    Block *blocks;
} Batch;

// All fields but the lock are guarded by it.
typedef struct BatchQueue {
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    pthread_cond_t changed;
    Batch *first, *last;
    bool is_closed; // nothing will be put in any more
} BatchQueue;

// Makes `n` empty batches for up to `capacity` blocks each, in pages that are touched here.
Batch *batches_make(uint64_t n, uint64_t capacity);

void batch_queue_make(BatchQueue *queue);

void batch_queue_put(BatchQueue *queue, Batch *batch);

// The batch that has waited longest, NULL when there is none.
Batch *batch_queue_take(BatchQueue *queue);

// Sleeps until there is one; NULL once the queue is closed and empty.
Batch *batch_queue_wait(BatchQueue *queue);

void batch_queue_close(BatchQueue *queue);

#endif
