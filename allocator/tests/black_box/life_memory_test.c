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
typedef struct Turns {
    size_t step, most_blocks, most_bytes; // of one size
} Turns;

static void sizes_in_turn_share_memory(const void *arg)
{
    enum { SIZES = 24, PASSES = 3 };
    const Turns *turns = arg;
    size_t step = turns->step;
    void **blocks = map_pages(turns->most_blocks * sizeof *blocks);
    uint64_t random = 9;
    size_t before = rss_bytes();
    for (size_t size = step; size <= PASSES * SIZES * step; size += step) {
        size_t bytes = (size - step) % (SIZES * step) + step;
        size_t n = turns->most_bytes / bytes < turns->most_blocks ? turns->most_bytes / bytes : turns->most_blocks;
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
    child_note("info=%d sizes up to %zu, %zu KiB of each: RSS grew by %zu KiB", SIZES, SIZES * step,
               turns->most_bytes / KIB, grown / KIB);
    EXPECT(grown <= 3 * turns->most_bytes, "RSS grew by %zu KiB; never more than %zu are alive", grown / KIB,
           turns->most_bytes / KIB);
}

// --- bulk frees ---

enum { BULK_BLOCKS = 8000, BULK_ROUNDS = 24 };

static int by_address(const void *a, const void *b)
{
    uintptr_t left = *(const uintptr_t *)a;
    uintptr_t right = *(const uintptr_t *)b;
    return (left > right) - (left < right);
}

// The pages that the blocks begin in, sorted.
static size_t pages_of(void *const *blocks, uintptr_t *page)
{
    size_t n = 0;
    for (size_t i = 0; i < BULK_BLOCKS; i++)
        page[i] = (uintptr_t)blocks[i] / 4096;
    qsort(page, BULK_BLOCKS, sizeof *page, by_address);
    for (size_t i = 0; i < BULK_BLOCKS; i++)
        if (n == 0 || page[n - 1] != page[i]) page[n++] = page[i];
    return n;
}

static size_t in_both(const uintptr_t *a, size_t n_a, const uintptr_t *b, size_t n_b)
{
    size_t n = 0;
    for (size_t i = 0, k = 0; i < n_a && k < n_b;) {
        n += a[i] == b[k];
        if (a[i] <= b[k])
            i++;
        else
            k++;
    }
    return n;
}

// Rounds of one size after the other, each of which frees all of its blocks at random. No epoch comes. On one CPU: what
// a thread leaves in the caches of another stays there.
static void bulk_frees_serve_the_next_size(const void *arg)
{
    (void)arg;
    run_on_cpu(0);
    void **blocks = map_pages(BULK_BLOCKS * sizeof *blocks);
    uintptr_t *page = map_pages(BULK_BLOCKS * sizeof *page);
    uintptr_t *before = map_pages(BULK_BLOCKS * sizeof *before);
    uint64_t random = 3;
    size_t n_before = 0, shared = 0, possible = 0;
    for (size_t round = 0; round < BULK_ROUNDS; round++) {
        size_t bytes = 100 + round * 7 % BULK_ROUNDS * 40;
        for (size_t i = 0; i < BULK_BLOCKS; i++)
            EXPECT((blocks[i] = malloc(bytes)) != NULL, "malloc(%zu)", bytes);
        size_t n = pages_of(blocks, page);
        if (round > BULK_ROUNDS / 2) {
            shared += in_both(page, n, before, n_before);
            possible += n < n_before ? n : n_before;
        }
        memcpy(before, page, n * sizeof *page);
        n_before = n;
        for (size_t i = BULK_BLOCKS; i > 0; i--) {
            size_t at = random_next(&random) % i;
            free(blocks[at]);
            blocks[at] = blocks[i - 1];
        }
    }
    child_note("info=of %zu pages %zu were the last size's", possible, shared);
    EXPECT(shared > possible / 2, "of %zu pages that the last size could have left, %zu served", possible, shared);
}

// While another size has opened pages, the freed one is wanted again: it comes out of the caches.
static void what_was_freed_in_bulk_serves_its_own_size(const void *arg)
{
    (void)arg;
    run_on_cpu(0);
    enum { SIZE = 200, OTHER = 3000 };
    void **blocks = map_pages(BULK_BLOCKS * sizeof *blocks);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < BULK_BLOCKS; i++)
            EXPECT((blocks[i] = malloc(SIZE)) != NULL, "malloc(%d)", SIZE);
        for (size_t i = 0; i < BULK_BLOCKS; i++)
            free(blocks[i]);
        EXPECT(malloc(OTHER) != NULL, "malloc(%d)", OTHER); // and the rest of its run
    }
    EXPECT(counter("bulk_settles") == 0, "%llu pieces settled", (unsigned long long)counter("bulk_settles"));
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
static const Turns small = {.step = 64, .most_blocks = 8 * MIB / 64, .most_bytes = 8 * MIB};
static const Turns medium = {.step = 1280, .most_blocks = 8 * MIB / 1280, .most_bytes = 8 * MIB};
static const char *const without_epochs[] = {"HZ3_EPOCH_TICK_MS=0", NULL};
static const char *const no_epoch_comes[] = {"HZ3_PURGER=0", "HZ3_EPOCH_TICK_MS=60000", NULL};
static const char *const no_epoch_comes_and_depots_are_deep[] = {"HZ3_PURGER=0", "HZ3_EPOCH_TICK_MS=60000",
                                                                 "HZ3_DEPOT_BYTES=64M", NULL};
static const TestCase cases[] = {
    {.name = "free_keeps_errno_when_the_kernel_refuses", .run = free_keeps_errno_when_the_kernel_refuses},
    {.name = "free_keeps_errno_when_the_kernel_refuses_it_an_epoch",
     .run = free_keeps_errno_when_the_kernel_refuses,
     .child = {.env = epochs_in_slow_paths}},
    {.name = "errno_is_enomem_whatever_the_kernel_said", .run = errno_is_enomem_whatever_the_kernel_said},
    {.name = "starts_where_the_kernel_knows_little", .run = starts_where_the_kernel_knows_little},
    {.name = "plain_use", .run = plain_use, .helper = true},
    {.name = "churn_does_not_grow", .run = churn_does_not_grow},
    {.name = "small_sizes_in_turn_share_memory",
     .run = sizes_in_turn_share_memory,
     .arg = &small,
     .child = {.env = no_epoch_comes}},
    {.name = "medium_sizes_in_turn_share_memory",
     .run = sizes_in_turn_share_memory,
     .arg = &medium,
     .child = {.env = no_epoch_comes_and_depots_are_deep}},
    {.name = "bulk_frees_serve_the_next_size", .run = bulk_frees_serve_the_next_size, .child = {.env = without_epochs}},
    {.name = "what_was_freed_in_bulk_serves_its_own_size",
     .run = what_was_freed_in_bulk_serves_its_own_size,
     .child = {.env = without_epochs}},
    {.name = "sleeping_workers_hold_little", .run = sleeping_workers_hold_little},
    {.name = "small_programs_stay_small", .run = small_programs_stay_small},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
