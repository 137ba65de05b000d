// Whose the caches in front are, and that anybody can drain them. HZ3_FRONT=cpu|thread chooses the front (front.t).
#include "front_support.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/hz3_os.h"
#include "base/hz3_size_class.h"
#include "front/hz3_front.h"
#include "front/hz3_front_cpu.h"
#include "front/hz3_front_drain.h"
#include "middle/hz3_central.h"

// --- notes of what was freed ---

static bool pin_to_cpu(size_t cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

typedef struct NotesSeen {
    bool pushed, held, held_after_drain;
} NotesSeen;

// The note names a slot of another class, where the address once lay and still stands.
static void *free_with_stale_note(void *arg)
{
    NotesSeen *seen = arg;
    pin_to_cpu((size_t)sched_getcpu());
    char *block = malloc(100);
    hz3_front_drain(HZ3_FRONT_ALL);
    Hz3Slab *slab = own_slab();
    void **stale = slab->empty[HZ3_CLASS_LAST] - 1;
    *stale = block;
    atomic_store(&slab->freed[hz3_freed_index(block)], stale);
    free(block);
    seen->pushed = *atomic_load(&slab->top[hz3_class_of(100)]) == block;
    seen->held = hz3_front_holds(hz3_class_of(100), block);
    hz3_front_drain(HZ3_FRONT_ALL);
    seen->held_after_drain = hz3_front_holds(hz3_class_of(100), block);
    return NULL;
}

static void a_note_that_is_out_of_date_ends_nothing(void **state)
{
    (void)state;
    NotesSeen seen = {false, false, false};
    pthread_t thread;
    pthread_create(&thread, NULL, free_with_stale_note, &seen);
    pthread_join(thread, NULL);
    assert_true(seen.pushed);
    assert_true(seen.held);
    assert_false(seen.held_after_drain);
}

// --- drains ---

static void a_drain_empties_the_slabs_of_sleepers(void **state)
{
    (void)state;
    hz3_front_drain(HZ3_FRONT_ALL);
    Sleeper sleeper;
    sleeper_start(&sleeper, 1000);
    assert_true(hz3_front_cached_bytes() >= 8 * 1024);
    assert_true(hz3_front_drain(HZ3_FRONT_ALL) >= 8 * 1024);
    assert_int_equal(hz3_front_cached_bytes(), 0);
    sleeper_end(&sleeper);
}

static void only_what_has_not_moved_is_idle(void **state)
{
    (void)state;
    hz3_front_drain(HZ3_FRONT_ALL);
    Sleeper sleeper;
    sleeper_start(&sleeper, 3000);
    hz3_front_drain(HZ3_FRONT_IDLE); // sees the tops
    assert_int_equal(hz3_front_drain(HZ3_FRONT_IDLE), 0);
    size_t cached = hz3_front_cached_bytes();
    assert_true(cached >= 8 * 3072);
    void *moves = malloc(64); // this bin moves, so it stays
    free(moves);
    assert_true(hz3_front_drain(HZ3_FRONT_IDLE) >= 8 * 3072);
    assert_true(hz3_front_cached_bytes() < cached);
    sleeper_end(&sleeper);
}

// A thread that does not run may have been preempted: what it has cached is not idle for that.
static void a_drain_from_here_spares_other_threads(void **state)
{
    (void)state;
    hz3_front_drain(HZ3_FRONT_ALL);
    Sleeper sleeper;
    sleeper_start(&sleeper, 3000);
    size_t before = hz3_front_cached_bytes();
    for (int i = 0; i < 4; i++) {
        hz3_front_drain(HZ3_FRONT_HERE);
    }
    bool has_thread_slab = HZ3_FRONT_CPU == 0 || hz3_rseq_cpu() < 0;
    bool is_spared = before - hz3_front_cached_bytes() < 8 * 3072;
    assert_int_equal(is_spared, has_thread_slab);
    sleeper_end(&sleeper);
}

static uint32_t slabs_watched;

bool __real_hz3_slab_watch(Hz3Slab *slab);
bool __wrap_hz3_slab_watch(Hz3Slab *slab);
bool __wrap_hz3_slab_watch(Hz3Slab *slab)
{
    slabs_watched++;
    return __real_hz3_slab_watch(slab);
}

static bool caches_again;

static void *sleep_twice(void *arg)
{
    Sleeper *sleeper = arg;
    sleep_with_cache(sleeper);
    cache_blocks(sleeper->size);
    caches_again = hz3_self.own == NULL || hz3_slab_cached_bytes(hz3_self.own) != 0;
    pthread_barrier_wait(&sleeper->barrier);
    pthread_barrier_wait(&sleeper->barrier);
    return NULL;
}

// Epochs look at a sleeper's slab until it is empty, and again when the thread has woken up.
static void a_sleepers_empty_slab_is_not_looked_at(void **state)
{
    (void)state;
    Sleeper sleeper = {.size = 2048};
    pthread_barrier_init(&sleeper.barrier, NULL, 2);
    assert_int_equal(pthread_create(&sleeper.thread, NULL, sleep_twice, &sleeper), 0);
    pthread_barrier_wait(&sleeper.barrier);
    for (int i = 0; i < 4; i++) {
        hz3_front_drain(HZ3_FRONT_IDLE);
    }
    slabs_watched = 0;
    hz3_front_drain(HZ3_FRONT_IDLE);
    uint32_t asleep = slabs_watched;
    pthread_barrier_wait(&sleeper.barrier);
    pthread_barrier_wait(&sleeper.barrier);
    assert_true(caches_again);
    slabs_watched = 0;
    hz3_front_drain(HZ3_FRONT_IDLE);
    bool has_thread_slab = HZ3_FRONT_CPU == 0 || hz3_rseq_cpu() < 0;
    assert_int_equal(slabs_watched, asleep + has_thread_slab);
    sleeper_end(&sleeper);
}

// Without the first page, which keeps the fields.
static size_t resident_pages_of_slots(const Hz3Slab *slab)
{
    char *from = (char *)(uintptr_t)slab + HZ3_PAGE_SIZE;
    size_t pages = ((uintptr_t)slab->empty[HZ3_CLASS_LAST] - (uintptr_t)from) / HZ3_PAGE_SIZE + 1;
    unsigned char is_resident[256];
    assert_in_range(pages, 1, sizeof is_resident);
    assert_int_equal(mincore(from, pages * HZ3_PAGE_SIZE, is_resident), 0);
    size_t n = 0;
    for (size_t i = 0; i < pages; i++) {
        n += is_resident[i] & 1;
    }
    return n;
}

// Also one that a drain from here has emptied. Only those that hold something are asked: one whose last object was
// taken from it stays as it is.
static void an_idle_slab_gives_its_slots_back(void **state)
{
    (void)state;
    Sleeper sleeper;
    sleeper_start(&sleeper, 2048);
    static Hz3Slab *used[64];
    size_t n_used = 0;
    for (Hz3Slab *slab = hz3_slab_first(); slab != NULL && n_used < COUNT_OF(used); slab = slab->next_made) {
        used[n_used] = slab;
        n_used += hz3_slab_cached_bytes(slab) != 0;
    }
    assert_true(n_used != 0);
    for (int i = 0; i < 4; i++) {
        hz3_front_drain(HZ3_FRONT_HERE);
    }
    for (int i = 0; i < 4; i++) {
        hz3_front_drain(HZ3_FRONT_IDLE);
    }
    for (size_t i = 0; i < n_used; i++) {
        assert_int_equal(hz3_slab_cached_bytes(used[i]), 0);
        assert_int_equal(resident_pages_of_slots(used[i]), 0);
    }
    sleeper_end(&sleeper);
}

// What a drained bin may hold is halved; what is used again and again may hold more and more. All that it holds leaves
// it, be it several batches.
static void capacity_follows_use(void **state)
{
    (void)state;
    Hz3Slab *slab = hz3_slab_acquire();
    uint32_t cls = hz3_class_of_small(64);
    uint32_t start = hz3_slab_cap(slab, cls);
    assert_int_equal(start, 16);
    uint32_t most = hz3_classes[cls].front_cap;
    for (int i = 0; i < 20; i++) {
        hz3_slab_note_miss(slab, cls);
    }
    assert_int_equal(hz3_slab_cap(slab, cls), most);
    assert_true(most > HZ3_BATCH_MAX);
    void **slot = slab->empty[cls];
    for (uint32_t i = 0; i < most; i++) {
        slot--;
        *slot = malloc(64);
    }
    atomic_store(&slab->top[cls], slot);
    hz3_lock_acquire(&hz3_slab_drain_lock);
    for (int i = 0; i < 3; i++) {
        hz3_slab_watch(slab);
    }
    hz3_lock_release(&hz3_slab_drain_lock);
    assert_int_equal(hz3_slab_flush(slab, 0, true), most * 64);
    assert_int_equal(hz3_slab_count(slab, cls), 0);
    assert_int_equal(hz3_slab_cap(slab, cls), most / 2);
    hz3_lock_acquire(&hz3_slab_lock);
    hz3_slab_release(slab);
    hz3_lock_release(&hz3_slab_lock);
}

// The bin holds several batches then, and the fault is among the newest of its blocks.
static void free_inside_a_block_and_exit(void *arg)
{
    (void)arg;
    static char *block[2 * HZ3_BATCH_MAX];
    for (size_t i = 0; i < COUNT_OF(block); i++) {
        block[i] = malloc(48);
    }
    for (size_t i = 0; i < COUNT_OF(block); i++) {
        free(i + 1 < COUNT_OF(block) ? block[i] : block[i] + 16);
    }
    exit(0);
}

static void the_exit_looks_at_whole_bins(void **state)
{
    (void)state;
    unit_expect_abort(free_inside_a_block_and_exit, NULL, "interior pointer: 16 bytes inside a block of 48 bytes");
}

static void slab_validator_sees_what_is_wrong(void **state)
{
    (void)state;
    Hz3Slab *slab = hz3_slab_acquire();
    uint32_t cls = HZ3_CLASS_64;
    void *one = malloc(64);
    slab->empty[cls][-1] = one;
    atomic_store(&slab->top[cls], slab->empty[cls] - 1);
    char foreign[16];
    uint32_t most = hz3_classes[cls].front_cap;
    UNIT_EXPECT_SEEN(slab->top[cls], slab->empty[cls] + 1, hz3_slab_is_valid(slab));
    UNIT_EXPECT_SEEN(slab->top[cls], slab->empty[cls] - most - 1, hz3_slab_is_valid(slab));
    UNIT_EXPECT_SEEN(slab->full[cls], slab->empty[cls] + 1, hz3_slab_is_valid(slab));
    UNIT_EXPECT_SEEN(slab->full[cls], slab->empty[cls] - most - 1, hz3_slab_is_valid(slab));
    UNIT_EXPECT_SEEN(slab->empty[cls], slab->empty[cls] - 1, hz3_slab_is_valid(slab));
    UNIT_EXPECT_SEEN(*slab->empty[cls], one, hz3_slab_is_valid(slab));
    UNIT_EXPECT_SEEN(slab->never_set[cls], 0, hz3_slab_is_valid(slab));
    UNIT_EXPECT_SEEN(*slab->top[cls], NULL, hz3_slab_is_valid(slab));
    UNIT_EXPECT_SEEN(*slab->top[cls], foreign, hz3_slab_is_valid(slab));
    UNIT_EXPECT_SEEN(*slab->top[cls], (char *)one + 16, hz3_slab_is_valid(slab));
    UNIT_EXPECT_SEEN(slab->full[HZ3_TAG_SPAN], slab->slots, hz3_slab_is_valid(slab));
    slab->owner = &hz3_self;
    UNIT_EXPECT_SEEN(slab->cpu, 0, hz3_slab_is_valid(slab));
    slab->owner = NULL;
    hz3_slab_flush(slab, 0, false);
    hz3_lock_acquire(&hz3_slab_lock);
    hz3_slab_release(slab);
    hz3_lock_release(&hz3_slab_lock);
}

// --- threads that the CPU front cannot serve ---

#define RSEQ_UNREGISTER 1

static void *work_unregistered(void *arg)
{
    bool *served = arg;
    void *area = (char *)__builtin_thread_pointer() + hz3_rseq_offset;
    if (syscall(SYS_rseq, area, 32, RSEQ_UNREGISTER, RSEQ_SIG) != 0) {
        return NULL;
    }
    cache_blocks(100);
    cache_blocks(20000);
    *served = hz3_self.own != NULL && hz3_slab_cached_bytes(hz3_self.own) != 0;
    return NULL;
}

static void an_unregistered_thread_has_a_slab_of_its_own(void **state)
{
    (void)state;
    if (!hz3_cpu_front_is_used()) {
        skip();
    }
    bool served = false;
    pthread_t thread;
    pthread_create(&thread, NULL, work_unregistered, &served);
    pthread_join(thread, NULL);
    assert_true(served);
    assert_null(hz3_self.own); // this thread needs none
}

typedef struct Journey {
    size_t cpus;
    size_t cached_bytes; // before the thread ends, whose own cache goes with it
} Journey;

static void *use_every_cpu(void *arg)
{
    Journey *journey = arg;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (pin_to_cpu(cpu)) {
            cache_blocks(128);
            journey->cpus++;
        }
    }
    journey->cached_bytes = hz3_front_cached_bytes();
    return NULL;
}

static void a_thread_takes_nothing_along_to_another_cpu(void **state)
{
    (void)state;
    hz3_front_drain(HZ3_FRONT_ALL);
    Journey journey = {0};
    pthread_t thread;
    pthread_create(&thread, NULL, use_every_cpu, &journey);
    pthread_join(thread, NULL);
    if (journey.cpus < 2) {
        skip();
    }
    assert_true(journey.cached_bytes > 0);
    hz3_front_drain(HZ3_FRONT_ALL);
    assert_int_equal(hz3_front_cached_bytes(), 0);
}

// --- the end of a thread beside a drain ---

static void (*amid_a_drain)(void); // called once

bool __real_hz3_os_membarrier(Hz3OsBarrier kind);
bool __wrap_hz3_os_membarrier(Hz3OsBarrier kind);
bool __wrap_hz3_os_membarrier(Hz3OsBarrier kind)
{
    void (*call)(void) = amid_a_drain;
    amid_a_drain = NULL;
    if (call != NULL) {
        call();
    }
    return __real_hz3_os_membarrier(kind);
}

static Sleeper leaver;
static Hz3Slab *leavers_slab;
static bool has_left, has_waited;

static void let_the_leaver_end(void)
{
    assert_true(leavers_slab->is_seized);
    pthread_barrier_wait(&leaver.barrier);
    for (Patience patience = patience_of_ms(10000); !has_left && !has_waited && patience_lasts(&patience);) {
        usleep(1000);
        has_left = __atomic_load_n(&leavers_slab->owner, __ATOMIC_RELAXED) == NULL;
        has_waited = (atomic_load(&hz3_slab_drain_lock.word) & HZ3_LOCK_CONTENDED) != 0;
    }
}

static void a_thread_that_ends_waits_for_the_drain_of_its_slab(void **state)
{
    (void)state;
    if (hz3_cpu_front_is_used()) {
        skip();
    }
    sleeper_start(&leaver, 64);
    for (Hz3Slab *slab = hz3_slab_first(); slab != NULL; slab = slab->next_made) {
        leavers_slab = slab->owner != NULL && slab->owner != &hz3_self ? slab : leavers_slab;
    }
    assert_non_null(leavers_slab);
    amid_a_drain = let_the_leaver_end;
    hz3_front_drain(HZ3_FRONT_ALL);
    pthread_join(leaver.thread, NULL);
    assert_null(amid_a_drain);
    assert_true(has_waited && !has_left);
    assert_int_equal(hz3_front_cached_bytes(), 0);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_EPOCH_TICK_MS=0", NULL}); // no drains but the tests' own
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_note_that_is_out_of_date_ends_nothing),
        cmocka_unit_test(a_drain_empties_the_slabs_of_sleepers),
        cmocka_unit_test(only_what_has_not_moved_is_idle),
        cmocka_unit_test(a_drain_from_here_spares_other_threads),
        cmocka_unit_test(a_sleepers_empty_slab_is_not_looked_at),
        cmocka_unit_test(an_idle_slab_gives_its_slots_back),
        cmocka_unit_test(capacity_follows_use),
        cmocka_unit_test(the_exit_looks_at_whole_bins),
        cmocka_unit_test(slab_validator_sees_what_is_wrong),
        cmocka_unit_test(an_unregistered_thread_has_a_slab_of_its_own),
        cmocka_unit_test(a_thread_takes_nothing_along_to_another_cpu),
        cmocka_unit_test(a_thread_that_ends_waits_for_the_drain_of_its_slab),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
