// What costs how much in a large heap: prints a row of a table for each number of open segments asked for. The segments
// hold two blocks of 1 MiB that nobody touches, so 100,000 of them take address space and metadata.
//
//     HZ3_ARENA_SIZE=1T HZ3_EPOCH_TICK_MS=0 LD_PRELOAD=... scale_costs 1000 10000 100000
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK ((size_t)1 << 20)
#define BLOCKS_PER_SEGMENT 2u
#define CHANGED 10u // segments in which an epoch finds something new
#define TRIES 21
#define EPOCHS_MAX 400

extern void hz3_epoch_force(void) __attribute__((weak));
extern int hz3_stats_read(const char *name, uint64_t *value) __attribute__((weak));

static char **block;
static size_t n_blocks;

static double us_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void nothing(void) {}

static void epoch(void)
{
    hz3_epoch_force();
}

static uint64_t stat(const char *name)
{
    uint64_t value = 0;
    hz3_stats_read(name, &value);
    return value;
}

// A page is used and freed in each of some segments that lie far from each other. Returns the slowest of the epochs
// that it takes until the pages are with the kernel.
static double slowest_epoch_us(void)
{
    uint64_t purged = stat("purged_pages");
    for (size_t i = 0; i < CHANGED; i++) {
        char **b = &block[i * (n_blocks / CHANGED)];
        **b = 1;
        free(*b);
    }
    double slowest = 0;
    for (int i = 0; i < EPOCHS_MAX && stat("purged_pages") < purged + CHANGED; i++) {
        double start = us_now();
        epoch();
        double us = us_now() - start;
        slowest = us > slowest ? us : slowest;
    }
    if (stat("purged_pages") < purged + CHANGED) {
        fprintf(stderr, "scale_costs: pages did not go back in %d epochs\n", EPOCHS_MAX);
        exit(1);
    }
    for (size_t i = 0; i < CHANGED; i++) {
        block[i * (n_blocks / CHANGED)] = malloc(BLOCK);
    }
    return slowest;
}

static void fork_and_wait(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        perror("scale_costs: fork");
        exit(1);
    }
}

static void figures(void)
{
    struct mallinfo2 info = mallinfo2();
    if (info.uordblks == 0) {
        fprintf(stderr, "scale_costs: mallinfo2 knows of no block\n");
        exit(1);
    }
}

static void trim(void)
{
    malloc_trim(0);
}

static void *claimed[100];

static void claim_pages(void)
{
    for (size_t i = 0; i < sizeof claimed / sizeof *claimed; i++) {
        claimed[i] = malloc(32768);
    }
}

// Back to their segments, so that the next ones are claimed again.
static void give_pages_back(void)
{
    for (size_t i = 0; i < sizeof claimed / sizeof *claimed; i++) {
        free(claimed[i]);
    }
    malloc_trim(0);
}

static double median(double us[TRIES])
{
    qsort(us, TRIES, sizeof *us, by_value);
    return us[TRIES / 2];
}

static double median_us(void (*timed)(void), void (*after)(void))
{
    double us[TRIES];
    for (int i = 0; i < TRIES; i++) {
        double start = us_now();
        timed();
        us[i] = us_now() - start;
        after();
    }
    return median(us);
}

static double median_of_slowest_epochs(void)
{
    double us[TRIES];
    for (int i = 0; i < TRIES; i++) {
        us[i] = slowest_epoch_us();
    }
    return median(us);
}

static void open_segments(size_t segments)
{
    size_t wanted = segments * BLOCKS_PER_SEGMENT;
    for (; n_blocks < wanted; n_blocks++) {
        block[n_blocks] = malloc(BLOCK);
        if (block[n_blocks] == NULL) {
            fprintf(stderr, "scale_costs: no block %zu of %zu: HZ3_ARENA_SIZE?\n", n_blocks, wanted);
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 2 || hz3_epoch_force == NULL || hz3_stats_read == NULL) {
        fprintf(stderr, "Usage: LD_PRELOAD=a library of hz3 %s SEGMENTS...\n", argv[0]);
        return 64;
    }
    size_t most = 0;
    for (int i = 1; i < argc; i++) {
        size_t segments = strtoul(argv[i], NULL, 10);
        most = segments > most ? segments : most;
    }
    block = calloc(most * BLOCKS_PER_SEGMENT, sizeof *block);
    printf("| open segments | epoch, nothing new | slowest epoch, %u changed | fork | mallinfo2 | trim | 100 blocks of "
           "32 KiB |\n"
           "|---:|---:|---:|---:|---:|---:|---:|\n",
           CHANGED);
    for (int i = 1; i < argc; i++) {
        open_segments(strtoul(argv[i], NULL, 10));
        for (int k = 0; k < 20; k++) {
            epoch(); // what opening has left is done
        }
        uint64_t segments = stat("segments_opened") - stat("segments_retired");
        double idle = median_us(epoch, nothing);
        double changed = median_of_slowest_epochs();
        double forked = median_us(fork_and_wait, nothing);
        double info = median_us(figures, nothing);
        double trimmed = median_us(trim, nothing);
        printf("| %lu | %.1f | %.1f | %.0f | %.1f | %.1f | %.1f |\n", segments, idle, changed, forked, info, trimmed,
               median_us(claim_pages, give_pages_back));
        fflush(stdout);
    }
    return 0;
}
