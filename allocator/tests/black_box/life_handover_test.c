// Memory that one thread allocates and another frees.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static pthread_t thread_start(void *(*run)(void *))
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run, NULL);
    EXPECT(error == 0, "pthread_create: %s", strerror(error));
    return thread;
}

#define HANDED_BLOCKS 40000

static void *handed[HANDED_BLOCKS];

static void *free_handed(void *arg)
{
    free(NULL);
    for (size_t i = 0; i < HANDED_BLOCKS; i++)
        free(handed[i]);
    return arg;
}

static void *allocate_handed(void *arg)
{
    for (size_t i = 0; i < HANDED_BLOCKS; i++) {
        handed[i] = malloc(100);
        EXPECT(handed[i] != NULL, "malloc");
        memset(handed[i], 1, 100);
    }
    return arg;
}

// Each consumer's first call is free, and it ends with what it freed: 200 x 4 MiB must not pile up.
static void first_call_of_a_thread_is_free(const void *arg)
{
    (void)arg;
    size_t before = 0;
    for (int round = 0; round < 200; round++) {
        if (round == 10) before = rss_bytes();
        allocate_handed(NULL);
        pthread_join(thread_start(free_handed), NULL);
    }
    EXPECT(rss_bytes() <= before + 32 * MIB, "RSS %zu, then %zu", before, rss_bytes());
}

// Each producer is gone before its blocks are freed.
static void blocks_outlive_their_threads(const void *arg)
{
    (void)arg;
    size_t before = 0;
    for (int round = 0; round < 200; round++) {
        if (round == 10) before = rss_bytes();
        pthread_join(thread_start(allocate_handed), NULL);
        free_handed(NULL);
    }
    EXPECT(rss_bytes() <= before + 32 * MIB, "RSS %zu, then %zu", before, rss_bytes());
}

#define RING_SLOTS 1024
#define RING_OBJECTS 600000

static _Atomic(void *) ring[RING_SLOTS];

static size_t ring_size(size_t i)
{
    return i % 100 == 0 ? 20000 : 16 + i * 31 % 1500;
}

static void *produce(void *arg)
{
    for (size_t i = 0; i < RING_OBJECTS; i++) {
        size_t size = ring_size(i);
        unsigned char *block = malloc(size);
        EXPECT(block != NULL, "malloc(%zu)", size);
        block[0] = block[size - 1] = (unsigned char)i;
        while (ring[i % RING_SLOTS])
            give_cpu_away();
        ring[i % RING_SLOTS] = block;
    }
    return arg;
}

static void *consume(void *arg)
{
    for (size_t i = 0; i < RING_OBJECTS; i++) {
        unsigned char *block;
        while (!(block = ring[i % RING_SLOTS]))
            give_cpu_away();
        ring[i % RING_SLOTS] = NULL;
        EXPECT(block[0] == (unsigned char)i && block[ring_size(i) - 1] == (unsigned char)i, "object %zu changed", i);
        free(block);
    }
    return arg;
}

static void producer_and_consumer(const void *arg)
{
    (void)arg;
    size_t before = rss_bytes();
    pthread_t producer = thread_start(produce);
    pthread_t consumer = thread_start(consume);
    pthread_join(producer, NULL);
    pthread_join(consumer, NULL);
    size_t after = rss_bytes();
    child_note("info=RSS grew by %zu KiB while 560 MiB passed through", (after - before) / KIB);
    EXPECT(after <= before + 64 * MIB, "RSS %zu, then %zu", before, after);
}

static const TestCase cases[] = {
    {.name = "first_call_of_a_thread_is_free", .run = first_call_of_a_thread_is_free},
    {.name = "blocks_outlive_their_threads", .run = blocks_outlive_their_threads},
    {.name = "producer_and_consumer", .run = producer_and_consumer},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
