// A small program for the scripts beside it, run under LD_PRELOAD of a lane:
//   probe rss                 prints its peak and present RSS in KiB
//   probe fill SIZE MIB       fills MIB MiB with blocks of SIZE bytes, touches all; prints blocks, bytes and the RSS
//   probe work                threads, all sizes, remote frees, realloc, calloc, aligned blocks, epochs, children
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../proc_kib.h"

extern void hz3_epoch_force(void) __attribute__((weak));
// <malloc.h> of other C libraries than glibc does not declare these.
extern int malloc_trim(size_t pad) __attribute__((weak));
extern size_t malloc_usable_size(void *p);

static int print_rss(void)
{
    printf("hwm_kib=%ld rss_kib=%ld\n", proc_kib("/proc/self/status", "VmHWM:"), proc_resident_kib());
    return 0;
}

// The blocks are their own list, so that nothing but blocks and metadata is counted.
static int fill(size_t size, size_t mib)
{
    size_t blocks = (mib << 20) / size;
    void **last = NULL;
    proc_resident_kib(); // stdio has its buffers now
    long before = proc_resident_kib();
    for (size_t i = 0; i < blocks; i++) {
        void **block = malloc(size);
        if (block == NULL || malloc_usable_size(block) != size) {
            fprintf(stderr, "malloc(%zu) = %p is no block of exactly this size\n", size, (void *)block);
            return 1;
        }
        memset(block, 1, size);
        *block = last;
        last = block;
    }
    long rss = proc_resident_kib() - before;
    printf("blocks=%zu bytes=%zu rss_kib=%ld\n", blocks, blocks * size, rss);
    for (size_t i = 0; i < blocks; i++) {
        last = *last;
    }
    return last == NULL ? 0 : 1;
}

// --- work ---

#define SLOTS 256
#define THREADS 4

static _Atomic(unsigned char *) shared[SLOTS];

static void fail(const char *what)
{
    fprintf(stderr, "probe: %s\n", what);
    _exit(1);
}

static unsigned char *make_block(uint32_t r)
{
    size_t size = 1 + r % ((size_t)32 << (r >> 16) % 14);
    void *p = NULL;
    switch (r >> 24 & 3) {
    case 0:
        p = calloc(1, size + 4);
        break;
    case 1:
        p = realloc(malloc(size / 2 + 1), size + 4);
        break;
    case 2:
        if (posix_memalign(&p, (size_t)16 << (r >> 26) % 10, size + 4) != 0) {
            p = NULL;
        }
        break;
    default:
        p = malloc(size + 4);
    }
    if (p == NULL) {
        fail("out of memory");
    }
    unsigned char *block = p;
    uint32_t bytes = (uint32_t)size;
    memcpy(block, &bytes, sizeof bytes);
    memset(block + 4, (int)(bytes & 0xFF), size);
    return block;
}

static void drop_block(unsigned char *block)
{
    uint32_t bytes;
    memcpy(&bytes, block, sizeof bytes);
    for (uint32_t i = 0; i < bytes; i += 61) {
        if (block[4 + i] != (bytes & 0xFF)) {
            fail("a block lost its content");
        }
    }
    free(block);
}

static void *churn(void *arg)
{
    uint32_t r = (uint32_t)(uintptr_t)arg + 1;
    for (int i = 0; i < 8000; i++) {
        r = r * 1664525u + 1013904223u;
        unsigned char *old = atomic_exchange(&shared[r >> 8 & (SLOTS - 1)], make_block(r));
        if (old != NULL) {
            drop_block(old);
        }
        if (i % 2000 == 0 && hz3_epoch_force != NULL) {
            hz3_epoch_force();
        }
    }
    return NULL;
}

static void churn_in_a_child(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        churn(NULL);
        _exit(0);
    }
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        fail("the child failed");
    }
}

static int work(void)
{
    for (int round = 0; round < 2; round++) {
        pthread_t threads[THREADS];
        for (uintptr_t i = 0; i < THREADS; i++) {
            if (pthread_create(&threads[i], NULL, churn, (void *)i) != 0) {
                fail("cannot start a thread");
            }
        }
        churn_in_a_child();
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
        }
    }
    churn_in_a_child();
    if (malloc_trim != NULL) {
        malloc_trim(0);
    }
    puts("done");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "rss") == 0) {
        return print_rss();
    }
    if (argc == 2 && strcmp(argv[1], "work") == 0) {
        return work();
    }
    if (argc == 4 && strcmp(argv[1], "fill") == 0) {
        return fill(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    }
    fprintf(stderr, "usage: %s rss | work | fill SIZE MIB\n", argv[0]);
    return 64;
}
