/*
 * Depots: chains of magazines, one of each shard, and the pool that the magazines come from.
 *
 * A user gives objects to its shard's depot and takes them from there, each under the shard's lock. Its depot empty, it
 * takes the whole lowest magazine of the other shard, if nobody has that lock, and puts what is left of it on top of its
 * own. A push that finds no room gives the lock up, gets a magazine from the pool and comes again. A drainer settles the
 * oldest objects into their runs, and gives free magazines of the pool to the kernel, which empties them. What happens
 * under a lock is one step here, and a lock orders stores, so there are no store buffers. What is searched is everything
 * that other threads may do between two such steps. The offers are one word that both shards change.
 *
 * Proved: an object is in one place only, in a user's hands, in a depot or in its run, and none is lost. So it is with
 * magazines. Nothing is read from a magazine that the kernel has emptied. In quiet the chains are linked both ways, and
 * a shard's offer says whether its depot holds something.
 */
#define OBJECTS 4 /* numbered from 1; 0 is what the kernel leaves */
#define ROOM 2
#ifdef LARGE_OPERATIONS
#define OPERATIONS 4 /* of each user */
#define DRAINS 3
#else
#define OPERATIONS 3
#define DRAINS 2
#endif
#ifdef LARGE_MAGAZINES
#define MAGAZINES 4
#else
#define MAGAZINES 3
#endif
#define NONE 9

byte top[2] = NONE, bottom[2] = NONE, spare[2] = NONE;
byte above[MAGAZINES], below[MAGAZINES], count[MAGAZINES];
byte object[MAGAZINES * ROOM];
bool is_free[MAGAZINES]; /* in the pool */
bool is_clean[MAGAZINES];
byte offers;
byte ended;

bool is_held[OBJECTS + 1], is_in_run[OBJECTS + 1]; /* what must be true */

/* Every step under the lock of a shard ends so. */
inline offer(q)
{
    offers = (top[q] != NONE -> offers | (1 << q) : offers & ~(1 << q))
}

inline get_magazine()
{
    d_step {
        fresh = 0;
        do
        :: fresh < MAGAZINES && !is_free[fresh] -> fresh++
        :: else -> break
        od;
        if
        :: fresh < MAGAZINES -> is_free[fresh] = false; is_clean[fresh] = false
        :: else -> fresh = NONE
        fi
    }
}

inline put_magazine(g)
{
    d_step { assert(!is_free[g] && count[g] == 0); is_free[g] = true; g = NONE }
}

inline link_top(q, g)
{
    below[g] = top[q];
    above[g] = NONE;
    if
    :: top[q] != NONE ->
#ifndef BUG_LINKED_ONE_WAY
        above[top[q]] = g
#else
        skip
#endif
    :: else -> bottom[q] = g
    fi;
    top[q] = g
}

inline unlink_end(q, g)
{
    if
    :: above[g] != NONE -> below[above[g]] = below[g]
    :: else -> top[q] = below[g]
    fi;
#ifndef BUG_BOTTOM_STAYS
    if
    :: below[g] != NONE -> above[below[g]] = above[g]
    :: else -> bottom[q] = above[g]
    fi
#else
    if
    :: below[g] != NONE -> above[below[g]] = above[g]
    :: else
    fi
#endif
}

/* The newest object of a magazine that this thread may change. */
inline pop_from(g)
{
    count[g] = count[g] - 1;
    o = object[g * ROOM + count[g]]
}

inline keep_or_return(q, g)
{
    unlink_end(q, g);
    if
    :: spare[q] == NONE -> spare[q] = g; g = NONE
    :: else
    fi
}

inline take_own(q)
{
#ifdef BUG_TOP_READ_BEFORE_THE_LOCK
    m = top[q];
#endif
    atomic {
#ifndef BUG_TOP_READ_BEFORE_THE_LOCK
        m = top[q];
#endif
        if
        :: m != NONE ->
            pop_from(m);
            if
            :: count[m] == 0 -> keep_or_return(q, m)
            :: else -> m = NONE
            fi
        :: else
        fi;
#ifndef BUG_OFFER_BY_LOAD_AND_STORE
        offer(q)
#else
        word = offers
#endif
    }
#ifdef BUG_OFFER_BY_LOAD_AND_STORE
    d_step { offers = (top[q] != NONE -> word | (1 << q) : word & ~(1 << q)); word = 0 }
#endif
    if
    :: m != NONE -> put_magazine(m)
    :: else
    fi
}

inline take_from_other(q)
{
    if
    :: atomic { (offers >> (1 - q)) & 1 -> m = bottom[1 - q] };
#ifndef BUG_DETACH_WITHOUT_THE_LOCK
        atomic {
            m = bottom[1 - q];
            if
            :: m != NONE -> unlink_end(1 - q, m)
            :: else
            fi;
            offer(1 - q)
        }
#else
        if
        :: m != NONE -> unlink_end(1 - q, m)
        :: else
        fi
#endif
    :: true /* nothing is offered, or somebody has the lock */
    fi;
    if
    :: m != NONE ->
        pop_from(m);
        if
        :: count[m] != 0 ->
#ifndef BUG_ATTACH_WITHOUT_THE_LOCK
            atomic { link_top(q, m); offer(q) }
#else
            link_top(q, m);
            offer(q);
#endif
            m = NONE
        :: else -> put_magazine(m)
        fi
    :: else
    fi
}

inline push_locked(q)
{
    if
    :: top[q] == NONE || count[top[q]] == ROOM ->
        if
        :: spare[q] != NONE -> link_top(q, spare[q]); spare[q] = NONE
        :: else
        fi
    :: else
    fi;
    if
    :: top[q] != NONE && count[top[q]] < ROOM ->
        object[top[q] * ROOM + count[top[q]]] = o;
        count[top[q]] = count[top[q]] + 1;
        o = 0
    :: else
    fi
}

inline settle(which)
{
    d_step { assert(which != 0 && !is_in_run[which] && !is_held[which]); is_in_run[which] = true; which = 0 }
}

inline give(q)
{
    atomic { push_locked(q); offer(q) }
    if
    :: o != 0 ->
        get_magazine();
        if
        :: fresh != NONE ->
            atomic {
#ifdef BUG_SPARE_IS_OVERWRITTEN
                spare[q] = fresh;
                fresh = NONE;
#else
                if
                :: spare[q] == NONE -> spare[q] = fresh; fresh = NONE
                :: else
                fi;
#endif
                push_locked(q);
                offer(q)
            }
            if
            :: fresh != NONE -> put_magazine(fresh)
            :: else
            fi
        :: else
        fi;
        if
        :: o != 0 -> settle(o)
        :: else
        fi
    :: else
    fi
}

proctype user(byte s)
{
    byte left = OPERATIONS;
    byte hand = s + 1; /* one object at most */
    byte o, m = NONE, fresh = NONE, word;

    do
    :: left > 0 ->
        left--;
        if
        :: hand != 0 ->
            d_step { o = hand; hand = 0; assert(is_held[o]); is_held[o] = false }
            give(s)
        :: hand == 0 ->
            take_own(s);
            if
            :: o == 0 -> take_from_other(s)
            :: else
            fi;
            if
            :: o != 0 ->
                d_step { assert(o != 0 && !is_held[o] && !is_in_run[o]); is_held[o] = true; hand = o; o = 0 }
            :: else
            fi
        fi
    :: else -> break
    od;
    ended++
}

/* The oldest of a shard's objects: all or some of its lowest magazine. */
inline drain(q)
{
    atomic {
        m = bottom[q];
        if
        :: m != NONE ->
            assert(count[m] != 0);
            o = object[m * ROOM];
            object[m * ROOM] = object[m * ROOM + 1];
#ifndef BUG_DRAIN_KEEPS_ITS_OBJECTS
            count[m] = count[m] - 1;
#endif
            if
            :: count[m] == 0 -> keep_or_return(q, m)
            :: else -> m = NONE
            fi
        :: else
        fi;
        offer(q)
    }
    if
    :: m != NONE -> put_magazine(m)
    :: else
    fi;
    if
    :: o != 0 -> settle(o)
    :: else
    fi
}

/* A free magazine goes to the kernel; meanwhile it looks as if somebody used it. */
inline publish()
{
    d_step { is_free[fresh] = true; is_clean[fresh] = true }
}

inline purge()
{
    d_step {
        fresh = 0;
        do
        :: fresh < MAGAZINES && !(is_free[fresh] && !is_clean[fresh]) -> fresh++
        :: else -> break
        od;
#ifndef BUG_PURGE_WITHOUT_CLAIM
        if
        :: fresh < MAGAZINES -> is_free[fresh] = false
        :: else
        fi
#endif
    }
    if
    :: fresh < MAGAZINES ->
#ifdef BUG_PUBLISHED_BEFORE_THE_PURGE
        publish();
#endif
        d_step { object[fresh * ROOM] = 0; object[fresh * ROOM + 1] = 0; count[fresh] = 0 }
#ifndef BUG_PUBLISHED_BEFORE_THE_PURGE
        publish()
#endif
    :: else
    fi;
    fresh = NONE
}

proctype drainer()
{
    byte drains = DRAINS;
    byte o, m = NONE, fresh = NONE, word;

    do
    :: drains > 0 ->
        drains--;
        if
        :: drain(0)
        :: drain(1)
        fi;
        purge()
    :: else -> break
    od;
    ended++
}

byte seen[OBJECTS + 1], used[MAGAZINES];

inline check_end()
{
    d_step {
        s = 0;
        do
        :: s < 2 ->
            m = top[s];
            word = NONE; /* the one above */
            do
            :: m != NONE ->
                assert(count[m] != 0 && above[m] == word);
                used[m]++;
                assert(used[m] == 1);
                o = 0;
                do
                :: o < count[m] -> seen[object[m * ROOM + o]]++; o++
                :: else -> break
                od;
                word = m;
                m = below[m]
            :: else -> break
            od;
            assert(bottom[s] == word);
            assert(((offers >> s) & 1) == (top[s] != NONE));
            if
            :: spare[s] != NONE -> used[spare[s]]++; assert(count[spare[s]] == 0)
            :: else
            fi;
            s++
        :: else -> break
        od;
        m = 0;
        do
        :: m < MAGAZINES -> assert(used[m] + is_free[m] == 1); m++
        :: else -> break
        od;
        assert(seen[0] == 0);
        o = 1;
        do
        :: o <= OBJECTS -> assert(seen[o] + is_held[o] + is_in_run[o] == 1); o++
        :: else -> break
        od
    }
}

init {
    byte s, m, o, word;
    atomic {
        do
        :: m < MAGAZINES -> is_free[m] = true; m++
        :: else -> break
        od;
        /* Each user has an object in its hand, and a full magazine waits in the first depot. */
        is_held[1] = true;
        is_held[2] = true;
        is_free[0] = false;
        top[0] = 0;
        bottom[0] = 0;
        above[0] = NONE;
        below[0] = NONE;
        object[0] = 3;
        object[1] = 4;
        count[0] = ROOM;
        offers = 1;
        run user(0);
        run user(1);
        run drainer()
    }
    ended == 3;
    check_end()
}
