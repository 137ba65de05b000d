// Heap users to run beside, before and after what a test is about, and what hz3 counts.
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "support.h"

#define CHILD_MS 40000

// Every kind of call and size, deep enough to leave the caches.
void heap_exercise(uint64_t seed, size_t blocks_per_size)
{
    enum { BLOCKS_MAX = 400 };
    static const size_t sizes[] = {16, 64, 200, 1000, 4000, 6000, 32768, 50000, 300000, 2 * MIB};
    void *blocks[BLOCKS_MAX];
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        size_t n = sizes[s] > 32768 ? 3 : blocks_per_size < BLOCKS_MAX ? blocks_per_size : BLOCKS_MAX;
        for (size_t i = 0; i < n; i++) {
            blocks[i] = i % 8 == 7 ? calloc(1, sizes[s]) : malloc(sizes[s]);
            EXPECT(blocks[i] != NULL, "block of %zu", sizes[s]);
            size_t touched = sizes[s] < 4096 ? sizes[s] : 4096;
            pattern_fill(blocks[i], touched, seed + i);
        }
        for (size_t i = 0; i < n; i++) {
            size_t touched = sizes[s] < 4096 ? sizes[s] : 4096;
            EXPECT(pattern_mismatch(blocks[i], touched, seed + i) == touched, "block of %zu changed", sizes[s]);
            if (i % 5 == 4) blocks[i] = realloc(blocks[i], sizes[s] * 3);
            EXPECT(blocks[i] != NULL, "realloc of %zu", sizes[s]);
            free(blocks[i]);
        }
    }
}

// Polls, for some tests forbid their process to sleep.
void child_wait(pid_t pid, const char *what)
{
    int status = 0;
    pid_t ended;
    Patience patience = patience_of_ms(CHILD_MS);
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 || (ended < 0 && errno == EINTR)) {
        if (!patience_lasts(&patience)) {
            kill(pid, SIGKILL);
            EXPECT(false, "%s did not end in time", what);
        }
        poll(NULL, 0, 1);
    }
    EXPECT(ended == pid && status == 0, "%s ended with wait status 0x%x", what, (unsigned)status);
}

static _Atomic bool stop;

static void *busy_thread(void *arg)
{
    for (uint64_t i = 0; !stop; i++)
        heap_exercise(i, 40);
    return arg;
}

void busy_threads_start(pthread_t *threads, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        EXPECT(pthread_create(&threads[i], NULL, busy_thread, NULL) == 0, "pthread_create");
    }
}

void busy_threads_stop(const pthread_t *threads, size_t n)
{
    stop = true;
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

uint64_t counter(const char *name)
{
    uint64_t value = 0;
    NEEDS(hz3_stats_read != NULL, "not hz3");
    EXPECT(hz3_stats_read(name, &value) == 0, "no counter %s", name);
    return value;
}
