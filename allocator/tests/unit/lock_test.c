// Lock ranks, and locks across fork.
#include "support.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hz3_lock.h"

static Hz3Lock central = HZ3_LOCK_INIT(HZ3_RANK_CENTRAL);
static Hz3Lock another_central = HZ3_LOCK_INIT(HZ3_RANK_CENTRAL);
static Hz3Lock inbox = HZ3_LOCK_INIT(HZ3_RANK_INBOX);

static uint32_t owner_of(const Hz3Lock *lock)
{
    return atomic_load(&lock->word) & ~HZ3_LOCK_CONTENDED;
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
    *was_free = hz3_lock_try(&central);
    if (*was_free) {
        hz3_lock_release(&central);
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

static void lock_knows_its_owner(void **state)
{
    (void)state;
    assert_int_equal(hz3_self_tid(), gettid());
    hz3_lock_acquire(&central);
    assert_int_equal(owner_of(&central), gettid());
    assert_false(is_free_for_others());
    hz3_lock_release(&central);
    assert_int_equal(atomic_load(&central.word), 0);
    assert_true(is_free_for_others());
}

static void rising_ranks_are_legal(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        hz3_lock_acquire(&central);
        assert_true(hz3_lock_try(&inbox));
        hz3_lock_release(&inbox);
        hz3_lock_release(&central);
    }
}

static void acquire_both(void *second)
{
    hz3_lock_acquire(second == &central ? &inbox : &central);
    hz3_lock_acquire(second);
}

static void try_both(void *second)
{
    hz3_lock_acquire(&inbox);
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
    unit_expect_abort(acquire_both, &central, "held_ranks");         // inbox, then central
    unit_expect_abort(acquire_both, &another_central, "held_ranks"); // two of one rank
    unit_expect_abort(try_both, &central, "held_ranks");
    unit_expect_abort(release_from_another_thread, &central, "hz3_self_tid()");
    unit_expect_abort(release_twice, &central, "hz3_self_tid()");
    unit_expect_abort(acquire_without_rank, NULL, "lock->rank");
}

// --- fork ---

// Forks between prepare and parent/child; the child answers with check(): 0 is well.
static void fork_with_lock(int (*check)(void))
{
    uint32_t parent_tid = hz3_self_tid();
    hz3_lock_fork_prepare(&central);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(10);
        hz3_lock_fork_child(&central, parent_tid);
        _exit(check());
    }
    hz3_lock_fork_parent(&central);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int is_free_and_works(void)
{
    if (atomic_load(&central.word) != 0) {
        return 1;
    }
    hz3_lock_acquire(&central);
    hz3_lock_acquire(&inbox); // the rank is as it was
    hz3_lock_release(&inbox);
    hz3_lock_release(&central);
    return atomic_load(&central.word) == 0 ? 0 : 2;
}

static void free_lock_is_free_after_fork(void **state)
{
    (void)state;
    fork_with_lock(is_free_and_works);
    assert_int_equal(is_free_and_works(), 0);
}

static int is_mine_and_works(void)
{
    if (owner_of(&central) != (uint32_t)gettid()) {
        return 1;
    }
    hz3_lock_release(&central);
    return is_free_and_works();
}

// As in a signal handler that interrupted a slow path: the handler's return releases it, in the parent and in the
// child.
static void own_lock_stays_held_on_both_sides(void **state)
{
    (void)state;
    hz3_lock_acquire(&central);
    fork_with_lock(is_mine_and_works);
    assert_int_equal(owner_of(&central), gettid());
    assert_false(is_free_for_others());
    hz3_lock_release(&central);
    assert_int_equal(is_free_and_works(), 0);
}

static pthread_barrier_t holding;
static _Atomic bool holder_is_done;

static void *hold_for_a_while(void *arg)
{
    (void)arg;
    hz3_lock_acquire(&central);
    pthread_barrier_wait(&holding);
    usleep(50000);
    atomic_store(&holder_is_done, true);
    hz3_lock_release(&central);
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
    pthread_barrier_init(&holding, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, hold_for_a_while, NULL), 0);
    pthread_barrier_wait(&holding);
    fork_with_lock(holder_was_done);
    pthread_join(thread, NULL);
    assert_int_equal(is_free_and_works(), 0);
}

static void *acquire_and_release(void *arg)
{
    hz3_lock_acquire(&central);
    *(bool *)arg = true;
    hz3_lock_release(&central);
    return NULL;
}

static void prepare_keeps_others_out_until_parent(void **state)
{
    (void)state;
    static bool was_in;
    pthread_t thread;
    hz3_lock_fork_prepare(&central);
    assert_int_equal(pthread_create(&thread, NULL, acquire_and_release, &was_in), 0);
    usleep(50000);
    assert_false(was_in);
    hz3_lock_fork_parent(&central);
    pthread_join(thread, NULL);
    assert_true(was_in);
}

int main(void)
{
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lock_knows_its_owner),
        cmocka_unit_test(rising_ranks_are_legal),
        cmocka_unit_test(wrong_use_aborts),
        cmocka_unit_test(free_lock_is_free_after_fork),
        cmocka_unit_test(own_lock_stays_held_on_both_sides),
        cmocka_unit_test(fork_waits_for_other_holders),
        cmocka_unit_test(prepare_keeps_others_out_until_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
