// The program whose calls to the kernel are refused: a round that comes by every call site of the library, with the
// fault, and a shorter one without. After each everything goes back, and what is held then goes to the test's note.
// With --forbid=nr:errno:moment it refuses a system call to itself.
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault_heap.h"
#include "hz3.h"

extern void hz3_epoch_force(void) __attribute__((weak));
void fault_disarm(void) __attribute__((weak));

#define WORKERS 3
#define MAPPINGS 140 // more than the registry's first table serves

static bool forks_beside_threads = true;
static Heap main_heap;
static Heap worker_heap[WORKERS];

// ---- a system call that is refused from some moment on ----

// FROM_THE_START: a library loaded before us has done it.
typedef enum Moment { FROM_THE_START, AFTER_WARM_UP, BETWEEN_BURSTS, WITH_THREADS, NEVER } Moment;

static struct {
    int call;
    int error;
    Moment moment;
} forbidden = {.moment = NEVER};

// With arguments that no call does anything with.
static bool is_refused(void)
{
    errno = 0;
    return syscall(forbidden.call, -1L, -1L, -1L, -1L, -1L, -1L) == -1 && errno == forbidden.error;
}

static void moment_is(Moment now)
{
    if (forbidden.moment != now) return;
    forbidden.moment = NEVER;
    if (now == FROM_THE_START && is_refused()) return;
    NEEDS(forbid_calls(&forbidden.call, 1, forbidden.error), "no seccomp here");
    EXPECT(now != FROM_THE_START, "system call %d was not refused from the start", forbidden.call);
    EXPECT(is_refused(), "system call %d is not refused", forbidden.call);
}

// Goes on also where sleeping is what is refused.
static void pause_ms(int ms)
{
    poll(NULL, 0, ms);
}

// ---- parts of a round ----

static const size_t bins[] = {16, 40, 100, 500, 1000, 3000, 3584, 4096, 9000, 20000, 32768};
static const size_t spans[] = {40 * KIB, 100 * KIB, 300 * KIB, 1 * MIB};

static void fill_bins(Heap *heap, size_t blocks_per_size)
{
    for (size_t i = 0; i < COUNT_OF(bins) * blocks_per_size; i++) {
        HeapForm form = i % 4 == 1 ? BY_CALLOC : i % 4 == 2 ? BY_MEMALIGN_64 : BY_MALLOC;
        heap_take(heap, form, bins[i % COUNT_OF(bins)]);
    }
}

static void fill_spans(Heap *heap)
{
    for (size_t i = 0; i < 2 * COUNT_OF(spans); i++)
        heap_take(heap, i % 2 ? BY_CALLOC : BY_MALLOC, spans[i % COUNT_OF(spans)]);
}

static void give_every(Heap *heap, size_t nth)
{
    for (size_t i = heap->n; i-- > 0;) {
        if (i % nth == 0) heap_give(heap, i);
    }
}

static void give_to_kernel(void)
{
    malloc_trim(0);
    mallinfo2(); // looks everywhere, whatever there is
    for (int i = 0; i < 4 && hz3_epoch_force; i++)
        hz3_epoch_force();
}

static void small_to_large(Heap *heap)
{
    fill_bins(heap, 8);
    fill_spans(heap);
    give_every(heap, 2);
    give_to_kernel();
    fill_bins(heap, 4); // calloc of pages that may have been purged
    fill_spans(heap);
    for (size_t i = 0; i < heap->n; i += 5)
        heap_resize(heap, i, heap->block[i].bytes * (i % 2 ? 3 : 1) / 2 + 8);
    heap_check(heap);
}

static void mappings(Heap *heap)
{
    size_t first = heap->n;
    for (int i = 0; i < 4; i++)
        heap_take(heap, i % 2 ? BY_CALLOC : BY_MEMALIGN_2M, 3 * MIB);
    for (size_t i = first; i < heap->n; i++)
        heap_resize(heap, i, 7 * MIB);
    for (size_t i = first; i < heap->n; i++)
        heap_resize(heap, i, 2 * MIB);
    for (int i = 0; i < MAPPINGS; i++)
        heap_take(heap, BY_MALLOC, MIB + (size_t)(i % 7 + 1) * 16 * KIB);
    while (heap->n > first) // more than the cache of mappings holds
        heap_give(heap, first);
    heap_take(heap, BY_CALLOC, 2 * MIB);
}

// Blocks that fill a small arena, and then fall back to mmap, or not.
static void exhaust(Heap *heap)
{
    size_t first = heap->n;
    for (size_t i = 0; i < 40 && heap_take(heap, BY_MALLOC, 300 * KIB);)
        i++;
    for (size_t i = 0; i < 60 && heap_take(heap, BY_MALLOC, 20000);)
        i++;
    heap_take(heap, BY_MALLOC, 100);
    while (heap->n > first)
        heap_give(heap, first);
}

// ---- threads: detached and counted, for joining one takes a futex ----

static _Atomic int running;

static void *worker(void *arg)
{
    Heap *heap = arg;
    fill_bins(heap, 5);
    fill_spans(heap);
    for (int i = 0; i < 3; i++) {
        give_every(heap, 3);
        malloc_trim(0); // at the same time as others: they wait for each other
        fill_bins(heap, 4);
    }
    heap_check(heap);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static int start_workers(void)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 * KIB);
    int started = 0;
    for (int i = 0; i < WORKERS; i++) {
        pthread_t thread;
        atomic_fetch_add(&running, 1);
        if (pthread_create(&thread, &attributes, worker, &worker_heap[i]) == 0) {
            started++;
        } else {
            EXPECT(!nothing_may_be_refused, "pthread_create");
            atomic_fetch_sub(&running, 1);
        }
    }
    return started;
}

static void await_workers(void)
{
    while (atomic_load(&running) != 0)
        pause_ms(1);
}

static void fork_and_check(Heap *heap)
{
    pid_t pid = fork();
    if (pid < 0) {
        EXPECT(!nothing_may_be_refused, "fork");
        return;
    }
    if (pid == 0) {
        heap_check(heap);
        size_t first = heap->n;
        fill_bins(heap, 3);
        heap_take(heap, BY_MALLOC, 3 * MIB);
        give_to_kernel();
        heap_check(heap);
        while (heap->n > first)
            heap_give(heap, first);
        _exit(0);
    }
    child_wait(pid, "the fork's child");
}

static void threads_and_forks(void)
{
    start_workers();
    moment_is(WITH_THREADS);
    if (forks_beside_threads) fork_and_check(&main_heap);
    await_workers();
    fork_and_check(&main_heap);
    for (int i = 0; i < WORKERS; i++) // by another thread than took them
        heap_give_all(&worker_heap[i]);
}

// Until the purger has slept once more, or will not.
static void let_purger_sleep(void)
{
    if (hz3_stats_read == NULL) return;
    uint64_t sleeps = counter("purger_sleeps");
    for (int ms = 0; ms < 12 && counter("purger_starts") > 0 && counter("purger_sleeps") == sleeps; ms += 2)
        pause_ms(2);
}

static void round_with_the_fault(void)
{
    small_to_large(&main_heap);
    moment_is(AFTER_WARM_UP);
    let_purger_sleep();
    mappings(&main_heap);
    threads_and_forks();
    give_every(&main_heap, 2);
    moment_is(BETWEEN_BURSTS);
    exhaust(&main_heap);
    small_to_large(&main_heap);
    let_purger_sleep();
    heap_give_all(&main_heap);
    give_to_kernel();
}

static void round_without(void)
{
    small_to_large(&main_heap);
    heap_take(&main_heap, BY_CALLOC, 2 * MIB);
    heap_resize(&main_heap, main_heap.n - 1, 5 * MIB);
    threads_and_forks();
    heap_give_all(&main_heap);
    give_to_kernel();
}

// ---- a program ----

// Where memory is refused from the first call on, some time passes until an arena is tried for again.
static void await_memory(void)
{
    for (int ms = 0; ms < 20000; ms += 10) {
        void *some = opaque(malloc(16));
        void *more = opaque(malloc(20000));
        free(some);
        free(more);
        if (some && more) return;
        pause_ms(10);
    }
    EXPECT(false, "no memory although nothing is refused any more");
}

static void note_refusals(void)
{
    size_t refused = main_heap.refused;
    for (int i = 0; i < WORKERS; i++)
        refused += worker_heap[i].refused;
    child_note("refused=%zu", refused);
}

// Pages that an epoch of the purger has claimed at this moment count as used.
static void note_what_is_held(void)
{
    struct mallinfo2 info;
    int tries = 0;
    do {
        if (tries > 0) pause_ms(2);
        give_to_kernel();
        info = mallinfo2();
    } while (info.uordblks >= 32 * KIB && ++tries < 100);
    child_note("held=%zu,%zu,%zu,%zu", info.uordblks, info.hblks, address_space_bytes() / KIB, rss_bytes() / KIB);
}

int main(int argc, char **argv)
{
    int moment = 0;
    if (argc > 1 && sscanf(argv[1], "--forbid=%d:%d:%d", &forbidden.call, &forbidden.error, &moment) == 3)
        forbidden.moment = (Moment)moment;
    // A library that is refused its fork handlers can promise nothing to the child of a program with threads.
    EXPECT(argc < 2 || hz3_stats_read != NULL, "hz3 is not loaded");
    forks_beside_threads = argc < 2 || strcmp(argv[1], "--no-fork-beside-threads") != 0;
    moment_is(FROM_THE_START);
    round_with_the_fault();
    EXPECT(forbidden.moment == NEVER, "the moment to refuse system call %d never came", forbidden.call);
    note_refusals();
    if (fault_disarm) {
        fault_disarm();
        await_memory();
        note_what_is_held();
        nothing_may_be_refused = getenv("HZ3_ARENA_FALLBACK_MMAP") == NULL;
        round_without();
        note_what_is_held();
    }
    return 0;
}
