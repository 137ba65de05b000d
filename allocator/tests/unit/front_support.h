// Shared by front_test and front_fork_test: a thread that caches and then waits, and the slab that serves this one.
#ifndef HZ3_UNIT_FRONT_SUPPORT_H
#define HZ3_UNIT_FRONT_SUPPORT_H

#include "support.h"

#include <pthread.h>

#include "front/hz3_slab.h"

// Allocates blocks of this size and frees them all.
void cache_blocks(size_t size);

typedef struct Sleeper {
    pthread_t thread;
    pthread_barrier_t barrier;
    size_t size;
} Sleeper;

// Its thread: it meets the barrier when it has cached blocks, and once more before it goes on.
void *sleep_with_cache(void *sleeper_arg);
void sleeper_start(Sleeper *sleeper, size_t size);
void sleeper_end(Sleeper *sleeper);

Hz3Slab *own_slab(void);

#endif
