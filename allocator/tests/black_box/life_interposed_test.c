// Libraries in front of the allocator and behind it: wrappers of its functions, fork handlers, glibc's other names.
#include <dlfcn.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support.h"

// Runs the case `helper` with the allocator and the plugin preloaded, the wrapper in front.
static void run_with(const char *helper, const char *plugin, bool is_wrapper, const char *setting)
{
    NEEDS(preload_path() != NULL, "nothing is preloaded");
    char path[PATH_MAX + 64];
    char both[3 * PATH_MAX];
    snprintf(path, sizeof path, "%s/%s_plugin.so", program_dir(), plugin);
    snprintf(both, sizeof both, "LD_PRELOAD=%s %s", is_wrapper ? path : preload_path(),
             is_wrapper ? preload_path() : path);
    const ChildOptions options = {.env = (const char *const[]){both, setting, NULL}, .timeout_s = 20};
    child_run_case(helper, &options);
}

static void use_heap_in_threads(void)
{
    pthread_t threads[4];
    busy_threads_start(threads, COUNT_OF(threads));
    heap_exercise(0, 20);
    sleep_ms(50);
    busy_threads_stop(threads, COUNT_OF(threads));
}

static void under_a_wrapper(const void *arg)
{
    (void)arg;
    unsigned long (*calls)(void) = (unsigned long (*)(void))dlsym(RTLD_DEFAULT, "wrapper_calls");
    EXPECT(calls != NULL, "the wrapper is not loaded");
    unsigned long before = calls();
    use_heap_in_threads();
    EXPECT(calls() > before + 1000, "%lu calls passed the wrapper", calls() - before);
}

static void wrapper_that_uses_dlsym_next(const void *arg)
{
    (void)arg;
    run_with("under_a_wrapper", "wrapper", true, NULL);
}

// Sizes that make each function of the allocator take its ways: in place, to another block, to another kind.
static void under_a_header(const void *arg)
{
    (void)arg;
    static const size_t sizes[] = {1, 40, 100, 1000, 5000, 20000, 40000, 300000, 2000000, 500, 7};
    unsigned long (*calls)(void) = (unsigned long (*)(void))dlsym(RTLD_DEFAULT, "header_plugin_calls");
    EXPECT(calls != NULL, "the wrapper is not loaded");
    unsigned long before = calls();
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char *block = calloc(1, sizes[i]);
        EXPECT(nonzero_offset(block, sizes[i]) == sizes[i], "calloc of %zu bytes", sizes[i]);
        pattern_fill(block, sizes[i], i);
        for (size_t k = 0; k < COUNT_OF(sizes); k++) {
            size_t least = sizes[i] < sizes[k] ? sizes[i] : sizes[k];
            char *moved = k % 2 == 0 ? realloc(block, sizes[k]) : reallocarray(block, sizes[k], 1);
            EXPECT(pattern_mismatch(moved, least, i) == least, "realloc of %zu to %zu bytes", sizes[i], sizes[k]);
            block = realloc(moved, sizes[i]);
            pattern_fill(block, sizes[i], i);
        }
        free(block);
    }
    EXPECT(calls() - before == COUNT_OF(sizes) * (2 + 2 * COUNT_OF(sizes)), "%lu calls", calls() - before);
    use_heap_in_threads();
}

// Without the purger: glibc allocates for a thread that malloc starts, so that this wrapper would be called back.
static void wrapper_with_a_header_and_a_lock(const void *arg)
{
    (void)arg;
    run_with("under_a_header", "header", true, "HZ3_PURGER=0");
}

static sem_t may_allocate, has_allocated;

static void *allocate_when_told(void *arg)
{
    sem_wait(&may_allocate);
    heap_exercise(1, 200);
    sem_post(&has_allocated);
    return arg;
}

static void wait_for_a_thread_that_allocates(void)
{
    sem_post(&may_allocate);
    sem_wait(&has_allocated);
}

static void under_an_older_fork_handler(const void *arg)
{
    (void)arg;
    void (*call)(void (*)(void)) = (void (*)(void (*)(void)))dlsym(RTLD_DEFAULT, "atfork_plugin_call");
    EXPECT(call != NULL, "the plugin is not loaded");
    sem_init(&may_allocate, 0, 0);
    sem_init(&has_allocated, 0, 0);
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, allocate_when_told, NULL) == 0, "pthread_create");
    call(wait_for_a_thread_that_allocates);
    pid_t pid = fork();
    EXPECT(pid >= 0, "fork");
    if (pid == 0) _exit(0);
    pthread_join(thread, NULL);
    child_wait(pid, "child");
}

// Preloaded behind the allocator a library starts before it would, as every library of a program does. Its handler
// waits for a lock whose owner allocates: no lock of the allocator's may be taken by then.
static void fork_handlers_of_a_library_that_starts_early(const void *arg)
{
    (void)arg;
    run_with("under_an_older_fork_handler", "atfork", false, NULL);
}

// By glibc's other names the same functions are meant: not a block of one goes to the other.
static void other_names_of_glibc(const void *arg)
{
    (void)arg;
    static const char *const names[][2] = {
        {"cfree", "free"},           {"__libc_free", "free"},       {"__libc_malloc", "malloc"},
        {"__libc_calloc", "calloc"}, {"__libc_realloc", "realloc"}, {"__libc_memalign", "memalign"},
        {"__libc_valloc", "valloc"}, {"__libc_pvalloc", "pvalloc"},
    };
    NEEDS(preload_path() != NULL, "nothing is preloaded");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        EXPECT(dlsym(RTLD_DEFAULT, names[i][0]) == dlsym(RTLD_DEFAULT, names[i][1]), "%s is not %s", names[i][0],
               names[i][1]);
    }
}

static const TestCase cases[] = {
    {.name = "wrapper_that_uses_dlsym_next", .run = wrapper_that_uses_dlsym_next},
    {.name = "wrapper_with_a_header_and_a_lock", .run = wrapper_with_a_header_and_a_lock},
    {.name = "fork_handlers_of_a_library_that_starts_early", .run = fork_handlers_of_a_library_that_starts_early},
    {.name = "other_names_of_glibc", .run = other_names_of_glibc},
    {.name = "under_a_wrapper", .run = under_a_wrapper, .helper = true},
    {.name = "under_a_header", .run = under_a_header, .helper = true},
    {.name = "under_an_older_fork_handler", .run = under_an_older_fork_handler, .helper = true},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
