#include "policy/hz3_purger.h"

#include <errno.h>
#include <pthread.h>

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_stats.h"
#include "pages/hz3_arena.h"
#include "policy/hz3_epoch.h"
#include "process/hz3_fork.h"
#include "process/hz3_init.h"

// Epochs in vain before the purger waits longer: what is left can't be had, like the cache of a stopped thread.
#define VAIN_MAX 8u
#define LONG_TICKS 64u

_Atomic uint32_t hz3_purger_state = HZ3_PURGER_NONE;

static _Atomic uint64_t last_event_tick_ms;
static bool must_not_outlive_main; // nobody would tell the thread that main has ended
static pthread_t purger;           // written by itself before it sets the flag; read by who has seen the flag
static _Atomic bool purger_is_known;

static uint32_t state_now(void)
{
    return atomic_load_explicit(&hz3_purger_state, memory_order_seq_cst);
}

static bool change(uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(&hz3_purger_state, &from, to, memory_order_seq_cst,
                                                   memory_order_seq_cst);
}

// Until a slow path wakes us, or after some time when not all that is pending can be seen or had.
static void sleep_until_woken(bool something_is_left)
{
    if (!change(HZ3_PURGER_AWAKE, HZ3_PURGER_ASLEEP)) {
        return;
    }
    bool sees_all = hz3_os_membarrier(HZ3_OS_BARRIER_PLAIN);
    if (!something_is_left && hz3_epoch_is_pending()) {
        change(HZ3_PURGER_ASLEEP, HZ3_PURGER_AWAKE);
        return;
    }
    hz3_stat_add(purger_sleeps, 1);
    if (something_is_left || !sees_all) {
        hz3_os_futex_wait_ms(&hz3_purger_state, HZ3_PURGER_ASLEEP, hz3_knobs.EPOCH_TICK_MS * LONG_TICKS);
        change(HZ3_PURGER_ASLEEP, HZ3_PURGER_AWAKE);
    }
    while (state_now() == HZ3_PURGER_ASLEEP) {
        hz3_os_futex_wait(&hz3_purger_state, HZ3_PURGER_ASLEEP);
    }
}

static bool is_over(void)
{
    uint32_t state = state_now();
    return state != HZ3_PURGER_AWAKE && state != HZ3_PURGER_ASLEEP;
}

static void *purger_main(void *unused)
{
    (void)unused;
    hz3_assert(!atomic_load_explicit(&purger_is_known, memory_order_relaxed));
    purger = pthread_self();
    atomic_store_explicit(&purger_is_known, true, memory_order_release);
    hz3_os_thread_be_ordinary();
    hz3_os_thread_name("hz3_purger");
    uint32_t in_vain = 0;
    while (!is_over()) {
        hz3_os_futex_wait_ms(&hz3_purger_state, HZ3_PURGER_AWAKE, hz3_knobs.EPOCH_TICK_MS);
        if (is_over()) {
            break;
        }
        in_vain = hz3_epoch_tick() ? 0 : in_vain + 1;
        bool pending = hz3_epoch_is_pending();
        if (!pending || in_vain >= VAIN_MAX) {
            sleep_until_woken(pending);
        }
    }
    change(HZ3_PURGER_ENDED, HZ3_PURGER_EVENTS);
    return NULL;
}

// Nothing can be dirty or cached in a heap that was never that large.
static bool is_worth_it(size_t mapped_bytes)
{
    size_t touched = atomic_load_explicit(&hz3_arena.slots_touched, memory_order_relaxed);
    return (touched << HZ3_SEG_SHIFT) + mapped_bytes >= hz3_knobs.PURGER_START;
}

static void tick_when_due(void)
{
    uint64_t now = hz3_os_coarse_ms();
    uint64_t last = atomic_load_explicit(&last_event_tick_ms, memory_order_relaxed);
    if (hz3_knobs.EPOCH_TICK_MS != 0 && now - last >= hz3_knobs.EPOCH_TICK_MS &&
        atomic_compare_exchange_strong_explicit(&last_event_tick_ms, &last, now, memory_order_relaxed,
                                                memory_order_relaxed)) {
        hz3_epoch_tick();
    }
}

// Asked once a thread: it costs system calls.
static bool this_thread_is_low(void)
{
    static HZ3_TLS enum { UNKNOWN, LOW, ORDINARY } answer;
    if (answer == UNKNOWN) {
        answer = hz3_os_thread_is_low() ? LOW : ORDINARY;
    }
    return answer == LOW;
}

// Awake before it lives: starting it allocates, and comes by here.
static void start_thread(uint32_t from)
{
    if (!change(from, HZ3_PURGER_AWAKE)) {
        return;
    }
    if (hz3_os_thread_start(purger_main)) {
        hz3_stat_add(purger_starts, 1);
    } else if (!change(HZ3_PURGER_AWAKE, HZ3_PURGER_EVENTS)) {
        change(HZ3_PURGER_ENDED, HZ3_PURGER_EVENTS); // main has ended meanwhile
    }
}

static void start(uint32_t from)
{
    // A fork that nobody announces must not meet a thread inside the heap, and a later call may get the handlers.
    if (!hz3_fork_may_start_thread()) {
        tick_when_due();
    } else if (hz3_knobs.EPOCH_TICK_MS == 0) {
        change(from, HZ3_PURGER_NEVER);
    } else if (!hz3_knobs.PURGER || must_not_outlive_main) {
        change(from, HZ3_PURGER_EVENTS);
    } else if (hz3_os_is_alone()) {
        change(from, HZ3_PURGER_ALONE);
    } else if (!this_thread_is_low()) {
        start_thread(from);
    } else {
        tick_when_due();
    }
}

void hz3_purger_poll_slow(size_t mapped_bytes, bool may_start)
{
    switch (state_now()) {
    case HZ3_PURGER_NONE:
        if (is_worth_it(mapped_bytes)) {
            hz3_init();
            start(HZ3_PURGER_NONE);
        }
        break;
    case HZ3_PURGER_ASLEEP:
        if (change(HZ3_PURGER_ASLEEP, HZ3_PURGER_AWAKE) && !hz3_os_futex_wake(&hz3_purger_state, 1)) {
            change(HZ3_PURGER_AWAKE, HZ3_PURGER_EVENTS); // it may sleep for ever
        }
        break;
    case HZ3_PURGER_ALONE:
        if (may_start && !hz3_os_is_alone()) {
            start(HZ3_PURGER_ALONE);
            break;
        }
        tick_when_due();
        break;
    case HZ3_PURGER_EVENTS:
        tick_when_due();
        break;
    default:
        break;
    }
}

// One that cannot be woken sleeps on, one that is only being started leaves by itself.
static void wake_and_join(void)
{
    if (hz3_os_futex_wake(&hz3_purger_state, 1) && atomic_load_explicit(&purger_is_known, memory_order_acquire)) {
        pthread_join(purger, NULL);
    }
}

// A process ends when its last thread does; if that were the purger, a program whose main thread has left by
// pthread_exit would never end, or would run its exit handlers on the purger's small stack with its signals blocked. So
// the purger leaves before the main thread.
static void main_thread_ends(void *unused)
{
    (void)unused;
    for (;;) { // until the state has not changed between our look and our change
        uint32_t state = state_now();
        bool lives = state == HZ3_PURGER_AWAKE || state == HZ3_PURGER_ASLEEP;
        bool may_come = state == HZ3_PURGER_NONE || state == HZ3_PURGER_ALONE;
        if (!lives && !may_come) {
            return;
        }
        if (change(state, lives ? HZ3_PURGER_ENDED : HZ3_PURGER_EVENTS)) {
            if (lives) {
                wake_and_join();
            }
            return;
        }
    }
}

// Values of the first 32 keys lie in the thread itself in glibc; setting a later one may allocate, which a fork's child
// must not whose thread was interrupted inside malloc.
#define KEYS_WITHOUT_MEMORY 32u

static pthread_key_t main_key;
static bool main_key_exists;

static bool watch_over_this_thread(void)
{
    return main_key_exists && pthread_setspecific(main_key, &hz3_purger_state) == 0;
}

// Loaded by another thread, nobody can tell when main ends.
void hz3_purger_init(void)
{
    main_key_exists = pthread_key_create(&main_key, main_thread_ends) == 0;
    must_not_outlive_main = !hz3_os_is_main_thread() || !watch_over_this_thread();
}

// The purger is not in the child. Of all threads only the one that forked is, which is main there.
void hz3_purger_fork_child(void)
{
    atomic_store_explicit(&purger_is_known, false, memory_order_relaxed);
    bool is_watched = main_key_exists && pthread_getspecific(main_key) != NULL;
    must_not_outlive_main = !is_watched && (main_key >= KEYS_WITHOUT_MEMORY || !watch_over_this_thread());
    if (state_now() != HZ3_PURGER_NEVER) {
        atomic_store_explicit(&hz3_purger_state, HZ3_PURGER_NONE, memory_order_seq_cst);
    }
}
