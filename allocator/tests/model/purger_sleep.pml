/*
 * The purger's sleep: a futex without a timeout (allocator.md, Epoch; hazards.md, "Purger timing").
 *
 * A releaser makes pages dirty, then exchanges `pending` for 1 and wakes the purger when it was 0. The purger exchanges
 * it for 0, then looks for dirty pages, and sleeps only if it found none; the kernel puts it to sleep only if `pending`
 * is still 0.
 *
 * Proved, for runs in which everybody who can go on does so: what is dirty is purged some day, though every releaser
 * may stop for good at any time.
 */
#define RELEASERS 2
#define PURGER RELEASERS
#define THREADS (RELEASERS + 1)
#define SB_DEPTH 2

#define PENDING 0
#define DIRTY 1
#define CELLS 2

#include "tso.pml"

bool sleeps;

inline announce()
{
    exchange(me, PENDING, 1, was);
    if
    :: was == 0 -> sleeps = false /* FUTEX_WAKE */
    :: else
    fi
}

proctype releaser(byte me)
{
    byte was;

    do
    :: true ->
#ifdef BUG_ANNOUNCED_BEFORE_DIRTY
        announce();
#endif
#ifdef BUG_DIRTY_BY_PLAIN_STORE_AND_LOOK_FIRST
        store(me, DIRTY, 1);
        load(me, PENDING, was);
        if
        :: was == 0 -> announce()
        :: else
        fi;
        IS_DRAINED(me); /* only bounds the buffer */
#else
        d_step { drain(me); mem[DIRTY] = 1 }
#ifndef BUG_ANNOUNCED_BEFORE_DIRTY
        announce();
#endif
#endif
        was = 0
    :: break
    od
}

inline clear_pending()
{
#ifdef BUG_PENDING_CLEARED_BY_PLAIN_STORE
    store(PURGER, PENDING, 0)
#else
    exchange(PURGER, PENDING, 0, was);
    was = 0
#endif
}

proctype purger()
{
    byte was, dirty;

end:
    do
    :: true ->
#ifdef BUG_LOOKED_BEFORE_CLEARING
        load(PURGER, DIRTY, dirty);
        clear_pending();
#else
        clear_pending();
        load(PURGER, DIRTY, dirty);
#endif
        if
        :: dirty -> d_step { drain(PURGER); mem[DIRTY] = 0 }
        :: else ->
            d_step { /* FUTEX_WAIT: the kernel's lock is a fence */
                drain(PURGER);
#ifdef BUG_SLEEPS_WHATEVER_PENDING_IS
                sleeps = true
#else
                sleeps = (mem[PENDING] == 0)
#endif
            }
end_asleep:
            !sleeps
        fi;
        dirty = 0
    od
}

init {
    atomic {
        run releaser(0);
        run releaser(1);
        run purger()
    }
}

ltl purged { [] ((mem[DIRTY] != 0) -> <> (mem[DIRTY] == 0)) }
