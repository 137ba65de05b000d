// Who writes into fresh memory under a leaf lock makes all others wait for a page fault, and for whoever has the kernel
// busy with the address space meanwhile. So fresh memory is touched before. A few faults are let pass: the kernel may
// take a page away at any time.
#include "support.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "base/hz3_lock.h"
#include "policy/hz3_epoch.h"

#define BLOCKS_MAX 30000
#define FAULTS_LET_PASS 16

static _Thread_local bool is_counting;
static _Thread_local long faults_at_acquire;
static long faults_under_locks;

static long faults_now(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt;
}

void __real_hz3_lock_acquire(Hz3Lock *lock);
void __wrap_hz3_lock_acquire(Hz3Lock *lock);
void __wrap_hz3_lock_acquire(Hz3Lock *lock)
{
    __real_hz3_lock_acquire(lock);
    if (is_counting && lock->rank == HZ3_RANK_LEAF) {
        faults_at_acquire = faults_now();
    }
}

void __real_hz3_lock_release(Hz3Lock *lock);
void __wrap_hz3_lock_release(Hz3Lock *lock);
void __wrap_hz3_lock_release(Hz3Lock *lock)
{
    if (is_counting && lock->rank == HZ3_RANK_LEAF) {
        faults_under_locks += faults_now() - faults_at_acquire;
    }
    __real_hz3_lock_release(lock);
}

static void allocate_and_free(size_t size, size_t n)
{
    static void *block[BLOCKS_MAX];
    assert_true(n <= BLOCKS_MAX);
    for (size_t i = 0; i < n; i++) {
        block[i] = malloc(size);
        assert_non_null(block[i]);
    }
    for (size_t i = 0; i < n; i++) {
        free(block[i]);
    }
}

static int begin(void **state)
{
    (void)state;
    faults_under_locks = 0;
    is_counting = true;
    return 0;
}

static int end(void **state)
{
    (void)state;
    is_counting = false;
    return 0;
}

static void blocks_in_runs_and_depots(void **state)
{
    (void)state;
    static const size_t sizes[] = {16, 64, 100, 500, 1000, 3000, 5000, 10000, 32000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        allocate_and_free(sizes[i], BLOCKS_MAX);
    }
    allocate_and_free(100000, 3000);
    for (int i = 0; i < 8; i++) {
        hz3_epoch_tick();
    }
    assert_in_range(faults_under_locks, 0, FAULTS_LET_PASS);
}

static void mappings_in_a_table_that_grows(void **state)
{
    (void)state;
    allocate_and_free(1200000, 5000);
    assert_in_range(faults_under_locks, 0, FAULTS_LET_PASS);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(blocks_in_runs_and_depots, begin, end),
        cmocka_unit_test_setup_teardown(mappings_in_a_table_that_grows, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
