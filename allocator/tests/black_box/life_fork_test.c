// fork in every awkward moment. Whatever the parent's threads were doing, the child must be able to use everything.
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define BUSY_THREADS 4
#define KEPT_BLOCKS 300
#define LINE_BYTES 40000 // less than a pipe holds

static void *kept[KEPT_BLOCKS];

static size_t kept_size(size_t i)
{
    static const size_t sizes[] = {16, 100, 700, 3000, 8000, 30000, 100000};
    return sizes[i % COUNT_OF(sizes)];
}

static void keep_blocks(void)
{
    for (size_t i = 0; i < KEPT_BLOCKS; i++) {
        kept[i] = malloc(kept_size(i));
        EXPECT(kept[i] != NULL, "malloc(%zu)", kept_size(i));
        pattern_fill(kept[i], kept_size(i), i);
    }
}

static void free_kept_blocks(void)
{
    for (size_t i = 0; i < KEPT_BLOCKS; i++) {
        EXPECT(pattern_mismatch(kept[i], kept_size(i), i) == kept_size(i), "block %zu of before the fork", i);
        free(kept[i]);
    }
}

static void fork_with_busy_threads(const void *arg)
{
    (void)arg;
    pthread_t threads[BUSY_THREADS];
    busy_threads_start(threads, BUSY_THREADS);
    keep_blocks();
    for (int i = 0; i < 80; i++) {
        pid_t pid = fork();
        EXPECT(pid >= 0, "fork %d", i);
        if (pid == 0) {
            heap_exercise((uint64_t)i, 30);
            free_kept_blocks();
            malloc_trim(0);
            heap_exercise((uint64_t)i, 30);
            _exit(0);
        }
        child_wait(pid, "child of a busy parent");
    }
    busy_threads_stop(threads, BUSY_THREADS);
    free_kept_blocks();
}

static void *fork_from_here(void *arg)
{
    for (int i = 0; i < 40; i++) {
        pid_t pid = fork();
        EXPECT(pid >= 0, "fork %d", i);
        if (pid == 0) {
            heap_exercise((uint64_t)i, 20);
            exit(0); // with handlers and destructors
        }
        child_wait(pid, "child of a thread");
    }
    return arg;
}

static void fork_from_several_threads(const void *arg)
{
    (void)arg;
    pthread_t threads[BUSY_THREADS];
    for (size_t i = 0; i < BUSY_THREADS; i++) {
        EXPECT(pthread_create(&threads[i], NULL, fork_from_here, NULL) == 0, "pthread_create");
    }
    for (size_t i = 0; i < BUSY_THREADS; i++)
        pthread_join(threads[i], NULL);
}

// ---- storms: the child allocates, starts threads, forks again ----

static void *use_heap_thread(void *arg)
{
    heap_exercise((uint64_t)(uintptr_t)arg, 60);
    return arg;
}

static void fork_storm(int depth)
{
    pthread_t threads[2];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        EXPECT(pthread_create(&threads[i], NULL, use_heap_thread, (void *)i) == 0, "pthread_create at depth %d", depth);
    }
    pid_t children[3];
    for (size_t i = 0; i < COUNT_OF(children) && depth > 0; i++) {
        children[i] = fork();
        EXPECT(children[i] >= 0, "fork at depth %d", depth);
        if (children[i] == 0) {
            heap_exercise(i, 40);
            fork_storm(depth - 1);
            _exit(0);
        }
    }
    heap_exercise(77, 40);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < COUNT_OF(children) && depth > 0; i++)
        child_wait(children[i], "child in the storm");
}

static void fork_storm_with_threads(const void *arg)
{
    (void)arg;
    keep_blocks();
    for (int round = 0; round < 2; round++)
        fork_storm(3);
    free_kept_blocks();
}

static void fork_chain(const void *arg)
{
    (void)arg;
    pid_t first = getpid();
    keep_blocks();
    int generation = 0;
    for (; generation < 40; generation++) {
        pid_t pid = fork();
        EXPECT(pid >= 0, "fork of generation %d", generation);
        if (pid > 0) {
            child_wait(pid, "next generation");
            break;
        }
        heap_exercise((uint64_t)generation, 10);
    }
    free_kept_blocks();
    if (getpid() != first) _exit(0);
}

// ---- fork and exec, vfork, posix_spawn ----

static void fork_then_exec(const void *arg)
{
    (void)arg;
    pthread_t threads[BUSY_THREADS];
    busy_threads_start(threads, BUSY_THREADS);
    for (int i = 0; i < 25; i++) {
        pid_t pid = i % 2 ? fork() : vfork();
        EXPECT(pid >= 0, "fork %d", i);
        if (pid == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(127);
        }
        child_wait(pid, i % 2 ? "fork and exec" : "vfork and exec");
    }
    for (int i = 0; i < 10; i++) {
        pid_t pid;
        char *argv[] = {"true", NULL};
        EXPECT(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0, "posix_spawn");
        child_wait(pid, "posix_spawn");
        EXPECT(system("exit 0") == 0, "system()");
    }
    busy_threads_stop(threads, BUSY_THREADS);
}

// ---- a vfork child that allocates, beside threads ----

#define HELD_BLOCKS 64
#define VFORK_STEPS 300000

static _Atomic bool vfork_is_over;
static _Atomic size_t taken_by_others;

// Each block has its holder's number as long as it is held.
static void replace_blocks(uint64_t holder, size_t steps)
{
    uint64_t *held[HELD_BLOCKS] = {NULL};
    for (size_t i = 0; i < steps + HELD_BLOCKS && !vfork_is_over; i++) {
        uint64_t **block = &held[i % HELD_BLOCKS];
        if (*block != NULL && __atomic_load_n(*block, __ATOMIC_RELAXED) != holder + i % HELD_BLOCKS) taken_by_others++;
        free(*block);
        *block = i < steps ? malloc(64) : NULL;
        if (*block != NULL) __atomic_store_n(*block, holder + i % HELD_BLOCKS, __ATOMIC_RELAXED);
    }
}

static void *replace_blocks_on_the_first_cpu(void *arg)
{
    run_on_cpu(0);
    replace_blocks(1000, SIZE_MAX / 2);
    return arg;
}

// The child goes to another CPU than that of its parent, whose number the parent's thread still shows.
static void vfork_child_allocates(const void *arg)
{
    (void)arg;
    NEEDS(run_on_cpu(1) && run_on_cpu(0), "one CPU, or threads cannot be kept on one");
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, replace_blocks_on_the_first_cpu, NULL) == 0, "thread");
    for (int i = 0; i < 3; i++) {
        pid_t pid = vfork();
        EXPECT(pid >= 0, "vfork");
        if (pid == 0) {
            run_on_cpu(1);
            replace_blocks(2000, VFORK_STEPS);
            _exit(0);
        }
        child_wait(pid, "vfork child");
        replace_blocks(3000, 1000);
    }
    vfork_is_over = true;
    pthread_join(thread, NULL);
    EXPECT(taken_by_others == 0, "%zu blocks were handed out twice", taken_by_others);
}

static void *allocate(void *arg)
{
    heap_exercise(1, 30);
    return arg;
}

// In the thread front each new thread gets one, in the CPU front none.
static uint64_t slabs_of_a_new_thread(void)
{
    uint64_t before = counter("threads_started");
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, allocate, NULL) == 0, "thread");
    pthread_join(thread, NULL);
    return counter("threads_started") - before;
}

static void vfork_leaves_the_front_as_it_was(const void *arg)
{
    (void)arg;
    free(malloc(100)); // this thread has its own
    uint64_t before = slabs_of_a_new_thread();
    pid_t pid = vfork();
    EXPECT(pid >= 0, "vfork");
    if (pid == 0) {
        free(malloc(100));
        _exit(0);
    }
    child_wait(pid, "vfork child");
    EXPECT(slabs_of_a_new_thread() == before, "another front serves");
}

static void popen_reads_a_child(const void *arg)
{
    (void)arg;
    keep_blocks();
    for (int i = 0; i < 10; i++) {
        char line[64] = "";
        FILE *pipe = popen("echo hello", "r");
        EXPECT(pipe && fgets(line, sizeof line, pipe) && strcmp(line, "hello\n") == 0, "popen: '%s'", line);
        EXPECT(pclose(pipe) == 0, "pclose");
    }
    free_kept_blocks();
}

// ---- threads of the child that meet each other in the middle layer ----

static void *free_on_another_cpu(void *arg)
{
    run_on_cpu(1);
    void **blocks = arg;
    for (size_t i = 0; blocks[i]; i++)
        free(blocks[i]);
    return NULL;
}

// So many small blocks that they come back to the runs of the CPU that allocated them.
static void a_childs_threads_free_each_others_blocks(const void *arg)
{
    (void)arg;
    NEEDS(run_on_cpu(1) && run_on_cpu(0), "one CPU, or threads cannot be kept on one");
    static void *blocks[20001];
    for (size_t i = 0; i < COUNT_OF(blocks) - 1; i++)
        blocks[i] = malloc(64);
    pid_t pid = fork();
    EXPECT(pid >= 0, "fork");
    if (pid == 0) {
        pthread_t thread;
        EXPECT(pthread_create(&thread, NULL, free_on_another_cpu, blocks) == 0, "a thread of the child");
        pthread_join(thread, NULL);
        heap_exercise(1, 30);
        _exit(0);
    }
    child_wait(pid, "child");
    free_on_another_cpu(blocks);
}

// ---- fork waits for the list of streams, whose holder waits for a stream, whose owner allocates ----

static void *read_a_line(void *stream)
{
    char *line = NULL;
    size_t bytes = 0;
    ssize_t length = getline(&line, &bytes, stream);
    EXPECT(length == LINE_BYTES, "a line of %zd bytes", length);
    free(line);
    return NULL;
}

static void *flush_all_streams(void *arg)
{
    fflush(NULL);
    return arg;
}

static void let_others_run(void)
{
    for (Patience patience = patience_of_ms(200); patience_lasts(&patience);)
        sleep_ms(10);
}

static void fork_beside_a_reader_and_a_flush(const void *arg)
{
    (void)arg;
    int ends[2];
    EXPECT(pipe(ends) == 0, "pipe");
    FILE *stream = fdopen(ends[0], "r");
    static char text[LINE_BYTES];
    memset(text, 'x', LINE_BYTES - 1);
    text[LINE_BYTES - 1] = '\n';
    pthread_t reader, flusher, forker;
    EXPECT(pthread_create(&reader, NULL, read_a_line, stream) == 0, "reader");
    let_others_run(); // it has the stream and waits for the line
    EXPECT(pthread_create(&flusher, NULL, flush_all_streams, NULL) == 0, "flusher");
    let_others_run(); // it has the list and waits for the stream
    EXPECT(pthread_create(&forker, NULL, fork_from_here, NULL) == 0, "forker");
    let_others_run(); // it waits for the list
    EXPECT(write(ends[1], text, LINE_BYTES) == LINE_BYTES, "write");
    pthread_join(reader, NULL);
    pthread_join(flusher, NULL);
    pthread_join(forker, NULL);
    fclose(stream);
    close(ends[1]);
}

// ---- epochs must release memory in the child too ----

// Weak: without hz3 the C library's own policy is on trial.
__attribute__((weak)) void hz3_epoch_force(void);

static void burst_returns_to_the_kernel(const char *who)
{
    enum { BLOCKS = 4000 };
    static void *blocks[BLOCKS];
    size_t before = rss_bytes();
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(20000);
        EXPECT(blocks[i] != NULL, "malloc");
        memset(blocks[i], 1, 20000);
    }
    size_t peak = rss_bytes();
    EXPECT(peak >= before + 64 * MIB, "%s: RSS %zu, with 76 MiB more %zu", who, before, peak);
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    size_t after = peak;
    for (Patience patience = patience_of_ms(8000); after > before + 16 * MIB && patience_lasts(&patience);) {
        sleep_ms(50);
        if (hz3_epoch_force) hz3_epoch_force();
        after = rss_bytes();
    }
    EXPECT(after <= before + 16 * MIB, "%s: RSS %zu, burst %zu, idle %zu", who, before, peak, after);
}

static void epochs_release_memory_in_the_child(const void *arg)
{
    (void)arg;
    burst_returns_to_the_kernel("parent");
    pid_t pid = fork();
    EXPECT(pid >= 0, "fork");
    if (pid == 0) {
        burst_returns_to_the_kernel("child");
        _exit(0);
    }
    child_wait(pid, "child");
    burst_returns_to_the_kernel("parent again");
}

// ---- more addresses than the machine has memory ----

#define MEMORY_MAX (64 * 1024 * MIB) // with more the test would take long

static char overcommit_mode(void)
{
    FILE *file = fopen("/proc/sys/vm/overcommit_memory", "r");
    int mode = file != NULL ? fgetc(file) : EOF;
    EXPECT(file != NULL && fclose(file) == 0, "overcommit_memory");
    return (char)mode;
}

// Nobody uses the blocks. They stand for a heap most of whose pages went back to the kernel.
static void fork_of_a_heap_larger_than_the_memory(const void *arg)
{
    (void)arg;
    struct sysinfo machine;
    EXPECT(sysinfo(&machine) == 0, "sysinfo");
    size_t memory = (machine.totalram + machine.totalswap) * machine.mem_unit;
    NEEDS(memory <= MEMORY_MAX, "a machine with at most 64 GiB");
    NEEDS(overcommit_mode() != '2', "a kernel that lets a process map more than there is");
    counter("segments_opened");
    for (size_t bytes = 0; bytes < memory + memory / 8; bytes += MIB)
        EXPECT(malloc(MIB) != NULL, "malloc after %zu MiB", bytes / MIB);
    pid_t pid = fork();
    EXPECT(pid >= 0, "fork: %s", strerror(errno));
    if (pid == 0) _exit(0);
    child_wait(pid, "child");
}

static const TestCase cases[] = {
    {.name = "fork_with_busy_threads", .run = fork_with_busy_threads},
    {.name = "fork_from_several_threads", .run = fork_from_several_threads},
    {.name = "fork_storm_whose_children_allocate_start_threads_and_fork", .run = fork_storm_with_threads},
    {.name = "fork_chain_of_40_generations", .run = fork_chain},
    {.name = "a_childs_threads_free_each_others_blocks", .run = a_childs_threads_free_each_others_blocks},
    {.name = "fork_then_exec_vfork_and_posix_spawn", .run = fork_then_exec},
    {.name = "vfork_child_allocates_beside_a_thread", .run = vfork_child_allocates},
    {.name = "vfork_leaves_the_front_as_it_was", .run = vfork_leaves_the_front_as_it_was},
    {.name = "popen_reads_a_child", .run = popen_reads_a_child},
    {.name = "fork_beside_a_reader_and_a_flush", .run = fork_beside_a_reader_and_a_flush},
    {.name = "fork_of_a_heap_larger_than_the_memory", .run = fork_of_a_heap_larger_than_the_memory},
    {.name = "epochs_release_memory_in_the_child", .run = epochs_release_memory_in_the_child},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
