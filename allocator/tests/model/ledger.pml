/*
 * The release ledger: a list of segments that have dirty pages, one entry a segment.
 *
 * A releaser makes pages dirty, then sets the segment's queued flag; whoever set it first links the segment to the list
 * by CAS. A drainer takes the whole list by one exchange. It purges what it likes of an entry, a part or all. Then it
 * clears the entry's flag before it reads the dirty bits, and queues the segment again if there are some. A claim of
 * several words takes dirty pages of a segment for a moment and gives them back, because it does not get the rest of
 * what it wants. (Entries that are to wait keep their flag, in queues that the drainer alone touches: to all others
 * they are like entries that it has in its hands.)
 *
 * Proved: nobody links an entry that is linked; when all is quiet every queued entry is on the list once, and every
 * segment with dirty pages is queued.
 */
#define SEGMENTS 2
#define RELEASERS 2
#ifdef LARGE_DRAINERS
#define DRAINERS 2
#else
#define DRAINERS 1
#endif
#ifdef LARGE_RELEASES
#define RELEASES 2 /* by each */
#else
#define RELEASES 1
#endif
#define DRAINS 2

#define CLAIMER (RELEASERS + DRAINERS)
#define THREADS (CLAIMER + 1)
#define SB_DEPTH 4

#define DIRTY(s) ((s) * 3) /* one bit a releaser: pages that it released there */
#define QUEUED(s) ((s) * 3 + 1)
#define NEXT(s) ((s) * 3 + 2)
#define HEAD (SEGMENTS * 3) /* 0: empty; s + 1 */
#define CELLS (SEGMENTS * 3 + 1)

#include "tso.pml"

bool is_linked[SEGMENTS]; /* what must be true */
byte ended;

inline push(s)
{
    load(me, HEAD, head);
    do
    :: store(me, NEXT(s), head);
#ifdef BUG_PUSH_BY_LOAD_AND_STORE
        store(me, HEAD, s + 1);
        d_step { assert(!is_linked[s]); is_linked[s] = true }
        break
#else
        atomic {
            d_step { drain(me) }
            if
            :: mem[HEAD] == head ->
                mem[HEAD] = s + 1;
                assert(!is_linked[s]);
                is_linked[s] = true;
                break
            :: else -> head = mem[HEAD]
            fi
        }
#endif
    od;
    head = 0
}

inline queue(s)
{
    exchange(me, QUEUED(s), 1, old);
    if
    :: old == 0 -> push(s)
    :: else
    fi;
    old = 0
}

proctype releaser(byte me)
{
    byte releases = RELEASES;
    byte s, old, head;

    do
    :: releases > 0 ->
        releases--;
        if
        :: s = 0
        :: s = 1
        fi;
#ifdef BUG_QUEUED_BEFORE_DIRTY
        queue(s);
#endif
#ifdef BUG_DIRTY_BY_PLAIN_STORE
        d_step { load(me, DIRTY(s), old); store(me, DIRTY(s), old | (1 << me)); old = 0 }
#else
        d_step { drain(me); mem[DIRTY(s)] = mem[DIRTY(s)] | (1 << me) }
#endif
#ifndef BUG_QUEUED_BEFORE_DIRTY
        if
        :: true
        :: load(me, QUEUED(s), old) /* one may look first: the bits were set by a locked instruction */
        fi;
        if
        :: old == 0 -> queue(s)
        :: else
        fi;
#endif
        d_step { s = 0; old = 0 }
    :: else -> break
    od;
    ended++
}

proctype claimer(byte me)
{
    byte taken, old, head;

    d_step { drain(me); taken = mem[DIRTY(0)]; mem[DIRTY(0)] = 0 }
    if
    :: taken != 0 ->
        d_step { drain(me); mem[DIRTY(0)] = mem[DIRTY(0)] | taken; taken = 0 }
#ifndef BUG_ROLL_BACK_NOT_TOLD
        queue(0)
#endif
    :: else
    fi;
    ended++
}

inline clear_flag(s)
{
#ifdef BUG_FLAG_CLEARED_BY_PLAIN_STORE
    store(me, QUEUED(s), 0)
#else
    exchange(me, QUEUED(s), 0, old);
    assert(old == 1);
    old = 0
#endif
}

inline unlink(s)
{
    load(me, NEXT(s), list);
    d_step { assert(is_linked[s]); is_linked[s] = false }
}

proctype drainer(byte me)
{
    byte drains = DRAINS;
    byte list, s, old, head, dirty;

    do
    :: drains > 0 ->
        drains--;
        exchange(me, HEAD, 0, list);
        do
        :: list != 0 ->
            s = list - 1;
#ifdef BUG_NEXT_READ_AFTER_CLEARING
            clear_flag(s);
            unlink(s);
#else
            unlink(s);
#endif
            load(me, DIRTY(s), dirty);
            if
            :: d_step { drain(me); mem[DIRTY(s)] = mem[DIRTY(s)] & ~dirty }
            :: true /* too young */
            fi;
            dirty = 0;
#if !defined(BUG_FLAG_CLEARED_AFTER_READING) && !defined(BUG_NEXT_READ_AFTER_CLEARING)
            clear_flag(s);
#endif
            load(me, DIRTY(s), dirty);
#ifdef BUG_FLAG_CLEARED_AFTER_READING
            clear_flag(s);
#endif
            if
            :: dirty != 0 -> queue(s)
            :: else
            fi;
            d_step { dirty = 0; s = 0 }
        :: else -> break
        od
    :: else -> break
    od;
    ended++
}

#define ON_LIST(s) (mem[HEAD] == (s) + 1 || (mem[HEAD] != 0 && mem[NEXT(mem[HEAD] - 1)] == (s) + 1))
#define CHECK_END(s)                                                                                                   \
    assert(mem[DIRTY(s)] == 0 || mem[QUEUED(s)] == 1);                                                                 \
    assert((mem[QUEUED(s)] == 1) == ON_LIST(s))

init {
    atomic {
        run releaser(0);
        run releaser(1);
        run claimer(CLAIMER);
        run drainer(2)
#if DRAINERS > 1
        ; run drainer(3)
#endif
    }
    ended == THREADS && IS_DRAINED(0) && IS_DRAINED(1) && IS_DRAINED(2) && IS_DRAINED(CLAIMER);
#if DRAINERS > 1
    IS_DRAINED(3);
#endif
    CHECK_END(0);
    CHECK_END(1)
}
