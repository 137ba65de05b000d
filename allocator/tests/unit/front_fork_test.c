// The caches in front across a fork: the child has them whole, and the parent keeps them as they were. front.t chooses
// the front, as for front_test.
#include "front_support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hz3_os.h"
#include "front/hz3_front_cpu.h"
#include "front/hz3_front_drain.h"
#include "front/hz3_front_thread.h"

// What other threads cached is not lost to the child.
static void a_child_inherits_the_slabs_whole(void **state)
{
    (void)state;
    hz3_front_drain(HZ3_FRONT_ALL);
    Sleeper sleeper;
    sleeper_start(&sleeper, 2000);
    size_t cached = hz3_front_cached_bytes();
    pid_t pid = fork();
    if (pid == 0) {
        bool whole = hz3_front_cached_bytes() >= 8 * 2048 && hz3_front_drain(HZ3_FRONT_ALL) >= 8 * 2048;
        cache_blocks(2000);
        _exit(whole && hz3_front_cached_bytes() != 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(hz3_front_cached_bytes() >= cached / 2); // the parent still has them
    sleeper_end(&sleeper);
    cache_blocks(2000);
}

// A handler that forked between the locks and the fork would give them back.
static sigset_t blocked_at_stop;

void __real_hz3_front_fork_stop(void);
void __wrap_hz3_front_fork_stop(void);
void __wrap_hz3_front_fork_stop(void)
{
    pthread_sigmask(SIG_SETMASK, NULL, &blocked_at_stop);
    __real_hz3_front_fork_stop();
}

static void no_signal_comes_between_the_locks_and_the_fork(void **state)
{
    (void)state;
    sigemptyset(&blocked_at_stop);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(sigismember(&blocked_at_stop, SIGALRM) && sigismember(&blocked_at_stop, SIGUSR1));
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    assert_false(sigismember(&now, SIGALRM) || sigismember(&now, SIGUSR1));
}

static Hz3Slab *pointer_to(const Hz3Slab *slab)
{
    return slab->cpu != HZ3_CPU_NONE ? atomic_load(&hz3_cpu_slabs[2 + slab->cpu]) : atomic_load(&hz3_self.slab);
}

static void set_pointer(const Hz3Slab *slab, Hz3Slab *at)
{
    if (slab->cpu != HZ3_CPU_NONE) {
        atomic_store(&hz3_cpu_slabs[2 + slab->cpu], at);
    } else {
        atomic_store(&hz3_self.slab, at);
    }
}

static void fork_in_a_handler(void)
{
    hz3_front_fork_begin();
    assert_true(hz3_front_fork_prepare());
    hz3_front_fork_stop();
    hz3_front_fork_parent();
    hz3_front_fork_give_back();
}

// A drain, or the end of a thread, that a signal has interrupted between the mark and the pointer.
static void a_fork_leaves_a_slab_as_it_was(void **state)
{
    (void)state;
    Hz3Slab *slab = own_slab();
    assert_non_null(slab);
    assert_ptr_equal(pointer_to(slab), slab);
    slab->is_seized = true;
    fork_in_a_handler();
    assert_ptr_equal(pointer_to(slab), slab);
    assert_true(slab->is_seized);
    set_pointer(slab, &hz3_slab_none);
    fork_in_a_handler();
    assert_ptr_equal(pointer_to(slab), &hz3_slab_none);
    slab->is_seized = false;
    fork_in_a_handler();
    assert_ptr_equal(pointer_to(slab), &hz3_slab_none);
    set_pointer(slab, slab);
    fork_in_a_handler();
    assert_ptr_equal(pointer_to(slab), slab);
}

static unsigned rseq_barriers;

bool __real_hz3_os_membarrier(Hz3OsBarrier kind);
bool __wrap_hz3_os_membarrier(Hz3OsBarrier kind);
bool __wrap_hz3_os_membarrier(Hz3OsBarrier kind)
{
    rseq_barriers += kind == HZ3_OS_BARRIER_RSEQ;
    return __real_hz3_os_membarrier(kind);
}

// A section may still be at work on a slab that a drain has taken and has made no barrier for.
static void a_fork_waits_for_the_sections_of_seized_slabs(void **state)
{
    (void)state;
    if (!hz3_cpu_front_is_used()) {
        skip();
    }
    for (Hz3Slab *slab = hz3_slab_first(); slab != NULL; slab = slab->next_made) {
        slab->is_seized = slab->cpu != HZ3_CPU_NONE;
        if (slab->is_seized) {
            set_pointer(slab, &hz3_slab_none);
        }
    }
    rseq_barriers = 0;
    fork_in_a_handler();
    unsigned barriers = rseq_barriers;
    for (Hz3Slab *slab = hz3_slab_first(); slab != NULL; slab = slab->next_made) {
        if (slab->is_seized) {
            slab->is_seized = false;
            set_pointer(slab, slab);
        }
    }
    assert_int_equal(barriers, 1);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_EPOCH_TICK_MS=0", NULL}); // no drains but the tests' own
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_inherits_the_slabs_whole),
        cmocka_unit_test(no_signal_comes_between_the_locks_and_the_fork),
        cmocka_unit_test(a_fork_leaves_a_slab_as_it_was),
        cmocka_unit_test(a_fork_waits_for_the_sections_of_seized_slabs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
