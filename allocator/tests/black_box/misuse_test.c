// Free blocks are freed or used once more: hz3 ends the program with a message (misuse.h).
#include "misuse.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

// One of these must stand in the message.
static const char *const freed_words[] = {"double free", "use after free", "not allocated", NULL};
// Where the page went to another class, nothing but lane hardened's states remembers the block.
static const char *const reused_words[] = {"double free", "use after free", "interior", "not allocated", NULL};

// ---- makers of bad pointers ----

static void *make_freed(size_t size)
{
    void *block = malloc(size);
    free(block);
    return block;
}

// In one cache with nothing in between: the second free is seen by itself. A place of its own, the CPU, so that a
// thread that is moved does not come by another cache.
static void *make_freed_just_now(size_t size)
{
    NEEDS(run_on_cpu(0), "threads cannot be kept on one CPU");
    sched_yield(); // a new time slice: whoever is preempted amid a free may not be told at once
    return make_freed(size);
}

// So few others have gone since that the cache still knows where the block lies.
static void *make_freed_a_while_ago(size_t size)
{
    enum { OTHERS = 4 };
    NEEDS(run_on_cpu(0), "threads cannot be kept on one CPU");
    sched_yield();
    void *other[OTHERS];
    for (size_t i = 0; i < OTHERS; i++)
        other[i] = malloc(size);
    void *block = make_freed(size);
    for (size_t i = 0; i < OTHERS; i++)
        free(other[i]);
    return opaque(block);
}

static void *make_freed_aligned(size_t size)
{
    void *block = memalign(256, size);
    free(block);
    return block;
}

static void *make_freed_by_realloc(size_t size)
{
    void *block = malloc(size);
    return realloc(block, 0) ? NULL : opaque(block);
}

static void *make_freed_and_flushed(size_t size)
{
    void *block = make_freed(size);
    malloc_trim(0);
    return opaque(block);
}

// Neighbours go and come back between the two frees; the block itself is not handed out again.
static void *make_freed_among_neighbours(size_t size)
{
    enum { NEIGHBOURS = 8 };
    void *before[NEIGHBOURS], *after[NEIGHBOURS];
    for (size_t i = 0; i < NEIGHBOURS; i++)
        before[i] = malloc(size);
    void *block = malloc(size);
    for (size_t i = 0; i < NEIGHBOURS; i++)
        after[i] = malloc(size);
    free(block);
    for (size_t i = 0; i < NEIGHBOURS; i++) {
        free(before[i]);
        free(after[i]);
    }
    for (size_t i = 0; i < NEIGHBOURS; i++)
        NEEDS(malloc(size) != opaque(block), "the block itself was handed out");
    return opaque(block);
}

// Other sizes are used hard while the bad pointer's first free is still cached: no epoch may flush it (calm_env).
static void *make_freed_then_busy(size_t size)
{
    void *block = make_freed(size);
    for (size_t i = 0; i < 20000; i++) {
        size_t other = 16 + (i * 48) % 3000;
        if (other + 512 > size && other < size + 512) continue;
        unsigned char *busy = malloc(other);
        pattern_fill(busy, other, i);
        EXPECT(pattern_mismatch(busy, other, i) == other, "heap unsound after a double free");
        free(busy);
    }
    return opaque(block);
}

// Frees blocks that lie side by side and returns one in their middle that doesn't begin at its page.
static char *free_side_by_side(size_t size)
{
    enum { BLOCKS = 64 };
    void *held[BLOCKS], *middle = NULL;
    for (size_t i = 0; i < BLOCKS; i++) {
        held[i] = malloc(size);
        if (i >= BLOCKS / 2 && middle == NULL && !is_aligned(held[i], PAGE)) middle = held[i];
    }
    EXPECT(middle != NULL, "all blocks of %zu bytes begin at a page", size);
    for (size_t i = 0; i < BLOCKS; i++)
        free(held[i]);
    return opaque(middle);
}

// Since the free a live block of another size reaches into the page, and begins elsewhere.
static void *make_freed_and_page_reused(size_t size)
{
    enum { BLOCKS = 10000 };
    size_t other = size > 2048 ? 1500 : 3000;
    EXPECT(malloc(other) != NULL, "a block that keeps the segment");
    char *freed = free_side_by_side(size);
    char *page = freed - ((uintptr_t)freed & (PAGE - 1));
    malloc_trim(0);
    char *at_its_place = NULL;
    for (size_t i = 0; i < BLOCKS; i++) {
        char *block = malloc(other);
        if (block == freed) {
            at_its_place = block;
        } else if (block + other > page && block < page + PAGE) {
            free(at_its_place);
            return freed;
        }
    }
    EXPECT(false, "no block of %zu bytes reaches into the page of %p", other, (void *)freed);
    return NULL;
}

static void *free_in_thread(void *block)
{
    free(block);
    return NULL;
}

static void *make_freed_by_other_thread(size_t size)
{
    void *block = malloc(size);
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, free_in_thread, block) == 0, "pthread_create");
    pthread_join(thread, NULL);
    return opaque(block);
}

static void *free_on_second_cpu(void *block)
{
    run_on_cpu(1);
    free(block);
    return NULL;
}

// What CPUs cache between the threads and the heap: each of two holds the block once.
static void *make_freed_on_other_cpu(size_t size)
{
    NEEDS(run_on_cpu(1) && run_on_cpu(0), "one CPU, or threads cannot be kept on one");
    void *block = malloc(size);
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, free_on_second_cpu, block) == 0, "pthread_create");
    pthread_join(thread, NULL);
    return opaque(block);
}

static const char *const calm_env[] = {"HZ3_EPOCH_TICK_MS=0", NULL};

static const Maker freed_makers[] = {
    {"freed_block", make_freed, NULL},
    {"block_freed_by_realloc", make_freed_by_realloc, NULL},
    {"freed_and_flushed_block", make_freed_and_flushed, NULL},
    {"block_freed_among_neighbours", make_freed_among_neighbours, NULL},
    {"block_freed_by_other_thread", make_freed_by_other_thread, NULL},
    {"block_freed_on_other_cpu", make_freed_on_other_cpu, NULL},
    {"freed_aligned_block", make_freed_aligned, NULL},
    {"block_freed_in_a_busy_heap", make_freed_then_busy, calm_env},
};
static const Maker reused_maker = {"block_freed_in_a_reused_page", make_freed_and_page_reused, NULL};
static const Maker at_once_makers[] = {
    {"block_freed_just_now", make_freed_just_now, NULL},
    {"block_freed_a_while_ago", make_freed_a_while_ago, NULL},
};
// ---- two caches hold the same block ----

static void *shared_block;
static sem_t freed_there, exit_now;

static void *free_and_wait(void *arg)
{
    free(shared_block);
    sem_post(&freed_there);
    sem_wait(&exit_now);
    return arg;
}

static void *make_freed_by_sleeping_thread(size_t size)
{
    shared_block = malloc(size);
    sem_init(&freed_there, 0, 0);
    sem_init(&exit_now, 0, 0);
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, free_and_wait, NULL) == 0, "pthread_create");
    sem_wait(&freed_there);
    child_note("pointer=%p", shared_block);
    free(opaque(shared_block));
    malloc_trim(0);
    sem_post(&exit_now);
    pthread_join(thread, NULL);
    malloc_trim(0);
    child_note("survived");
    return NULL;
}

// The message is no point at which a cancelled thread ends.
static void *make_freed_by_cancelled_thread(size_t size)
{
    NEEDS(run_on_cpu(0), "threads cannot be kept on one CPU");
    void *block = malloc(size);
    child_note("pointer=%p", block);
    pthread_cancel(pthread_self());
    sched_yield(); // a new time slice
    free(block);
    free(opaque(block));
    child_note("survived");
    return NULL;
}

static const Maker cancelled_maker = {"block_freed_by_cancelled_thread", make_freed_by_cancelled_thread, NULL};
static const Maker sleeping_maker = {"block_freed_by_sleeping_thread", make_freed_by_sleeping_thread, NULL};

// ---- the table ----

static void add_reused(void)
{
    static const size_t sizes[] = {1000, 4097, 20000};
    bool is_hardened = preload_path() && strstr(preload_path(), "_hardened.so");
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        if (is_hardened) {
            for (size_t a = 0; a < COUNT_OF(actions); a++)
                add(&reused_maker, &actions[a], sizes[i], AT_ONCE, freed_words);
        } else {
            add(&reused_maker, &action_free, sizes[i], AT_TRIM, reused_words);
        }
    }
}

static void add_freed(void)
{
    static const size_t cached[] = {16, 100, 1000, 2048, 4097, 8192, 20000, 32768};
    static const size_t uncached[] = {40000, 200000, MIB, 2 * MIB, 8 * MIB};
    for (size_t m = 0; m < COUNT_OF(freed_makers); m++) {
        for (size_t i = 0; i < COUNT_OF(cached); i++) {
            add(&freed_makers[m], &action_free, cached[i], AT_TRIM, freed_words);
            if (m == 0) add(&freed_makers[m], &action_free, cached[i], AT_EXIT, freed_words);
            if (m == 0) add(&freed_makers[m], &action_realloc, cached[i], AT_TRIM, freed_words);
        }
        for (size_t i = 0; i < COUNT_OF(uncached); i++) {
            // Between the two frees these may give the address to somebody else, who then loses it rightly.
            bool reused = freed_makers[m].make == make_freed_among_neighbours ||
                          (freed_makers[m].make == make_freed_then_busy && uncached[i] <= MIB);
            if (!reused) add(&freed_makers[m], &action_free, uncached[i], AT_ONCE, freed_words);
        }
    }
    for (size_t i = 0; i < COUNT_OF(cached); i++) {
        for (size_t m = 0; m < COUNT_OF(at_once_makers); m++) {
            for (size_t a = 0; a < COUNT_OF(actions); a++)
                add(&at_once_makers[m], &actions[a], cached[i], AT_ONCE, freed_words);
        }
        add(&cancelled_maker, &action_free, cached[i], AT_ONCE, freed_words);
        add(&sleeping_maker, &action_free, cached[i], AT_ONCE, freed_words);
    }
    for (size_t i = 0; i < COUNT_OF(uncached); i++) {
        add(&cancelled_maker, &action_free, uncached[i], AT_ONCE, freed_words);
        for (size_t a = 1; a < COUNT_OF(actions); a++) {
            add(&freed_makers[0], &actions[a], uncached[i], AT_ONCE, freed_words);
        }
    }
}

int main(int argc, char **argv)
{
    add_freed();
    add_reused();
    return misuse_main(argc, argv);
}
