// Threads on one lock: mutual exclusion, and no sleeper is forgotten. A lost wake-up ends by the watchdog.
#include "support.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "base/hz3_lock.h"

#define THREADS 8
#define TURNS_S 20
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define STEPS 5000
#else
#define STEPS 30000
#endif

static Hz3Lock lock = HZ3_LOCK_INIT(HZ3_RANK_LEAF);
static uint64_t guarded[2]; // under the lock: both equal

static void count_under_lock(uint32_t index, void *arg)
{
    (void)arg;
    uint64_t rng = index + 1;
    for (int step = 0; step < STEPS; step++) {
        if (unit_random_below(&rng, 4) != 0) {
            hz3_lock_acquire(&lock);
        } else if (!hz3_lock_try(&lock)) {
            step--;
            sched_yield();
            continue;
        }
        UNIT_REQUIRE(guarded[0] == guarded[1], "two threads were inside: %lu and %lu", guarded[0], guarded[1]);
        guarded[0]++;
        if (unit_random_below(&rng, 64) == 0) {
            sched_yield(); // the others run into the taken lock and go to sleep
        }
        guarded[1]++;
        hz3_lock_release(&lock);
    }
}

static void one_thread_at_a_time(void **state)
{
    (void)state;
    unit_run_threads(THREADS, count_under_lock, NULL);
    assert_int_equal(guarded[0], (uint64_t)THREADS * STEPS);
    assert_int_equal(atomic_load(&lock.word), 0);
}

static _Atomic uint32_t arrived;
static _Atomic uint32_t passed;
static _Atomic uint32_t rounds_slept;
static _Atomic bool is_over; // TURNS_S have passed: beside busy processes a round takes as long as their time slices

static void wait_for(_Atomic uint32_t *count, uint32_t wanted)
{
    while (atomic_load(count) < wanted) {
        sched_yield();
    }
}

static void await_a_sleeper(void)
{
    Patience patience = patience_of_ms(1000);
    do {
        usleep(200); // time for more of them
    } while ((atomic_load(&lock.word) & HZ3_LOCK_CONTENDED) == 0 && patience_lasts(&patience));
}

// In each round one thread holds the lock until others sleep on it; then all of them must get through.
static void sleep_and_pass(uint32_t index, void *arg)
{
    (void)arg;
    time_t end = time(NULL) + TURNS_S;
    for (uint32_t round = 1; round <= 300 && !is_over; round++) {
        if (index == 0) {
            hz3_lock_acquire(&lock);
        }
        atomic_fetch_add(&arrived, 1);
        wait_for(&arrived, round * THREADS);
        if (index == 0) {
            await_a_sleeper();
            atomic_fetch_add(&rounds_slept, (atomic_load(&lock.word) & HZ3_LOCK_CONTENDED) != 0);
        } else {
            hz3_lock_acquire(&lock);
        }
        hz3_lock_release(&lock);
        is_over = is_over || (index == 0 && time(NULL) >= end);
        atomic_fetch_add(&passed, 1);
        wait_for(&passed, round * THREADS);
    }
}

static void every_sleeper_is_woken(void **state)
{
    (void)state;
    unit_run_threads(THREADS, sleep_and_pass, NULL);
    assert_true(is_over || atomic_load(&passed) == 300 * THREADS);
    assert_true(atomic_load(&rounds_slept) > 0);
    assert_int_equal(atomic_load(&lock.word), 0);
}

int main(void)
{
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_at_a_time),
        cmocka_unit_test(every_sleeper_is_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
