// Many threads, every size, local and remote frees, thread churn, trims and epochs, all at once.
//
// Every object is full of a pattern made of its own address and size, checked at its free, and has an ownership byte
// outside of the heap that only one holder may set: an object handed out twice is seen at once, an overlap at the free.
//     STRESS_S=60     seconds for each case
//     STRESS_SEED=n   the seed that an earlier run printed
//     STRESS_EPOCHS=1 one more thread that does nothing but epochs
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

#define THREADS_MAX 64
#define SLOTS 160
#define MAILBOX_SLOTS 64
#define LARGE_EDGE ((size_t)4096)
#define DEFAULT_S 2
#define SHADOW_BYTES ((size_t)1 << 44) // a byte for each 16 of the user half of the address space, on aarch64 2^48

typedef struct Worker {
    pthread_t thread;
    unsigned index;
    uint64_t random;
    uint64_t operations;
    size_t *slots[SLOTS];                     // objects, each begins with its size; kept across the lives of the worker
    _Atomic(size_t *) mailbox[MAILBOX_SLOTS]; // what others have sent to be freed here
} Worker;

static Worker *workers;
static unsigned n_workers;
static int64_t deadline_ns;
static _Atomic uint8_t *shadow;

__attribute__((weak)) void hz3_epoch_force(void);

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// ---- objects ----

static uint64_t object_seed(const size_t *object, size_t size)
{
    return ((uint64_t)(uintptr_t)object << 8) ^ size;
}

// How much of it is filled from the start: all, or of a large object only either end.
static size_t head_of(size_t size)
{
    return size > 64 * KIB ? LARGE_EDGE : size;
}

static void object_fill(size_t *object, size_t size)
{
    uint64_t seed = object_seed(object, size);
    *object = size;
    pattern_fill(object + 1, head_of(size) - sizeof *object, seed);
    if (head_of(size) < size) pattern_fill((char *)object + size - LARGE_EDGE, LARGE_EDGE, ~seed);
}

static void object_verify(const size_t *object)
{
    size_t size = *object;
    uint64_t seed = object_seed(object, size);
    size_t head = head_of(size) - sizeof *object;
    size_t at = pattern_mismatch(object + 1, head, seed);
    EXPECT(at == head, "object %p of %zu bytes changed at %zu", (const void *)object, size, at + sizeof *object);
    if (head_of(size) < size) {
        at = pattern_mismatch((const char *)object + size - LARGE_EDGE, LARGE_EDGE, ~seed);
        EXPECT(at == LARGE_EDGE, "object %p of %zu bytes changed near its end", (const void *)object, size);
    }
}

static void own(const size_t *object, const Worker *self)
{
    uint8_t nobody = 0;
    _Atomic uint8_t *byte = &shadow[(uintptr_t)object >> 4];
    EXPECT(atomic_compare_exchange_strong(byte, &nobody, (uint8_t)(self->index + 1)),
           "%p was handed to thread %u while thread %d has it", (const void *)object, self->index, nobody - 1);
}

static void disown(const size_t *object)
{
    EXPECT(atomic_exchange(&shadow[(uintptr_t)object >> 4], 0) != 0, "%p had no owner", (const void *)object);
}

static size_t choose_size(uint64_t *random)
{
    size_t size = random_size(random, random_next(random) % 300 ? 36 * KIB : 3 * MIB);
    return size < sizeof(size_t) ? sizeof(size_t) : size;
}

static size_t *object_allocate(Worker *self)
{
    size_t size = choose_size(&self->random);
    size_t alignment = (size_t)16 << random_next(&self->random) % 9;
    size_t *object = NULL;
    switch (random_next(&self->random) % 16) {
    case 0:
    case 1:
        object = calloc(1, size);
        EXPECT(object && nonzero_offset(object, size) == size, "calloc of %zu is not zero", size);
        break;
    case 2:
        object = memalign(alignment, size);
        EXPECT(object && is_aligned(object, alignment), "memalign(%zu, %zu) = %p", alignment, size, (void *)object);
        break;
    case 3:
        object = realloc(NULL, size);
        break;
    default:
        object = malloc(size);
    }
    EXPECT(object && is_aligned(object, 16), "%zu bytes = %p", size, (void *)object);
    own(object, self);
    object_fill(object, size);
    return object;
}

static void object_free(size_t *object)
{
    object_verify(object);
    disown(object);
    free(object);
}

static size_t *object_resize(Worker *self, size_t *object)
{
    size_t old_size = *object;
    size_t size = choose_size(&self->random);
    uint64_t old_seed = object_seed(object, old_size);
    object_verify(object);
    disown(object);
    size_t *moved = realloc(object, size);
    EXPECT(moved != NULL && *moved == old_size, "realloc of %zu to %zu", old_size, size);
    own(moved, self);
    size_t kept = (head_of(old_size) < size ? head_of(old_size) : size) - sizeof *moved;
    EXPECT(pattern_mismatch(moved + 1, kept, old_seed) == kept, "content lost from %zu to %zu", old_size, size);
    object_fill(moved, size);
    return moved;
}

// ---- workers ----

// What lay in the mailbox is freed here, far from where it was allocated and from where it was sent.
static void object_send(Worker *self, size_t *object)
{
    Worker *to = &workers[random_next(&self->random) % n_workers];
    size_t *old = atomic_exchange(&to->mailbox[random_next(&self->random) % MAILBOX_SLOTS], object);
    if (old) object_free(old);
}

static void mailbox_empty_some(Worker *self)
{
    for (int i = 0; i < 4; i++) {
        size_t *object = atomic_exchange(&self->mailbox[random_next(&self->random) % MAILBOX_SLOTS], NULL);
        if (object) object_free(object);
    }
}

static void worker_step(Worker *self)
{
    size_t **slot = &self->slots[random_next(&self->random) % SLOTS];
    unsigned what = (unsigned)(random_next(&self->random) % 16);
    if (!*slot) {
        *slot = object_allocate(self);
    } else if (what < 2) {
        *slot = object_resize(self, *slot);
    } else if (what < 9) {
        object_send(self, *slot);
        *slot = NULL;
    } else {
        object_free(*slot);
        *slot = NULL;
    }
    if (what % 4 == 0) mailbox_empty_some(self);
    unsigned rare = (unsigned)(random_next(&self->random) % 16384);
    if (rare == 0) malloc_trim(0);
    if (rare == 1 && hz3_epoch_force) hz3_epoch_force();
    if (rare >= 2 && rare < 8) sched_yield();
}

static void *worker_run(void *arg)
{
    Worker *self = arg;
    uint64_t steps = 200 + random_next(&self->random) % 6000;
    for (uint64_t i = 0; i < steps; i++) {
        if (i % 64 == 0 && now_ns() > deadline_ns) break;
        worker_step(self);
        self->operations++;
    }
    return NULL;
}

static void worker_start(Worker *worker)
{
    int error = pthread_create(&worker->thread, NULL, worker_run, worker);
    EXPECT(error == 0, "pthread_create: %s", strerror(error));
}

static uint64_t free_everything(void)
{
    uint64_t operations = 0;
    for (unsigned w = 0; w < n_workers; w++) {
        operations += workers[w].operations;
        for (size_t i = 0; i < SLOTS; i++) {
            if (workers[w].slots[i]) object_free(workers[w].slots[i]);
        }
        for (size_t i = 0; i < MAILBOX_SLOTS; i++) {
            if (workers[w].mailbox[i]) object_free(workers[w].mailbox[i]);
        }
    }
    return operations;
}

// A file of holes: the kernel refuses private memory of this size to everybody where it does not overcommit.
static void shadow_map(void)
{
    int fd = memfd_create("ownership", MFD_CLOEXEC);
    NEEDS(fd >= 0 && ftruncate(fd, SHADOW_BYTES) == 0, "no file of 8 TiB for the ownership bytes");
    shadow = mmap(NULL, SHADOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    NEEDS(shadow != MAP_FAILED, "no 8 TiB of address space for the ownership bytes");
    close(fd);
}

static long env_number(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

// The purger in a tight loop.
static void *epochs_run(void *arg)
{
    while (now_ns() < deadline_ns && hz3_epoch_force)
        hz3_epoch_force();
    return arg;
}

static void stress(const void *arg)
{
    n_workers = (unsigned)(uintptr_t)arg;
    uint64_t seed = (uint64_t)env_number("STRESS_SEED", (long)(now_ns() % 1000000007));
    child_note("info=STRESS_SEED=%lu", (unsigned long)seed);
    shadow_map();
    workers = map_pages(n_workers * sizeof *workers);
    deadline_ns = now_ns() + env_number("STRESS_S", DEFAULT_S) * 1000000000;
    unsigned long threads = n_workers;
    for (unsigned w = 0; w < n_workers; w++) {
        workers[w].index = w;
        workers[w].random = seed * 1000 + w;
    }
    pthread_t epochs;
    bool with_epochs = env_number("STRESS_EPOCHS", 0) != 0;
    EXPECT(!with_epochs || pthread_create(&epochs, NULL, epochs_run, NULL) == 0, "a thread for the epochs");
    for (unsigned w = 0; w < n_workers; w++)
        worker_start(&workers[w]);
    while (now_ns() < deadline_ns) {
        sleep_ms(2);
        for (unsigned w = 0; w < n_workers; w++) {
            if (pthread_tryjoin_np(workers[w].thread, NULL) != 0) continue;
            worker_start(&workers[w]);
            threads++;
        }
    }
    for (unsigned w = 0; w < n_workers; w++)
        pthread_join(workers[w].thread, NULL);
    if (with_epochs) pthread_join(epochs, NULL);
    uint64_t operations = free_everything();
    malloc_trim(0);
    child_note("info=%lu operations by %lu threads", (unsigned long)operations, threads);
    EXPECT(operations > 1000, "only %lu operations", (unsigned long)operations);
}

int main(int argc, char **argv)
{
    static const char *const small_arena[] = {"HZ3_ARENA_SIZE=32M", NULL};
    static const char *const two_nodes[] = {"HZ3_NODES=2", "HZ3_SHARDS=4", NULL};
    static const char *const tiny_caches[] = {"HZ3_FRONT_BYTES=4K", "HZ3_DEPOT_BYTES=0", "HZ3_MAPPED_CACHE_BYTES=0",
                                              NULL};
    static const char *const purge_at_once[] = {"STRESS_EPOCHS=1",
                                                "HZ3_EPOCH_TICK_MS=1",
                                                "HZ3_S65_PURGE_AGE_EPOCHS=0",
                                                "HZ3_S65_PURGE_BUDGET_PAGES=1000000000",
                                                "HZ3_S65_PURGE_BUDGET_US=1000000000",
                                                "HZ3_S65_PARTIAL_AGE_EPOCHS=0",
                                                "HZ3_S65_PARTIAL_BUDGET_RUNS=1000000000",
                                                NULL};
    int timeout_s = (int)env_number("STRESS_S", DEFAULT_S) + 60;
    const TestCase cases[] = {
        {.name = "stress_8_threads", .run = stress, .arg = (void *)8, .child = {.timeout_s = timeout_s}},
        {.name = "stress_64_threads", .run = stress, .arg = (void *)64, .child = {.timeout_s = timeout_s}},
        {.name = "stress_16_threads_in_an_arena_of_32_mib",
         .run = stress,
         .arg = (void *)16,
         .child = {.env = small_arena, .timeout_s = timeout_s}},
        {.name = "stress_8_threads_on_two_memory_nodes",
         .run = stress,
         .arg = (void *)8,
         .child = {.env = two_nodes, .timeout_s = timeout_s}},
        {.name = "stress_8_threads_with_tiny_caches",
         .run = stress,
         .arg = (void *)8,
         .child = {.env = tiny_caches, .timeout_s = timeout_s}},
        {.name = "stress_8_threads_while_everything_free_is_purged_at_once",
         .run = stress,
         .arg = (void *)8,
         .child = {.env = purge_at_once, .timeout_s = timeout_s}},
    };
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
