// Lock ranks, and locks across fork.
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hz3_lock.h"

static Hz3Lock budget = HZ3_LOCK_INIT(HZ3_RANK_BUDGET);
static Hz3Lock leaf = HZ3_LOCK_INIT(HZ3_RANK_LEAF);
static Hz3Lock another_leaf = HZ3_LOCK_INIT(HZ3_RANK_LEAF);

static uintptr_t owner_of(const Hz3Lock *lock)
{
    return atomic_load(&lock->word) & ~HZ3_LOCK_CONTENDED;
}

static bool is_contended(const Hz3Lock *lock)
{
    return (atomic_load(&lock->word) & HZ3_LOCK_CONTENDED) != 0;
}

static void in_new_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, arg), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *try_and_release(void *arg)
{
    bool *was_free = arg;
    *was_free = hz3_lock_try(&leaf);
    if (*was_free) {
        hz3_lock_release(&leaf);
    }
    return NULL;
}

static bool is_free_for_others(void)
{
    bool was_free;
    in_new_thread(try_and_release, &was_free);
    return was_free;
}

// --- owner and ranks ---

static void *say_id(void *arg)
{
    *(uintptr_t *)arg = hz3_self_id();
    return NULL;
}

// An id is given back with its thread, so that they do not run out however many threads a process has had.
static void ids_are_the_living_threads_own(void **state)
{
    (void)state;
    uintptr_t seen[16] = {0};
    uint32_t n = 0;
    for (int thread = 0; thread < 1000; thread++) {
        uintptr_t id = 0;
        in_new_thread(say_id, &id);
        assert_true(id != hz3_self_id() && (id & HZ3_LOCK_CONTENDED) == 0 && id != 0);
        bool is_known = false;
        for (uint32_t i = 0; i < n; i++) {
            is_known = is_known || seen[i] == id;
        }
        assert_true(is_known || n < COUNT_OF(seen));
        if (!is_known) {
            seen[n++] = id;
        }
    }
}

static void lock_knows_its_owner(void **state)
{
    (void)state;
    hz3_lock_acquire(&leaf);
    assert_int_equal(owner_of(&leaf), hz3_self_id());
    assert_false(is_free_for_others());
    hz3_lock_release(&leaf);
    assert_int_equal(atomic_load(&leaf.word), 0);
    assert_true(is_free_for_others());
}

static void rising_ranks_are_legal(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        hz3_lock_acquire(&budget);
        assert_true(hz3_lock_try(&leaf));
        hz3_lock_release(&leaf);
        hz3_lock_release(&budget);
    }
}

static void acquire_both(void *second)
{
    hz3_lock_acquire(&leaf);
    hz3_lock_acquire(second);
}

static void try_both(void *second)
{
    hz3_lock_acquire(&leaf);
    hz3_lock_try(second);
}

static void *release_it(void *lock)
{
    hz3_lock_release(lock);
    return NULL;
}

static void release_from_another_thread(void *lock)
{
    hz3_lock_acquire(lock);
    in_new_thread(release_it, lock);
}

static void release_twice(void *lock)
{
    hz3_lock_acquire(lock);
    hz3_lock_release(lock);
    hz3_lock_release(lock);
}

static void acquire_without_rank(void *arg)
{
    (void)arg;
    static Hz3Lock no_rank;
    hz3_lock_acquire(&no_rank);
}

static void wrong_use_aborts(void **state)
{
    (void)state;
    unit_expect_abort(acquire_both, &budget, "held_ranks");       // falling
    unit_expect_abort(acquire_both, &another_leaf, "held_ranks"); // two of one rank
    unit_expect_abort(try_both, &budget, "held_ranks");
    unit_expect_abort(release_from_another_thread, &leaf, "hz3_lock_is_held");
    unit_expect_abort(release_twice, &leaf, "hz3_lock_is_held");
    unit_expect_abort(acquire_without_rank, NULL, "lock->rank");
}

// --- fork ---

static _Atomic bool has_waited; // a fork for the lock

// Forks between prepare and parent/child; the child answers with check(): 0 is well.
static void fork_with_lock(int (*check)(void))
{
    while (!hz3_lock_fork_prepare(&leaf)) {
        atomic_store(&has_waited, true);
        sched_yield();
    }
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        unit_watchdog(10);
        hz3_lock_fork_child(&leaf);
        _exit(check());
    }
    hz3_lock_fork_parent(&leaf);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int is_free_and_works(void)
{
    if (atomic_load(&leaf.word) != 0) {
        return 1;
    }
    hz3_lock_acquire(&budget);
    hz3_lock_acquire(&leaf); // the rank is as it was
    hz3_lock_release(&leaf);
    hz3_lock_release(&budget);
    return atomic_load(&leaf.word) == 0 ? 0 : 2;
}

static void free_lock_is_free_after_fork(void **state)
{
    (void)state;
    fork_with_lock(is_free_and_works);
    assert_int_equal(is_free_and_works(), 0);
}

static int is_mine_and_works(void)
{
    if (owner_of(&leaf) != hz3_self_id()) {
        return 1;
    }
    hz3_lock_release(&leaf);
    return is_free_and_works();
}

// As in a signal handler that interrupted a slow path: the handler's return releases it, in the parent and in the
// child.
static void own_lock_stays_held_on_both_sides(void **state)
{
    (void)state;
    hz3_lock_acquire(&leaf);
    fork_with_lock(is_mine_and_works);
    assert_int_equal(owner_of(&leaf), hz3_self_id());
    assert_false(is_free_for_others());
    hz3_lock_release(&leaf);
    assert_int_equal(is_free_and_works(), 0);
}

static pthread_barrier_t holding;
static _Atomic bool holder_is_done;

static void *hold_until_a_fork_waits(void *arg)
{
    (void)arg;
    hz3_lock_acquire(&leaf);
    pthread_barrier_wait(&holding);
    for (Patience patience = patience_of_ms(10000); !atomic_load(&has_waited) && patience_lasts(&patience);) {
        usleep(1000);
    }
    atomic_store(&holder_is_done, true);
    hz3_lock_release(&leaf);
    return NULL;
}

static int holder_was_done(void)
{
    return atomic_load(&holder_is_done) ? is_free_and_works() : 3;
}

static void fork_waits_for_other_holders(void **state)
{
    (void)state;
    pthread_t thread;
    atomic_store(&has_waited, false);
    pthread_barrier_init(&holding, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, hold_until_a_fork_waits, NULL), 0);
    pthread_barrier_wait(&holding);
    fork_with_lock(holder_was_done);
    pthread_join(thread, NULL);
    assert_int_equal(is_free_and_works(), 0);
}

static void *acquire_and_release(void *arg)
{
    hz3_lock_acquire(&leaf);
    *(_Atomic bool *)arg = true;
    hz3_lock_release(&leaf);
    return NULL;
}

static void prepare_keeps_others_out_until_parent(void **state)
{
    (void)state;
    static _Atomic bool was_in;
    pthread_t thread;
    assert_true(hz3_lock_fork_prepare(&leaf));
    assert_int_equal(pthread_create(&thread, NULL, acquire_and_release, &was_in), 0);
    for (Patience patience = patience_of_ms(10000); !is_contended(&leaf) && !was_in && patience_lasts(&patience);) {
        usleep(1000);
    }
    assert_true(is_contended(&leaf));
    assert_false(was_in);
    hz3_lock_fork_parent(&leaf);
    pthread_join(thread, NULL);
    assert_true(was_in);
}

static void *prepare_it(void *arg)
{
    *(bool *)arg = hz3_lock_fork_prepare(&leaf);
    return NULL;
}

// Else a fork would wait for a lock while it holds others, and two forks for each other.
static void prepare_gives_up_on_a_lock_of_another_thread(void **state)
{
    (void)state;
    bool prepared = true;
    hz3_lock_acquire(&leaf);
    in_new_thread(prepare_it, &prepared);
    assert_false(prepared);
    hz3_lock_release(&leaf);
    assert_int_equal(is_free_and_works(), 0);
}

// Another library's fork handler may allocate while all locks are taken for the fork.
static void prepared_locks_let_their_own_thread_pass(void **state)
{
    (void)state;
    assert_true(hz3_lock_fork_prepare(&leaf));
    hz3_lock_acquire(&leaf);
    hz3_lock_release(&leaf);
    assert_false(is_free_for_others());
    hz3_lock_fork_parent(&leaf);
    assert_int_equal(is_free_and_works(), 0);
}

static void acquire_twice(void *lock)
{
    hz3_lock_acquire(lock);
    hz3_lock_acquire(lock);
}

static void waiting_for_oneself_aborts(void **state)
{
    (void)state;
    unit_expect_abort(acquire_twice, &leaf, "signal handler that interrupted malloc");
}

int main(void)
{
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_the_living_threads_own),
        cmocka_unit_test(lock_knows_its_owner),
        cmocka_unit_test(rising_ranks_are_legal),
        cmocka_unit_test(wrong_use_aborts),
        cmocka_unit_test(free_lock_is_free_after_fork),
        cmocka_unit_test(own_lock_stays_held_on_both_sides),
        cmocka_unit_test(fork_waits_for_other_holders),
        cmocka_unit_test(prepare_keeps_others_out_until_parent),
        cmocka_unit_test(prepare_gives_up_on_a_lock_of_another_thread),
        cmocka_unit_test(prepared_locks_let_their_own_thread_pass),
        cmocka_unit_test(waiting_for_oneself_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
