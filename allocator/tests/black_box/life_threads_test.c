// Threads that start and end in every awkward way.
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

static const size_t mixed_sizes[] = {1, 16, 100, 1000, 4000, 5000, 20000, 32768, 40000, 200000, 2 * MIB};

// A block of every kind, grown and zeroed and given back.
static void use_all_kinds(uint64_t seed)
{
    for (size_t i = 0; i < COUNT_OF(mixed_sizes); i++) {
        size_t size = mixed_sizes[i];
        unsigned char *block = malloc(size);
        EXPECT(block != NULL, "malloc(%zu)", size);
        pattern_fill(block, size, seed);
        unsigned char *grown = realloc(block, 2 * size + 8);
        EXPECT(grown && pattern_mismatch(grown, size, seed) == size, "realloc of %zu", size);
        unsigned char *zeroed = calloc(1, size);
        EXPECT(zeroed && nonzero_offset(zeroed, size) == size, "calloc of %zu", size);
        void *aligned = memalign(4096, size);
        EXPECT(aligned && is_aligned(aligned, 4096), "memalign of %zu", size);
        free(grown);
        free(zeroed);
        free(aligned);
    }
}

static pthread_t thread_start(void *(*run)(void *), void *arg, size_t stack_bytes)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (stack_bytes) {
        EXPECT(pthread_attr_setstacksize(&attributes, stack_bytes) == 0, "a stack of %zu bytes", stack_bytes);
    }
    pthread_t thread;
    int error = pthread_create(&thread, &attributes, run, arg);
    EXPECT(error == 0, "pthread_create with a stack of %zu bytes: %s", stack_bytes, strerror(error));
    pthread_attr_destroy(&attributes);
    return thread;
}

// ---- thread-specific data ----

static pthread_key_t keys[PTHREAD_KEYS_MAX];
static size_t n_keys;

// Sets every key before the thread's first malloc: from the 33rd on, glibc allocates inside pthread_setspecific.
static void *set_keys_then_allocate(void *arg)
{
    for (size_t i = 0; i < n_keys; i++) {
        EXPECT(pthread_setspecific(keys[i], &keys[i]) == 0, "pthread_setspecific of key %zu", i);
    }
    use_all_kinds(1);
    for (size_t i = 0; i < n_keys; i++)
        EXPECT(pthread_getspecific(keys[i]) == &keys[i], "key %zu lost", i);
    return arg;
}

static void tls_keys_before_first_malloc(const void *arg)
{
    size_t wanted = (size_t)(uintptr_t)arg;
    while (n_keys < wanted && pthread_key_create(&keys[n_keys], NULL) == 0)
        n_keys++;
    EXPECT(n_keys > 40, "%zu keys", n_keys);
    for (int i = 0; i < 20; i++)
        pthread_join(thread_start(set_keys_then_allocate, NULL, 0), NULL);
    set_keys_then_allocate(NULL);
}

static void *burst_in_thread(void *arg)
{
    void *blocks[256];
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        size_t size = 16 + (i * 97) % 4000;
        blocks[i] = malloc(size);
        EXPECT(blocks[i] != NULL, "malloc(%zu)", size);
        memset(blocks[i], 1, size);
    }
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        free(blocks[i]);
    return arg;
}

static void all_keys_taken_does_not_leak_caches(const void *arg)
{
    (void)arg;
    while (n_keys < PTHREAD_KEYS_MAX && pthread_key_create(&keys[n_keys], NULL) == 0)
        n_keys++;
    size_t before = 0;
    for (int i = 0; i < 1000; i++) {
        if (i == 50) before = rss_bytes();
        pthread_join(thread_start(burst_in_thread, NULL, 0), NULL);
    }
    EXPECT(rss_bytes() <= before + 16 * MIB, "RSS %zu, after 950 threads %zu", before, rss_bytes());
}

static pthread_key_t destructor_key;
static _Atomic int destructor_calls;
static _Atomic(void *) left_behind[64];

// Comes back for every iteration that glibc grants, allocating each time; the last block is freed by the main thread.
static void allocating_destructor(void *value)
{
    int call = destructor_calls++;
    free(value);
    use_all_kinds((uint64_t)call);
    void *next = malloc(500);
    memset(next, 7, 500);
    if (call % PTHREAD_DESTRUCTOR_ITERATIONS == PTHREAD_DESTRUCTOR_ITERATIONS - 1) {
        left_behind[call / PTHREAD_DESTRUCTOR_ITERATIONS] = next;
    } else {
        pthread_setspecific(destructor_key, next);
    }
}

static void *thread_with_destructor(void *arg)
{
    if (arg) use_all_kinds(0);
    pthread_setspecific(destructor_key, malloc(500));
    use_all_kinds(0);
    return NULL;
}

static void tls_destructors_allocate(const void *arg)
{
    // The allocator's own key, if it has one, is younger or older than the test's.
    if (arg) use_all_kinds(0);
    EXPECT(pthread_key_create(&destructor_key, allocating_destructor) == 0, "pthread_key_create");
    size_t threads = COUNT_OF(left_behind);
    for (size_t i = 0; i < threads; i++) {
        pthread_join(thread_start(thread_with_destructor, i % 2 ? &destructor_key : NULL, 0), NULL);
    }
    EXPECT(destructor_calls == (int)threads * PTHREAD_DESTRUCTOR_ITERATIONS, "%d destructor calls", destructor_calls);
    for (size_t i = 0; i < threads; i++) {
        EXPECT(left_behind[i] && nonzero_offset(left_behind[i], 500) == 0, "block of thread %zu", i);
        free(left_behind[i]);
    }
}

// How libstdc++ registers the destructors of thread_local objects.
extern int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *dso);
extern void *__dso_handle;
static _Atomic int cxx_destructors;

static void cxx_destructor(void *object)
{
    cxx_destructors++;
    free(object);
    use_all_kinds(3);
}

static void *thread_with_cxx_destructors(void *arg)
{
    for (int i = 0; i < 4; i++)
        __cxa_thread_atexit_impl(cxx_destructor, malloc(64), &__dso_handle);
    if (arg) use_all_kinds(3);
    return NULL;
}

static void cxx_thread_local_destructors_allocate(const void *arg)
{
    (void)arg;
    for (size_t i = 0; i < 40; i++) {
        pthread_join(thread_start(thread_with_cxx_destructors, i % 2 ? &destructor_key : NULL, 0), NULL);
    }
    EXPECT(cxx_destructors == 160, "%d destructor calls", cxx_destructors);
}

// ---- small stacks, many threads, short threads ----

static void *use_all_kinds_thread(void *arg)
{
    use_all_kinds((uint64_t)(uintptr_t)arg);
    return arg;
}

static void stacks_of_16_kib(const void *arg)
{
    (void)arg;
    for (int round = 0; round < 20; round++) {
        pthread_t threads[8];
        for (size_t i = 0; i < COUNT_OF(threads); i++) {
            threads[i] = thread_start(use_all_kinds_thread, (void *)(i + 1), 16 * KIB);
        }
        for (size_t i = 0; i < COUNT_OF(threads); i++)
            pthread_join(threads[i], NULL);
    }
}

static pthread_barrier_t barrier;

static void *allocate_together(void *arg)
{
    void *blocks[40];
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        size_t size = mixed_sizes[i % 9];
        blocks[i] = malloc(size);
        EXPECT(blocks[i] != NULL, "malloc(%zu)", size);
        pattern_fill(blocks[i], size, (uint64_t)(uintptr_t)arg + i);
    }
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        size_t size = mixed_sizes[i % 9];
        EXPECT(pattern_mismatch(blocks[i], size, (uint64_t)(uintptr_t)arg + i) == size, "a block of %zu", size);
        free(blocks[i]);
    }
    return NULL;
}

static void threads_200_at_once(const void *arg)
{
    (void)arg;
    enum { THREADS = 200 };
    pthread_t threads[THREADS];
    for (int round = 0; round < 2; round++) {
        pthread_barrier_init(&barrier, NULL, THREADS);
        for (size_t i = 0; i < THREADS; i++)
            threads[i] = thread_start(allocate_together, (void *)(i << 20), 64 * KIB);
        for (size_t i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&barrier);
    }
}

static void *use_and_sleep(void *arg)
{
    static const size_t sizes[] = {24, 300, 2000, 5000, 40000};
    void *blocks[COUNT_OF(sizes)];
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        blocks[i] = malloc(sizes[i]);
        EXPECT(blocks[i] != NULL, "malloc(%zu) in thread %zu", sizes[i], (size_t)arg);
        pattern_fill(blocks[i], 16, (uint64_t)(uintptr_t)arg);
    }
    free(malloc(100));
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        EXPECT(pattern_mismatch(blocks[i], 16, (uint64_t)(uintptr_t)arg) == 16, "a block of thread %zu", (size_t)arg);
        free(blocks[i]);
    }
    return NULL;
}

// Each has used its cache and sleeps; most were never on the CPU at once with another.
static void threads_10000_at_once(const void *arg)
{
    (void)arg;
    enum { THREADS = 10000 };
    pthread_t *threads = map_pages(THREADS * sizeof *threads);
    pthread_attr_t attributes;
    size_t n = 0, before = rss_bytes();
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 32 * KIB);
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    while (n < THREADS && pthread_create(&threads[n], &attributes, use_and_sleep, (void *)n) == 0)
        n++;
    // The threads that there are wait for those that could not be started, so the process ends from here.
    NEEDS(n == THREADS, "no 10,000 threads allowed");
    pthread_barrier_wait(&barrier);
    child_note("info=RSS %zu MiB with 10000 sleeping threads", (rss_bytes() - before) / MIB);
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    heap_exercise(1, 40);
    malloc_trim(0);
}

static void short_threads_4000_without_growth(const void *arg)
{
    (void)arg;
    size_t before = 0;
    for (int i = 0; i < 4000; i += 4) {
        pthread_t threads[4];
        if (i == 200) before = rss_bytes();
        for (size_t j = 0; j < 4; j++)
            threads[j] = thread_start(burst_in_thread, NULL, 0);
        for (size_t j = 0; j < 4; j++)
            pthread_join(threads[j], NULL);
    }
    size_t after = rss_bytes();
    child_note("info=RSS %zu KiB after 200 threads, %zu KiB after 4000", before / KIB, after / KIB);
    EXPECT(after <= before + 16 * MIB, "RSS %zu, then %zu", before, after);
}

// ---- the process ends while threads are at work ----

static void *allocate_for_ever(void *arg)
{
    for (uint64_t i = 0;; i++)
        use_all_kinds(i);
    return arg;
}

static void exit_while_threads_allocate(const void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++)
        thread_start(allocate_for_ever, NULL, 0);
    use_all_kinds(9);
    sleep_ms(50);
    exit(0);
}

static void *end_process_later(void *arg)
{
    pthread_join(*(pthread_t *)arg, NULL);
    for (int i = 0; i < 20; i++)
        use_all_kinds((uint64_t)i);
    exit(0);
}

static void main_thread_ends_first(const void *arg)
{
    (void)arg;
    static pthread_t main_thread;
    main_thread = pthread_self();
    use_all_kinds(1);
    thread_start(end_process_later, &main_thread, 0);
    pthread_exit(NULL);
}

static void end_well_on_the_main_thread(void)
{
    sigset_t blocked;
    bool ok =
        gettid() == getpid() && pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0 && sigismember(&blocked, SIGTERM) == 0;
    _exit(ok ? 0 : 3);
}

static void *sleep_a_little(void *arg)
{
    sleep_ms(5);
    return arg;
}

// With a purger that works and one that sleeps; it comes with a second thread. A thread that the allocator starts runs
// no code of the program's.
static void exit_handlers_run_on_the_thread_that_ends_last(const void *arg)
{
    (void)arg;
    counter("purger_starts");
    for (int i = 0; i < 40; i++) {
        pid_t pid = fork();
        EXPECT(pid >= 0, "fork");
        if (pid == 0) {
            atexit(end_well_on_the_main_thread);
            pthread_t thread = thread_start(sleep_a_little, NULL, 0);
            for (int k = 0; k < 40; k++)
                memset(malloc(600 * KIB), 1, 600 * KIB);
            free(malloc(600 * KIB));
            pthread_join(thread, NULL);
            if (counter("purger_starts") != 1) _exit(4);
            sleep_ms(i % 2 == 0 ? 5 : 50);
            pthread_exit(NULL);
        }
        child_wait(pid, "child, by its exit handler");
    }
}

// The C library frees a detached thread's tables in the thread itself, when no destructor of it will run any more. A
// cache that such a free opened would belong to memory that is soon somebody else's.
static _Atomic pid_t detached_tid;

static void *allocate_nothing(void *arg)
{
    detached_tid = gettid();
    return arg;
}

static void await_end(pid_t tid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d", tid);
    while (access(path, F_OK) == 0)
        sleep_ms(1);
}

static void run_detached_on(void *stack, size_t bytes)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    EXPECT(pthread_attr_setstack(&attributes, stack, bytes) == 0, "a stack of our own");
    pthread_t thread;
    detached_tid = 0;
    EXPECT(pthread_create(&thread, &attributes, allocate_nothing, NULL) == 0, "pthread_create");
    pthread_attr_destroy(&attributes);
    while (detached_tid == 0)
        sleep_ms(1);
    await_end(detached_tid);
}

static void an_ending_thread_opens_no_cache(const void *arg)
{
    (void)arg;
    size_t bytes = 256 * KIB;
    for (int i = 0; i < 20; i++) {
        void *stack = map_pages(bytes);
        run_detached_on(stack, bytes);
        unmap_pages(stack, bytes);
    }
    malloc_trim(0);
    pid_t pid = fork();
    EXPECT(pid >= 0, "fork");
    if (pid == 0) {
        use_all_kinds(1);
        _exit(0);
    }
    child_wait(pid, "child");
    use_all_kinds(2);
}

static void *allocate_until_cancelled(void *arg)
{
    void **block = arg;
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
    while (true) {
        *block = malloc(3000);
        pthread_testcancel();
        free(*block);
        *block = NULL;
    }
    return NULL;
}

static void cancelled_threads(const void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        void *block = NULL;
        pthread_t thread = thread_start(allocate_until_cancelled, &block, 0);
        pthread_cancel(thread);
        pthread_join(thread, NULL);
        free(block);
    }
    use_all_kinds(5);
}

static const char *const thread_front[] = {"HZ3_FRONT=thread", NULL};

static const TestCase cases[] = {
    {.name = "tls_keys_40_before_first_malloc", .run = tls_keys_before_first_malloc, .arg = (void *)41},
    {.name = "tls_keys_600_before_first_malloc", .run = tls_keys_before_first_malloc, .arg = (void *)600},
    {.name = "tls_keys_all_taken_does_not_leak_caches", .run = all_keys_taken_does_not_leak_caches},
    {.name = "tls_destructors_allocate_key_first", .run = tls_destructors_allocate},
    {.name = "tls_destructors_allocate_malloc_first", .run = tls_destructors_allocate, .arg = "malloc first"},
    {.name = "cxx_thread_local_destructors_allocate", .run = cxx_thread_local_destructors_allocate},
    {.name = "stacks_of_16_kib", .run = stacks_of_16_kib},
    {.name = "threads_200_at_once", .run = threads_200_at_once},
    {.name = "threads_10000_at_once", .run = threads_10000_at_once},
    {.name = "short_threads_4000_without_growth", .run = short_threads_4000_without_growth},
    {.name = "exit_while_threads_allocate", .run = exit_while_threads_allocate},
    {.name = "main_thread_ends_first", .run = main_thread_ends_first},
    {.name = "exit_handlers_run_on_the_thread_that_ends_last", .run = exit_handlers_run_on_the_thread_that_ends_last},
    {.name = "an_ending_thread_opens_no_cache", .run = an_ending_thread_opens_no_cache, .child = {.env = thread_front}},
    {.name = "cancelled_threads", .run = cancelled_threads},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
