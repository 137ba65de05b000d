/*
 * The purger's sleep and its end (hz3_purger.c): one state word, a futex on it without a timeout.
 *
 * A slow path caches or frees by stores without a fence, then reads the state; the one that changes ASLEEP to AWAKE
 * wakes the purger. The purger changes AWAKE to ASLEEP, passes a membarrier, and looks once more; the kernel puts it to
 * sleep only while the state is still ASLEEP. Where membarrier is refused it sleeps for some time only. When the main
 * thread leaves it changes the state to ENDED and wakes the purger, which then ends.
 *
 * Proved, for runs in which everybody who can go on does so: what is dirty or cached is purged some day, though every
 * slow path may be the program's last; and after the main thread the purger ends.
 */
#ifdef LARGE_RELEASERS
#define RELEASERS 2
#else
#define RELEASERS 1
#endif
#define MAIN RELEASERS
#define PURGER (RELEASERS + 1)
#define THREADS (RELEASERS + 2)
#define SB_DEPTH 2

#define STATE 0
#define DIRTY 1
#define CELLS 2

#define AWAKE 0
#define ASLEEP 1
#define ENDED 2
#define EVENTS 3

#include "tso.pml"

bool sleeps;
bool main_has_left;
bool purger_has_ended;

inline compare_exchange(p, cell, from, to, done)
{
    d_step {
        drain(p);
        done = (mem[cell] == from);
        if
        :: done -> mem[cell] = to
        :: else
        fi
    }
}

inline futex_wake()
{
    sleeps = false
}

inline release()
{
    store(me, DIRTY, 1)
}

proctype releaser(byte me)
{
    byte state;
    bool done;

    do
    :: true ->
#ifdef BUG_STATE_READ_BEFORE_RELEASE
        load(me, STATE, state);
        release();
#else
        release();
        load(me, STATE, state);
#endif
        if
        :: state == ASLEEP ->
#ifdef BUG_WOKEN_BY_PLAIN_STORE
            store(me, STATE, AWAKE);
            d_step { drain(me); done = true }
#else
#ifdef BUG_WOKEN_WITHOUT_CHANGE
            done = true;
#else
            compare_exchange(me, STATE, ASLEEP, AWAKE, done);
#endif
#endif
            if
            :: done -> futex_wake()
            :: else
            fi
        :: else
        fi;
        IS_DRAINED(me); /* only bounds the buffer */
        d_step { state = 0; done = false }
    :: break
    od
}

/* It may also stay for ever. */
proctype main_thread()
{
    byte state;
    bool done;

    if
    :: true ->
        do
        :: !done ->
            load(MAIN, STATE, state);
            compare_exchange(MAIN, STATE, state, ENDED, done)
        :: else -> break
        od;
        main_has_left = true;
#ifndef BUG_END_WAKES_NOBODY
        futex_wake()
#endif
    :: true
    fi
}

/* Every other thread is made to pass a fence, one after the other; the call is a fence of its own. */
inline membarrier()
{
    d_step { drain(PURGER) }
    d_step { drain(0) }
#if RELEASERS > 1
    d_step { drain(1) }
#endif
}

inline fall_asleep()
{
#ifdef BUG_ASLEEP_BY_PLAIN_STORE
    store(PURGER, STATE, ASLEEP);
    done = true
#else
    compare_exchange(PURGER, STATE, AWAKE, ASLEEP, done)
#endif
}

inline futex_wait()
{
    d_step {
        drain(PURGER);
#ifdef BUG_SLEEPS_WHATEVER_THE_STATE_IS
        sleeps = true
#else
        sleeps = (mem[STATE] == ASLEEP)
#endif
    }
}

inline sleep_until_woken()
{
    if
    :: true ->
#ifndef BUG_NO_MEMBARRIER
        membarrier();
#endif
#ifndef BUG_NO_SECOND_LOOK
        load(PURGER, DIRTY, dirty);
#endif
        if
        :: dirty -> compare_exchange(PURGER, STATE, ASLEEP, AWAKE, done)
        :: else ->
            do
            :: mem[STATE] == ASLEEP ->
                futex_wait();
end_asleep:
                !sleeps
            :: else -> break
            od
        fi
    :: true -> /* membarrier is refused: a wait, until its time is over */
        compare_exchange(PURGER, STATE, ASLEEP, AWAKE, done)
    fi
}

proctype purger()
{
    byte dirty;
    bool done;

    do
    :: mem[STATE] == AWAKE || mem[STATE] == ASLEEP ->
        load(PURGER, DIRTY, dirty);
        if
        :: dirty -> d_step { drain(PURGER); mem[DIRTY] = 0; dirty = 0 }
        :: else ->
            fall_asleep();
            if
            :: done -> sleep_until_woken()
            :: else
            fi
        fi;
        dirty = 0;
        done = false
    :: else -> break
    od;
    compare_exchange(PURGER, STATE, ENDED, EVENTS, done);
    purger_has_ended = true
}

init {
    atomic {
        run releaser(0);
#if RELEASERS > 1
        run releaser(1);
#endif
        run main_thread();
        run purger()
    }
}

/* Slow paths run the epochs when the purger has ended. */
ltl purged_and_ended {
    [] ((mem[DIRTY] != 0) -> <> (mem[DIRTY] == 0 || purger_has_ended)) && [] (main_has_left -> <> purger_has_ended)
}
