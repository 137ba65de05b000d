// What a kernel that refuses does to us, and what a process keeps that has freed everything.
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

// Weak: without hz3 the C library's own policy is on trial.
__attribute__((weak)) void hz3_epoch_force(void);

static const size_t all_sizes[] = {16, 500, 3000, 5000, 30000, 60000, 500000, MIB, 3 * MIB, 20 * MIB};

#define ROUND_BLOCKS 40

static void *round_blocks[COUNT_OF(all_sizes)][ROUND_BLOCKS];

static size_t blocks_of(size_t size)
{
    return size > MIB ? 6 : ROUND_BLOCKS;
}

static void allocate_round(void)
{
    for (size_t s = 0; s < COUNT_OF(all_sizes); s++) {
        for (size_t i = 0; i < blocks_of(all_sizes[s]); i++) {
            round_blocks[s][i] = malloc(all_sizes[s]);
            EXPECT(round_blocks[s][i] != NULL, "malloc(%zu)", all_sizes[s]);
            pattern_fill(round_blocks[s][i], all_sizes[s] < 4096 ? all_sizes[s] : 4096, s + i);
        }
    }
}

static void free_round_keeping_errno(void)
{
    for (size_t s = 0; s < COUNT_OF(all_sizes); s++) {
        for (size_t i = 0; i < blocks_of(all_sizes[s]); i++) {
            size_t touched = all_sizes[s] < 4096 ? all_sizes[s] : 4096;
            EXPECT(pattern_mismatch(round_blocks[s][i], touched, s + i) == touched, "block of %zu", all_sizes[s]);
            errno = ERRNO_MARK;
            free(round_blocks[s][i]);
            EXPECT(errno == ERRNO_MARK, "free of %zu bytes set errno", all_sizes[s]);
        }
    }
}

static void free_keeps_errno_when_the_kernel_refuses(const void *arg)
{
    (void)arg;
    static const int numbers[] = {SYS_madvise, SYS_munmap, SYS_process_madvise};
    allocate_round();
    NEEDS(forbid_calls(numbers, COUNT_OF(numbers), EPERM), "no seccomp here");
    for (int round = 0; round < 4; round++) {
        free_round_keeping_errno();
        malloc_trim(0);
        if (hz3_epoch_force) hz3_epoch_force();
        allocate_round();
        void *zeroed = calloc(1, 3 * MIB);
        EXPECT(zeroed && nonzero_offset(zeroed, 3 * MIB) == 3 * MIB, "calloc after a failed madvise");
        memset(zeroed, 0xa5, 3 * MIB);
        errno = ERRNO_MARK;
        free(zeroed);
        EXPECT(errno == ERRNO_MARK, "free of 3 MiB set errno");
    }
    free_round_keeping_errno();
}

static void errno_is_enomem_whatever_the_kernel_said(const void *arg)
{
    (void)arg;
    static const int numbers[] = {SYS_mmap, SYS_mremap, SYS_mprotect, SYS_brk};
    static const size_t sizes[] = {3 * MIB, 64 * MIB, 900 * MIB};
    void *kept = malloc(2 * MIB);
    EXPECT(kept != NULL, "2 MiB");
    pattern_fill(kept, 2 * MIB, 1);
    NEEDS(forbid_calls(numbers, COUNT_OF(numbers), EPERM), "no seccomp here");
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        errno = 0;
        EXPECT(malloc(sizes[i]) == NULL && errno == ENOMEM, "malloc(%zu)", sizes[i]);
        errno = 0;
        EXPECT(calloc(sizes[i], 1) == NULL && errno == ENOMEM, "calloc(%zu)", sizes[i]);
        errno = 0;
        EXPECT(realloc(opaque(kept), sizes[i]) == NULL && errno == ENOMEM, "realloc(%zu)", sizes[i]);
        errno = 0;
        EXPECT(memalign(4 * MIB, sizes[i]) == NULL && errno == ENOMEM, "memalign(%zu)", sizes[i]);
    }
    EXPECT(pattern_mismatch(opaque(kept), 2 * MIB, 1) == 2 * MIB, "block changed by a failed realloc");
    free(opaque(kept));
}

static void *rounds_in_thread(void *arg)
{
    for (size_t i = 0; i < 3000; i++) {
        unsigned char *block = malloc(1 + i * 37 % 70000);
        EXPECT(block != NULL, "malloc");
        block[0] = 1;
        free(block);
    }
    return arg;
}

static void plain_use(const void *arg)
{
    (void)arg;
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        EXPECT(pthread_create(&threads[i], NULL, rounds_in_thread, NULL) == 0, "pthread_create");
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    for (int round = 0; round < 3; round++) {
        allocate_round();
        free_round_keeping_errno();
        malloc_trim(0);
        if (hz3_epoch_force) hz3_epoch_force();
    }
}

// Old kernels, sandboxes and valgrind: the library starts without what it would like to have.
static void starts_where_the_kernel_knows_little(const void *arg)
{
    (void)arg;
    static const int numbers[] = {SYS_membarrier, SYS_rseq,    SYS_process_madvise, SYS_getcpu,
                                  SYS_getrandom,  SYS_sysinfo, SYS_prlimit64,       SYS_sched_getaffinity};
    NEEDS(forbid_calls(numbers, COUNT_OF(numbers), ENOSYS), "no seccomp here");
    child_run_case("plain_use", NULL);
}

// ---- what is kept ----

static void churn_does_not_grow(const void *arg)
{
    (void)arg;
    enum { SLOTS = 2000 };
    static void *slots[SLOTS];
    uint64_t random = 5;
    size_t settled = 0;
    for (size_t i = 0; i < 3000000; i++) {
        if (i == 600000) settled = rss_bytes();
        size_t slot = random_next(&random) % SLOTS;
        size_t size = random_size(&random, 32 * KIB);
        free(slots[slot]);
        slots[slot] = malloc(size);
        EXPECT(slots[slot] != NULL, "malloc(%zu)", size);
        memset(slots[slot], 1, size);
    }
    size_t after = rss_bytes();
    child_note("info=RSS %zu KiB after 600,000 steps, %zu KiB after 3,000,000", settled / KIB, after / KIB);
    EXPECT(after <= settled + 16 * MIB, "RSS %zu, then %zu", settled, after);
}

// A program that goes through many sizes, in less time than an epoch takes to come round. What one size has left in the
// caches keeps pages from the next, here by blocks of nearly every run.
static void sizes_in_turn_share_memory(const void *arg)
{
    (void)arg;
    enum { SIZES = 24, STEP = 64, PASSES = 3, BYTES = 8 * MIB };
    void **blocks = map_pages(BYTES / STEP * sizeof *blocks);
    uint64_t random = 9;
    size_t before = rss_bytes();
    for (size_t size = STEP; size <= PASSES * SIZES * STEP; size += STEP) {
        size_t bytes = (size - STEP) % (SIZES * STEP) + STEP;
        size_t n = BYTES / bytes;
        for (size_t i = 0; i < n; i++) {
            blocks[i] = malloc(bytes);
            EXPECT(blocks[i] != NULL, "malloc(%zu)", bytes);
            memset(blocks[i], 1, bytes);
        }
        for (size_t i = n; i > 0; i--) {
            size_t at = random_next(&random) % i;
            free(blocks[at]);
            blocks[at] = blocks[i - 1];
        }
    }
    size_t grown = rss_bytes() - before;
    child_note("info=%d sizes of %zu KiB each: RSS grew by %zu KiB", SIZES, BYTES / KIB, grown / KIB);
    EXPECT(grown <= 3 * BYTES, "RSS grew by %zu KiB; never more than %zu are alive", grown / KIB, BYTES / KIB);
}

#define WORKERS 4
#define WORKER_BLOCKS 10000

static sem_t worker_done, worker_exit;

static void *burst_then_sleep(void *arg)
{
    void **mine = map_pages(WORKER_BLOCKS * sizeof *mine);
    for (size_t i = 0; i < WORKER_BLOCKS; i++) {
        size_t size = i % 4 ? 256 + i * 41 % 3840 : 4096 + i * 997 % 28000;
        mine[i] = malloc(size);
        EXPECT(mine[i] != NULL, "malloc(%zu)", size);
        memset(mine[i], 1, size);
    }
    for (size_t i = 0; i < WORKER_BLOCKS; i++)
        free(mine[i]);
    unmap_pages(mine, WORKER_BLOCKS * sizeof *mine);
    sem_post(&worker_done);
    sem_wait(&worker_exit);
    return arg;
}

// The workers stay alive and asleep; most of what they freed must not stay with them.
static void sleeping_workers_hold_little(const void *arg)
{
    (void)arg;
    NEEDS(hz3_epoch_force != NULL, "hz3_epoch_force is hz3's own");
    pthread_t threads[WORKERS];
    sem_init(&worker_done, 0, 0);
    sem_init(&worker_exit, 0, 0);
    size_t before = rss_bytes();
    for (size_t i = 0; i < WORKERS; i++) {
        EXPECT(pthread_create(&threads[i], NULL, burst_then_sleep, NULL) == 0, "pthread_create");
    }
    for (size_t i = 0; i < WORKERS; i++)
        sem_wait(&worker_done);
    size_t burst = rss_bytes();
    size_t after = burst;
    for (int tick = 0; tick < 100; tick++) {
        hz3_epoch_force();
        sleep_ms(10);
        after = rss_bytes();
        if (after <= before + (burst - before) / 20) break;
    }
    child_note("info=RSS %zu KiB, %zu KiB after the burst, %zu KiB idle", before / KIB, burst / KIB, after / KIB);
    EXPECT(after <= before + (burst - before) / 3, "RSS %zu before, %zu after the burst, %zu idle", before, burst,
           after);
    for (size_t i = 0; i < WORKERS; i++)
        sem_post(&worker_exit);
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
}

static size_t peak_kib_of_cat(const char *preload)
{
    static ChildResult result;
    char entry[4200];
    snprintf(entry, sizeof entry, "LD_PRELOAD=%s", preload);
    const ChildOptions options = {.env = (const char *const[]){entry, NULL}};
    size_t least = SIZE_MAX;
    for (int i = 0; i < 5; i++) {
        child_run((const char *const[]){"/bin/cat", "/proc/self/status", NULL}, &options, &result);
        const char *line = strstr(result.out, "VmHWM:");
        EXPECT(result.status == 0 && line, "cat /proc/self/status: '%s'", result.err);
        size_t kib = strtoul(line + 6, NULL, 10);
        if (kib < least) least = kib;
    }
    return least;
}

static void small_programs_stay_small(const void *arg)
{
    (void)arg;
    NEEDS(preload_path() != NULL, "nothing is preloaded");
    size_t alone = peak_kib_of_cat("");
    size_t loaded = peak_kib_of_cat(preload_path());
    child_note("info=peak RSS of cat %zu KiB, with the library %zu KiB", alone, loaded);
    EXPECT(loaded <= alone + 1024, "peak RSS of cat %zu KiB, with the library %zu KiB", alone, loaded);
}

static const char *const epochs_in_slow_paths[] = {"HZ3_PURGER=0", "HZ3_EPOCH_TICK_MS=1", "HZ3_S65_PURGE_AGE_EPOCHS=0",
                                                   NULL};
static const char *const no_epoch_comes[] = {"HZ3_PURGER=0", "HZ3_EPOCH_TICK_MS=60000", NULL};
static const TestCase cases[] = {
    {.name = "free_keeps_errno_when_the_kernel_refuses", .run = free_keeps_errno_when_the_kernel_refuses},
    {.name = "free_keeps_errno_when_the_kernel_refuses_it_an_epoch",
     .run = free_keeps_errno_when_the_kernel_refuses,
     .child = {.env = epochs_in_slow_paths}},
    {.name = "errno_is_enomem_whatever_the_kernel_said", .run = errno_is_enomem_whatever_the_kernel_said},
    {.name = "starts_where_the_kernel_knows_little", .run = starts_where_the_kernel_knows_little},
    {.name = "plain_use", .run = plain_use, .helper = true},
    {.name = "churn_does_not_grow", .run = churn_does_not_grow},
    {.name = "sizes_in_turn_share_memory", .run = sizes_in_turn_share_memory, .child = {.env = no_epoch_comes}},
    {.name = "sleeping_workers_hold_little", .run = sleeping_workers_hold_little},
    {.name = "small_programs_stay_small", .run = small_programs_stay_small},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
