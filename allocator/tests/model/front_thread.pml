/*
 * The thread front and its seizer: an asymmetric Dekker.
 *
 * An owner works on its slab between two plain stores, in_op = 1 and in_op = 0. The seizer swaps the owner's slab
 * pointer for the slab that always misses, makes the owner's processor pass a fence (membarrier), and owns the slab iff
 * in_op is 0 then. An owner that ends leaves the registry first; if its slab is seized it waits for the drain to end.
 *
 * The lock REGISTRY is hz3_slab_lock, DRAIN is the drain lock.
 *
 * Proved: no object is handed out twice or lost, no deadlock, nobody writes the slab pointer of a thread that is gone.
 */
/* OPS: per owner, each a malloc or a free; it may end earlier. ROUNDS: how often the seizer comes. */
#ifdef LARGE
#define OWNERS 2
#define OPS 2
#define ROUNDS 1
#else
#define OWNERS 1
#define OPS 3
#define ROUNDS 2
#endif

#define SEIZER OWNERS
#define THREADS (OWNERS + 1)
#define SB_DEPTH 12

/* Slots 0 and 1; the stack grows down as hz3's does. */
#define FULL 0
#define EMPTY 2
#define OBJECTS 3
#define ALL_OBJECTS 7

#define SLAB(i) ((i) * 7)
#define IN_OP(i) ((i) * 7 + 1)
#define TOP(i) ((i) * 7 + 2)
#define SLOT(i, n) ((i) * 7 + 3 + (n))
#define LINKED(i) ((i) * 7 + 5) /* in the registry; under its lock */
#define SEIZED(i) ((i) * 7 + 6) /* same */
#define DRAIN (OWNERS * 7)
#define REGISTRY (OWNERS * 7 + 1)
#define CELLS (OWNERS * 7 + 2)

/* What an owner's slab pointer names. */
#define MISS 0
#define REAL 1
#define GONE 2

#include "tso.pml"

/* Sets of objects. The central layer's lock is never held while another is waited for, so giving and taking are one
 * step each, with the fence of the lock's locked instruction. */
#if OWNERS == 1
#define EACH_OWNER(what) what(0)
#define HELD held[0]
#else
#define EACH_OWNER(what) what(0); what(1)
#define HELD (held[0] | held[1])
#endif
byte central;
byte held[OWNERS];
bool is_dead[OWNERS];
byte done;

#define BIT(object) (1 << ((object) - 1))
#define LOWEST(set) (((set) & 1) -> 1 : (((set) & 2) -> 2 : 3))

inline hand_out(to)
{
    d_step {
        assert(object != 0);
        assert(((central | HELD) & BIT(object)) == 0);
        held[to] = held[to] | BIT(object);
        object = 0
    }
}

inline central_give(giver, given)
{
    d_step {
        drain(giver);
        assert(given != 0);
        assert(((central | HELD) & BIT(given)) == 0);
        central = central | BIT(given);
        given = 0
    }
}

inline central_take(taken)
{
    d_step {
        drain(me);
        if
        :: central != 0 -> taken = LOWEST(central); central = central & ~BIT(taken)
        :: else -> taken = 0
        fi
    }
}

/* Everything that a slab holds goes to central. */
inline take_out(who, owned)
{
    load(who, TOP(owned), top);
    do
    :: top < EMPTY ->
        load(who, SLOT(owned, top), object);
        central_give(who, object);
        top++
    :: else -> break
    od;
    store(who, TOP(owned), EMPTY)
}

inline end_op(new_top)
{
#ifdef BUG_IN_OP_CLEARED_BEFORE_TOP
    store(me, IN_OP(me), 0);
    store(me, TOP(me), new_top)
#else
    store(me, TOP(me), new_top);
    store(me, IN_OP(me), 0)
#endif
}

inline thread_exit()
{
    lock(me, REGISTRY);
    load(me, SEIZED(me), slab);
#ifndef BUG_EXIT_IGNORES_SEIZED
    if
    :: slab == 1 ->
#ifdef BUG_EXIT_WAITS_WITH_REGISTRY
        lock(me, DRAIN);
#else
        unlock(me, REGISTRY);
        lock(me, DRAIN);
        lock(me, REGISTRY);
#endif
        store(me, LINKED(me), 0);
        unlock(me, REGISTRY);
        unlock(me, DRAIN)
    :: else ->
        store(me, LINKED(me), 0);
        unlock(me, REGISTRY)
    fi;
#else
    store(me, LINKED(me), 0);
    unlock(me, REGISTRY);
#endif
    store(me, SLAB(me), GONE);
    take_out(me, me);
    atomic {
        IS_DRAINED(me) -> is_dead[me] = true;
        slab = 0;
        top = 0
    }
}

proctype owner(byte me)
{
    byte left = OPS;
    byte slab, top, object, spare;

    do
    :: left > 0 && object == 0 -> /* malloc */
        left--;
        store(me, IN_OP(me), 1);
        load(me, SLAB(me), slab);
        if
        :: slab == REAL -> load(me, TOP(me), top)
        :: else -> top = EMPTY
        fi;
        if
        :: top < EMPTY ->
            load(me, SLOT(me, top), object);
            end_op(top + 1)
        :: else -> /* refill: one to hand out, one for the slab; no lock is waited for inside an operation */
            store(me, IN_OP(me), 0);
            central_take(object);
            central_take(spare);
            if
            :: spare != 0 ->
#ifndef BUG_REFILL_OUTSIDE_OF_OP
                store(me, IN_OP(me), 1);
#endif
                load(me, SLAB(me), slab);
                if
                :: slab == REAL -> load(me, TOP(me), top)
                :: else -> top = FULL
                fi;
                if
                :: top > FULL ->
                    store(me, SLOT(me, top - 1), spare);
                    spare = 0;
                    end_op(top - 1)
                :: else ->
                    store(me, IN_OP(me), 0);
                    central_give(me, spare)
                fi
            :: else
            fi
        fi;
        if
        :: object != 0 -> hand_out(me)
        :: else
        fi;
        d_step { slab = 0; top = 0 }
    :: left > 0 && held[me] != 0 -> /* free */
        d_step { left--; object = LOWEST(held[me]); held[me] = held[me] & ~BIT(object) }
        store(me, IN_OP(me), 1);
        load(me, SLAB(me), slab);
        if
        :: slab == REAL -> load(me, TOP(me), top)
        :: else -> top = FULL
        fi;
        if
        :: top > FULL ->
            store(me, SLOT(me, top - 1), object);
            object = 0;
            end_op(top - 1)
        :: else ->
            store(me, IN_OP(me), 0);
            central_give(me, object)
        fi;
        d_step { slab = 0; top = 0 }
    :: true -> break
    od;
    left = 0;
    thread_exit();
    done++
}

inline swap_pointer(i)
{
    lock(SEIZER, REGISTRY);
    load(SEIZER, LINKED(i), linked);
#ifdef BUG_IN_OP_READ_BEFORE_SWAP
    load(SEIZER, IN_OP(i), in_op);
    linked = linked && !in_op;
    in_op = 0;
#endif
    if
    :: linked ->
        store(SEIZER, SEIZED(i), 1);
        store(SEIZER, SLAB(i), MISS);
        seized = seized | (1 << i)
    :: else
    fi;
    linked = 0;
    unlock(SEIZER, REGISTRY)
}

inline put_back(i)
{
    assert(!is_dead[i]);
    store(SEIZER, SLAB(i), REAL)
}

inline finish(i)
{
    if
    :: seized & (1 << i) ->
#ifndef BUG_IN_OP_READ_BEFORE_SWAP
        load(SEIZER, IN_OP(i), in_op);
#endif
        if
        :: in_op == 0 ->
#ifdef BUG_RESTORE_BEFORE_DRAIN
            put_back(i);
            take_out(SEIZER, i)
#else
            take_out(SEIZER, i);
            put_back(i)
#endif
        :: else -> put_back(i)
        fi;
        in_op = 0;
        lock(SEIZER, REGISTRY);
        store(SEIZER, SEIZED(i), 0);
        unlock(SEIZER, REGISTRY)
    :: else
    fi;
    top = 0
}

inline drain_owner(i)
{
    d_step { drain(i) }
}

/* All slabs by one membarrier. */
proctype seizer()
{
    byte rounds = ROUNDS;
    byte linked, seized, in_op, top, object;

    do
    :: rounds > 0 ->
        rounds--;
        lock(SEIZER, DRAIN);
        EACH_OWNER(swap_pointer);
#ifndef BUG_NO_MEMBARRIER
        d_step { drain(SEIZER) }
        EACH_OWNER(drain_owner);
        d_step { drain(SEIZER) }
#endif
        EACH_OWNER(finish);
        seized = 0;
        unlock(SEIZER, DRAIN)
    :: else -> break
    od;
    done++
}

inline start(i)
{
    mem[SLAB(i)] = REAL;
    mem[LINKED(i)] = 1;
    mem[TOP(i)] = EMPTY;
    run owner(i)
}

inline check_end(i)
{
    IS_DRAINED(i);
    assert(mem[SLAB(i)] == GONE && mem[TOP(i)] == EMPTY)
}

init {
    atomic {
        EACH_OWNER(start);
        mem[SLOT(0, 1)] = 1;
        mem[TOP(0)] = 1;
        central = BIT(2) | BIT(3);
        run seizer()
    }
    done == THREADS && IS_DRAINED(SEIZER);
    EACH_OWNER(check_end);
    assert((central | HELD) == ALL_OBJECTS)
}
