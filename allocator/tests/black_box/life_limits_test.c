// Memory runs out and comes back: every path says ENOMEM, a failing call is cheap, and what is freed can be had again.
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

// Blocks hold their own list, so that a test needs no table beside the memory that it exhausts.
typedef struct Block {
    struct Block *next;
    uint64_t mark;
} Block;

static Block *live;

static bool push_block(size_t size)
{
    errno = 0;
    Block *block = malloc(size);
    if (!block) {
        EXPECT(errno == ENOMEM, "errno after NULL for %zu bytes", size);
        return false;
    }
    *block = (Block){live, (uint64_t)(uintptr_t)block};
    live = block;
    return true;
}

static void free_block(Block *block)
{
    EXPECT(block->mark == (uint64_t)(uintptr_t)block, "mark of block %p changed", (void *)block);
    free(block);
}

static size_t exhaust(size_t size, size_t max_blocks)
{
    size_t n = 0;
    while (n < max_blocks && push_block(size))
        n++;
    return n;
}

static void free_all(void)
{
    while (live) {
        Block *block = live;
        live = block->next;
        free_block(block);
    }
}

static size_t free_every_second(void)
{
    size_t n = 0;
    for (Block *kept = live; kept && kept->next; kept = kept->next) {
        Block *block = kept->next;
        kept->next = block->next;
        free_block(block);
        n++;
    }
    return n;
}

static void expect_enomem_at_every_entry_point(size_t size, void *kept)
{
    pattern_fill(kept, 16, 3);
    for (int form = 0; form < 10; form++) {
        void *pointer = NULL;
        errno = 0;
        switch (form) {
        case 0:
            pointer = malloc(size);
            break;
        case 1:
            pointer = calloc(1, size);
            break;
        case 2:
            pointer = realloc(NULL, size);
            break;
        case 3:
            pointer = realloc(opaque(kept), size);
            break;
        case 4:
            pointer = reallocarray(opaque(kept), 2, size / 2);
            break;
        case 5:
            pointer = aligned_alloc(4096, size);
            break;
        case 6:
            pointer = memalign(64, size);
            break;
        case 7:
            pointer = valloc(size);
            break;
        case 8:
            pointer = pvalloc(size);
            break;
        default:
            errno = posix_memalign(&pointer, 64, size);
        }
        EXPECT(pointer == NULL && errno == ENOMEM, "form %d of %zu bytes = %p", form, size, pointer);
    }
    EXPECT(pattern_mismatch(opaque(kept), 16, 3) == 16, "block changed by a failed realloc");
}

static void exhaust_and_recover(const void *arg)
{
    size_t size = (size_t)(uintptr_t)arg;
    void *kept = malloc(16);
    size_t first = exhaust(size, SIZE_MAX);
    child_note("info=%zu blocks of %zu bytes, %zu MiB of 256", first, size, first * size / MIB);
    EXPECT(first * size >= 200 * MIB, "only %zu blocks of %zu", first, size);
    expect_enomem_at_every_entry_point(200 * MIB, kept);
    size_t freed = free_every_second();
    size_t again = exhaust(size, freed);
    EXPECT(again >= freed / 10 * 9, "%zu freed, %zu had again", freed, again);
    free_all();
    static const size_t others[] = {16, 64, 3000, 20000, 100000, 2 * MIB};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        size_t wanted = 48 * MIB / others[i];
        size_t n = exhaust(others[i], wanted);
        EXPECT(n == wanted, "after blocks of %zu: only %zu of %zu of %zu bytes", size, n, wanted, others[i]);
        free_all();
    }
    free(kept);
}

// What was freed on one CPU, a block here and there, must be had again by the same thread on another.
static void memory_freed_on_one_cpu_serves_another(const void *arg)
{
    size_t size = (size_t)(uintptr_t)arg;
    NEEDS(run_on_cpu(1) && run_on_cpu(0), "one CPU, or threads cannot be kept on one");
    exhaust(size, SIZE_MAX);
    size_t freed = free_every_second();
    run_on_cpu(1);
    size_t again = exhaust(size, freed);
    child_note("info=%zu blocks of %zu bytes freed, %zu had again on another CPU", freed, size, again);
    EXPECT(again >= freed / 10 * 9, "%zu blocks of %zu freed, %zu had again on another CPU", freed, size, again);
}

static void *exhaust_in_thread(void *arg)
{
    size_t size = (size_t)(uintptr_t)arg;
    void **chain = NULL;
    for (void **block; (block = malloc(size)); chain = block)
        *block = (void *)chain;
    EXPECT(errno == ENOMEM, "errno in a thread");
    while (chain) {
        void **next = *chain;
        free(chain);
        chain = next;
    }
    return arg;
}

static void threads_exhaust_together(const void *arg)
{
    (void)arg;
    static const size_t sizes[] = {100, 5000, 30000, 300000};
    pthread_t threads[COUNT_OF(sizes)];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * KIB);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            int error = pthread_create(&threads[i], &attributes, exhaust_in_thread, (void *)sizes[i]);
            EXPECT(error == 0 || i > 0, "pthread_create: %d", error);
            if (error) threads[i] = pthread_self();
        }
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            if (!pthread_equal(threads[i], pthread_self())) pthread_join(threads[i], NULL);
        }
    }
    size_t wanted = 48 * MIB / 20000;
    size_t n = exhaust(20000, wanted);
    EXPECT(n == wanted, "only %zu of %zu blocks of 20000 after the threads", n, wanted);
}

// ---- a limit that comes after the library has made its reservation ----

// Returns the limit before.
static rlim_t limit_address_space(rlim_t bytes)
{
    struct rlimit limit;
    EXPECT(getrlimit(RLIMIT_AS, &limit) == 0, "getrlimit");
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = bytes;
    EXPECT(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit");
    return before;
}

static pthread_barrier_t barrier;

static void *first_malloc_without_mmap(void *arg)
{
    static const size_t sizes[] = {1, 100, 5000, 40000, 300000, 2 * MIB, 64 * MIB};
    void *got[COUNT_OF(sizes)];
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        errno = 0;
        got[i] = malloc(sizes[i]);
        EXPECT(got[i] || errno == ENOMEM, "first malloc of %zu", sizes[i]);
        if (got[i]) memset(got[i], 1, sizes[i] < 4096 ? sizes[i] : 4096);
    }
    EXPECT(got[COUNT_OF(sizes) - 1] == NULL, "64 MiB although mmap fails");
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    void *later = malloc(64 * MIB);
    EXPECT(later != NULL, "64 MiB once mmap works again");
    free(later);
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        free(got[i]);
    return arg;
}

static void mmap_fails_in_a_threads_first_malloc(const void *arg)
{
    (void)arg;
    enum { THREADS = 40 };
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (size_t i = 0; i < THREADS; i++) {
        EXPECT(pthread_create(&threads[i], NULL, first_malloc_without_mmap, NULL) == 0, "pthread_create");
    }
    pthread_barrier_wait(&barrier);
    rlim_t before = limit_address_space(1);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    limit_address_space(before);
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

// ---- a failing call makes a bounded number of system calls ----

#define MARK_SYSCALL 100000 // there is none of this number
#define FAILING_CALLS 30
#define SYSCALLS_PER_FAILING_CALL 100

static _Noreturn void fail_between_marks(size_t size)
{
    exhaust(size, SIZE_MAX);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(EXIT_SKIPPED);
    raise(SIGSTOP);
    for (int i = 0; i < FAILING_CALLS; i++) {
        syscall(MARK_SYSCALL);
        void *block = opaque(malloc(size));
        syscall(MARK_SYSCALL);
        if (block) _exit(2);
    }
    _exit(0);
}

// Runs the stopped tracee to its end. Returns the most system calls between two marks; counts the pairs of marks.
static unsigned long most_syscalls_between_marks(pid_t pid, int *pairs, int *status)
{
    unsigned long most = 0, now = 0;
    bool counting = false;
    ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_TRACESYSGOOD);
    while (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0 && waitpid(pid, status, 0) == pid && WIFSTOPPED(*status)) {
        struct __ptrace_syscall_info info = {0};
        if (WSTOPSIG(*status) != (SIGTRAP | 0x80) ||
            ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) <= 0 ||
            info.op != PTRACE_SYSCALL_INFO_ENTRY) {
            continue;
        }
        if (info.entry.nr == MARK_SYSCALL) {
            *pairs += counting;
            counting = !counting;
            now = 0;
        } else if (counting && ++now > most) {
            most = now;
        }
    }
    return most;
}

static void failing_call_makes_few_syscalls(const void *arg)
{
    pid_t pid = fork();
    EXPECT(pid >= 0, "fork");
    if (pid == 0) fail_between_marks((size_t)(uintptr_t)arg);
    int status = 0, pairs = 0;
    EXPECT(waitpid(pid, &status, WUNTRACED) == pid, "waitpid");
    NEEDS(!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SKIPPED, "ptrace is not allowed here");
    EXPECT(WIFSTOPPED(status), "tracee ended with wait status 0x%x", (unsigned)status);
    unsigned long most = most_syscalls_between_marks(pid, &pairs, &status);
    child_note("info=at most %lu system calls in a failing malloc(%zu)", most, (size_t)(uintptr_t)arg);
    EXPECT(status == 0 && pairs == FAILING_CALLS, "wait status 0x%x, %d pairs of marks", (unsigned)status, pairs);
    EXPECT(most <= SYSCALLS_PER_FAILING_CALL, "%lu system calls in one failing call", most);
}

// ---- limits leave room for the rest of the program ----

static void *hold_500_kib(void *arg)
{
    void *block = malloc(500 * KIB);
    EXPECT(block != NULL, "500 KiB in a thread");
    memset(block, 1, 500 * KIB);
    pthread_barrier_wait(&barrier);
    free(block);
    return arg;
}

static void limit_leaves_room_for_threads(const void *arg)
{
    size_t n = (size_t)(uintptr_t)arg;
    pthread_t threads[16];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 8 * MIB);
    pthread_barrier_init(&barrier, NULL, (unsigned)n + 1);
    for (size_t i = 0; i < n; i++) {
        int error = pthread_create(&threads[i], &attributes, hold_500_kib, NULL);
        EXPECT(error == 0, "thread %zu of %zu with a stack of 8 MiB: %s; address space %zu MiB", i + 1, n,
               strerror(error), address_space_bytes() / MIB);
    }
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    size_t got = exhaust(3000, 10000);
    EXPECT(got == 10000, "%zu blocks of 3000", got);
    free_all();
}

static void tiny_limit_still_works(const void *arg)
{
    (void)arg;
    size_t got = exhaust(3000, 3000);
    EXPECT(got == 3000, "%zu blocks of 3000", got);
    free_all();
    void *large = malloc(10 * MIB);
    EXPECT(large != NULL, "10 MiB");
    free(large);
}

#define EXHAUST(bytes)                                                                                                 \
    {                                                                                                                  \
        .name = "exhaust_and_recover_" #bytes, .run = exhaust_and_recover, .arg = (void *)bytes, .child = {            \
            .as_limit = 256 * MIB,                                                                                     \
            .timeout_s = 60                                                                                            \
        }                                                                                                              \
    }
#define MOVED(bytes)                                                                                                   \
    {                                                                                                                  \
        .name = "memory_freed_on_one_cpu_serves_another_" #bytes, .run = memory_freed_on_one_cpu_serves_another,       \
        .arg = (void *)bytes, .child = {                                                                               \
            .as_limit = 256 * MIB,                                                                                     \
            .timeout_s = 60                                                                                            \
        }                                                                                                              \
    }
#define FAILING(bytes)                                                                                                 \
    {                                                                                                                  \
        .name = "failing_call_makes_few_syscalls_" #bytes, .run = failing_call_makes_few_syscalls,                     \
        .arg = (void *)bytes, .child = {                                                                               \
            .as_limit = 256 * MIB,                                                                                     \
            .timeout_s = 60                                                                                            \
        }                                                                                                              \
    }

static const TestCase cases[] = {
    EXHAUST(16),
    EXHAUST(100),
    EXHAUST(1000),
    EXHAUST(4096),
    EXHAUST(20000),
    EXHAUST(32768),
    EXHAUST(100000),
    EXHAUST(1048576),
    EXHAUST(3000000),
    MOVED(16),
    MOVED(100),
    MOVED(3000),
    MOVED(5000),
    MOVED(20000),
    MOVED(100000),
    FAILING(100),
    FAILING(20000),
    FAILING(300000),
    FAILING(3000000),
    {.name = "threads_exhaust_together", .run = threads_exhaust_together, .child = {.as_limit = 256 * MIB}},
    {.name = "mmap_fails_in_a_threads_first_malloc", .run = mmap_fails_in_a_threads_first_malloc},
    {.name = "limit_of_200_mib_leaves_room_for_12_threads",
     .run = limit_leaves_room_for_threads,
     .arg = (void *)12,
     .child = {.as_limit = 200 * MIB}},
    {.name = "data_limit_of_200_mib_leaves_room_for_4_threads",
     .run = limit_leaves_room_for_threads,
     .arg = (void *)4,
     .child = {.data_limit = 200 * MIB}},
    {.name = "limit_of_64_mib_still_works", .run = tiny_limit_still_works, .child = {.as_limit = 64 * MIB}},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
