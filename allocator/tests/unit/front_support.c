#include "front_support.h"

#include <stdlib.h>

#include "front/hz3_front_cpu.h"
#include "front/hz3_front_thread.h"

#define BLOCKS 200

void cache_blocks(size_t size)
{
    void *block[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        block[i] = malloc(size);
    }
    for (int i = 0; i < BLOCKS; i++) {
        free(block[i]);
    }
}

void *sleep_with_cache(void *sleeper_arg)
{
    Sleeper *sleeper = sleeper_arg;
    cache_blocks(sleeper->size);
    pthread_barrier_wait(&sleeper->barrier);
    pthread_barrier_wait(&sleeper->barrier);
    return NULL;
}

void sleeper_start(Sleeper *sleeper, size_t size)
{
    sleeper->size = size;
    pthread_barrier_init(&sleeper->barrier, NULL, 2);
    assert_int_equal(pthread_create(&sleeper->thread, NULL, sleep_with_cache, sleeper), 0);
    pthread_barrier_wait(&sleeper->barrier);
}

void sleeper_end(Sleeper *sleeper)
{
    pthread_barrier_wait(&sleeper->barrier);
    pthread_join(sleeper->thread, NULL);
}

Hz3Slab *own_slab(void)
{
    int32_t cpu = HZ3_FRONT_CPU ? hz3_rseq_cpu() : HZ3_CPU_NONE;
    return cpu >= 0 ? hz3_cpu_open(cpu) : hz3_thread_open();
}
