// Depots: the chain of magazines against a shadow of it, and what shards have for one another. The program's mallocs
// stay on shard 0 (hz3_os_cpu is replaced).
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "arena_support.h"
#include "base/hz3_os.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"
#include "middle/hz3_central.h"
#include "middle/hz3_central_state.h"
#include "middle/hz3_depot.h"
#include "middle/hz3_magazine.h"
#include "middle/hz3_small.h"
#include "policy/hz3_epoch.h"

#define SHARD 1u
#define CLS HZ3_CLASS_64
#define TAKEN_AT_ONCE 50u // less than a magazine, so that some of a foreign one is left

uint32_t __wrap_hz3_os_cpu(void);
uint32_t __wrap_hz3_os_cpu(void)
{
    return 0;
}

static bool kernel_refuses;

void *__real_hz3_os_map_own(size_t bytes, size_t align);
void *__wrap_hz3_os_map_own(size_t bytes, size_t align);
void *__wrap_hz3_os_map_own(size_t bytes, size_t align)
{
    return kernel_refuses ? NULL : __real_hz3_os_map_own(bytes, align);
}

static uint32_t tries;

bool __real_hz3_lock_try(Hz3Lock *lock);
bool __wrap_hz3_lock_try(Hz3Lock *lock);
bool __wrap_hz3_lock_try(Hz3Lock *lock)
{
    tries++;
    return __real_hz3_lock_try(lock);
}

static uint32_t locks;

void __real_hz3_lock_acquire(Hz3Lock *lock);
void __wrap_hz3_lock_acquire(Hz3Lock *lock);
void __wrap_hz3_lock_acquire(Hz3Lock *lock)
{
    locks++;
    __real_hz3_lock_acquire(lock);
}

static int set_up(void **state)
{
    (void)state;
    kernel_refuses = false;
    hz3_epoch_trim_all();
    hz3_epoch_trim_all();
    assert_int_equal(hz3_magazine_block_bytes(), 0);
    return 0;
}

// --- the chain ---------------------------------------------------------------------------------------------------

#define SHADOW_MAX 3000u

static void *shadow[SHADOW_MAX];
static uint32_t shadow_count;
static uint32_t shadow_low;

static void feed(Hz3Depot *depot)
{
    if (depot->spare == NULL) {
        depot->spare = hz3_magazine_get(SHARD);
        assert_non_null(depot->spare);
    }
}

static void check(const Hz3Depot *depot)
{
    assert_true(hz3_depot_is_valid(depot));
    assert_int_equal(hz3_depot_count(depot), shadow_count);
    shadow_low = shadow_count < shadow_low ? shadow_count : shadow_low;
    assert_int_equal(depot->low, shadow_low);
}

static void push_some(Hz3Depot *depot, uint32_t n)
{
    static char *next;
    void *objects[HZ3_BATCH_MAX];
    for (uint32_t i = 0; i < n; i++) {
        next = next != NULL ? next + 16 : (char *)hz3_arena.base; // any addresses of the arena
        objects[i] = next;
    }
    for (uint32_t pushed = 0; pushed < n;) {
        uint32_t more = hz3_depot_push(depot, objects + pushed, n - pushed);
        memcpy(shadow + shadow_count, objects + pushed, more * sizeof *objects);
        shadow_count += more;
        pushed += more;
        check(depot);
        feed(depot);
    }
}

static void pop_some(Hz3Depot *depot, uint32_t want)
{
    void *objects[HZ3_BATCH_MAX];
    Hz3Magazine *emptied = NULL;
    uint32_t n = hz3_depot_pop(depot, objects, want, &emptied);
    assert_int_equal(n, want < shadow_count ? want : shadow_count);
    shadow_count -= n;
    assert_memory_equal(objects, shadow + shadow_count, n * sizeof *objects);
    hz3_magazine_put(emptied);
    check(depot);
}

static void pop_some_oldest(Hz3Depot *depot, uint32_t max)
{
    void *objects[HZ3_MAGAZINE_OBJECTS];
    Hz3Magazine *emptied = NULL;
    uint32_t n = hz3_depot_pop_oldest(depot, objects, max, &emptied);
    assert_true(n <= max && n <= shadow_count && (n != 0 || max == 0 || shadow_count == 0));
    assert_memory_equal(objects, shadow, n * sizeof *objects);
    shadow_count -= n;
    memmove(shadow, shadow + n, shadow_count * sizeof *shadow);
    hz3_magazine_put(emptied);
    check(depot);
}

// The lowest magazine leaves the chain as another shard takes it, and comes back on top without its newest objects.
static void hand_over_the_oldest(Hz3Depot *depot, uint32_t kept)
{
    Hz3Magazine *oldest = hz3_depot_detach_bottom(depot);
    if (oldest == NULL) {
        assert_int_equal(shadow_count, 0);
        return;
    }
    assert_memory_equal(oldest->object, shadow, oldest->count * sizeof oldest->object[0]);
    shadow_count -= oldest->count;
    memmove(shadow, shadow + oldest->count, shadow_count * sizeof *shadow);
    check(depot);
    oldest->count = kept < oldest->count ? kept : oldest->count;
    memcpy(shadow + shadow_count, oldest->object, oldest->count * sizeof *shadow);
    shadow_count += oldest->count;
    hz3_depot_attach_top(depot, oldest);
    check(depot);
}

static void chain_is_a_stack_that_gives_its_oldest_too(void **state)
{
    (void)state;
    static Hz3Depot depot;
    uint64_t rng = 11;
    for (int step = 0; step < 40000; step++) {
        uint32_t n = 1 + unit_random_below(&rng, HZ3_BATCH_MAX);
        bool grows = step / 400 % 2 == 0;
        if (unit_random_below(&rng, 3) < (grows ? 2u : 1u) && shadow_count + n <= SHADOW_MAX) {
            push_some(&depot, n);
        } else if (unit_random_below(&rng, 4) != 0) {
            pop_some(&depot, n);
        } else if (unit_random_below(&rng, 2) == 0) {
            hand_over_the_oldest(&depot, n);
        } else {
            pop_some_oldest(&depot, n < HZ3_MAGAZINE_OBJECTS ? n : HZ3_MAGAZINE_OBJECTS);
        }
        if (unit_random_below(&rng, 50) == 0) {
            depot.low = shadow_low = shadow_count;
        }
    }
    while (shadow_count != 0) {
        pop_some(&depot, HZ3_BATCH_MAX);
    }
    assert_null(depot.top);
    assert_null(depot.bottom);
    depot.spare->below = NULL;
    hz3_magazine_put(depot.spare);
    depot.spare = NULL;
    hz3_magazine_trim(true);
    assert_int_equal(hz3_magazine_block_bytes(), 0);
}

// --- through the central -----------------------------------------------------------------------------------------

static void *objects[20000];
static uint32_t n_objects;

static void take(uint32_t shard, uint32_t n)
{
    for (uint32_t got; n > 0; n -= got) {
        got = hz3_central_take(shard, CLS, objects + n_objects, n < TAKEN_AT_ONCE ? n : TAKEN_AT_ONCE);
        assert_true(got >= 1);
        n_objects += got;
    }
}

static void give(uint32_t shard, uint32_t n)
{
    for (uint32_t batch; n > 0; n -= batch) {
        batch = n < HZ3_BATCH_MAX ? n : HZ3_BATCH_MAX;
        n_objects -= batch;
        hz3_central_give(shard, CLS, objects + n_objects, batch);
    }
}

static void without_magazines_objects_go_to_their_runs(void **state)
{
    (void)state;
    uint32_t taken_before = taken_pages();
    take(SHARD, 5000);
    kernel_refuses = true;
    give(SHARD, 5000);
    assert_int_equal(hz3_central_waiting_objects(true), 0);
    assert_in_range(taken_pages(), taken_before, taken_before + hz3_classes[CLS].pages);
    kernel_refuses = false;
}

static void depot_has_no_fixed_length(void **state)
{
    (void)state;
    take(SHARD, 20000);
    uint64_t opened = hz3_stat_sum(small_runs_opened);
    uint64_t misses = hz3_stat_sum(depot_misses);
    give(SHARD, 20000);
    assert_int_equal(hz3_central_waiting_objects(true), 20000);
    take(SHARD, 20000);
    assert_int_equal(hz3_stat_sum(small_runs_opened), opened);
    assert_int_equal(hz3_stat_sum(depot_misses), misses);
    give(SHARD, 20000);
}

// All but one object of each run are freed on one shard; another shard lives on them before it opens a run.
static void other_shards_objects_serve_before_fresh_pages(void **state)
{
    (void)state;
    for (uint32_t in_runs = 0; in_runs < 2; in_runs++) {
        take(SHARD, 20000);
        uint32_t keep = hz3_classes[CLS].objs;
        uint32_t kept = 0;
        for (uint32_t i = 0; i < n_objects; i++) {
            if (i % keep == 0) {
                objects[kept++] = objects[i];
            } else {
                hz3_central_give(SHARD, CLS, &objects[i], 1);
            }
        }
        if (in_runs) {
            hz3_central_drain(HZ3_DRAIN_ALL, true, UINT64_MAX);
        }
        uint32_t freed = n_objects - kept;
        uint64_t opened = hz3_stat_sum(small_runs_opened);
        n_objects = kept;
        take(SHARD + 1, freed - 2 * keep); // the shard keeps a run to itself
        assert_int_equal(hz3_stat_sum(small_runs_opened), opened);
        give(SHARD + 1, n_objects);
        hz3_central_drain(HZ3_DRAIN_ALL, true, UINT64_MAX);
    }
}

// The line of another shard's central is on another CPU.
static void shards_with_nothing_to_offer_are_not_asked(void **state)
{
    (void)state;
    tries = 0;
    take(SHARD, 1000);
    assert_int_equal(tries, 0);
    give(SHARD, 1000);
    take(SHARD + 2, 1);
    assert_int_equal(tries, 1);
    give(SHARD + 2, n_objects);
}

// A large machine has thousands of centrals, and an epoch comes by ten times a second.
static void drain_takes_no_lock_where_nothing_waits(void **state)
{
    (void)state;
    hz3_central_drain(HZ3_DRAIN_SURPLUS, true, UINT64_MAX);
    locks = 0;
    hz3_central_drain(HZ3_DRAIN_SURPLUS, true, UINT64_MAX);
    assert_in_range(locks, 0, 8); // what this program's own mallocs left
    take(SHARD, 1000);
    give(SHARD, 1000);
    for (uint32_t i = 0; i < 3; i++) {
        hz3_central_drain(HZ3_DRAIN_SURPLUS, true, UINT64_MAX);
    }
    assert_int_equal(hz3_depot_count(&hz3_central[SHARD][CLS].depot), 0);
    locks = 0;
    hz3_central_drain(HZ3_DRAIN_SURPLUS, true, UINT64_MAX);
    assert_in_range(locks, 0, 8);
}

static _Atomic bool may_take;
static _Atomic bool has_taken;

static void *take_on_the_next_shard(void *arg)
{
    (void)arg;
    while (!may_take) {
        sched_yield();
    }
    take(SHARD + 1, TAKEN_AT_ONCE);
    has_taken = true;
    return NULL;
}

// A producer meets its consumer at the depot all the time.
static void shard_that_is_busy_is_waited_for(void **state)
{
    (void)state;
    take(SHARD, 1000);
    give(SHARD, 1000);
    Hz3Lock *lock = &hz3_central[SHARD][CLS].lock;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, take_on_the_next_shard, NULL), 0);
    uint64_t opened = hz3_stat_sum(small_runs_opened);
    hz3_lock_acquire(lock);
    may_take = true;
    while ((atomic_load(&lock->word) & HZ3_LOCK_CONTENDED) == 0 && !has_taken) {
        sched_yield();
    }
    hz3_lock_release(lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(hz3_stat_sum(small_runs_opened), opened);
    give(SHARD + 1, n_objects);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=64M", "HZ3_SHARDS=4", "HZ3_EPOCH_TICK_MS=0",
                                              "HZ3_DEPOT_BYTES=8T", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(chain_is_a_stack_that_gives_its_oldest_too, set_up),
        cmocka_unit_test_setup(without_magazines_objects_go_to_their_runs, set_up),
        cmocka_unit_test_setup(depot_has_no_fixed_length, set_up),
        cmocka_unit_test_setup(other_shards_objects_serve_before_fresh_pages, set_up),
        cmocka_unit_test_setup(shards_with_nothing_to_offer_are_not_asked, set_up),
        cmocka_unit_test_setup(drain_takes_no_lock_where_nothing_waits, set_up),
        cmocka_unit_test_setup(shard_that_is_busy_is_waited_for, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
