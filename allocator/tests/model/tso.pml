/*
 * Total store order, as x86-64 has it: a thread's stores enter its own first-in-first-out buffer and reach memory some
 * time later, in order; its loads see its own buffer first; a locked instruction empties the buffer.
 *
 * A model defines THREADS, CELLS and SB_DEPTH before it includes this. A store into a full buffer is an error and not a
 * wait, so a model that passes has lost no behaviour to the depth.
 */
#define IS_DRAINED(p) (sb_used[p] == 0)

byte mem[CELLS];
byte sb_used[THREADS];
byte sb_cell[THREADS * SB_DEPTH];
byte sb_value[THREADS * SB_DEPTH];
hidden byte tso_i;

inline store(p, cell, value)
{
    d_step {
        assert(sb_used[p] < SB_DEPTH);
        sb_cell[(p) * SB_DEPTH + sb_used[p]] = cell;
        sb_value[(p) * SB_DEPTH + sb_used[p]] = value;
        sb_used[p]++
    }
}

inline load(p, cell, to)
{
    d_step {
        to = mem[cell];
        tso_i = 0;
        do
        :: tso_i < sb_used[p] ->
            if
            :: sb_cell[(p) * SB_DEPTH + tso_i] == (cell) -> to = sb_value[(p) * SB_DEPTH + tso_i]
            :: else
            fi;
            tso_i++
        :: else -> break
        od
    }
}

/* The oldest store reaches memory. Inside a d_step, the buffer not empty. */
inline flush_oldest(p)
{
    mem[sb_cell[(p) * SB_DEPTH]] = sb_value[(p) * SB_DEPTH];
    sb_used[p]--;
    tso_i = 0;
    do
    :: tso_i < sb_used[p] ->
        sb_cell[(p) * SB_DEPTH + tso_i] = sb_cell[(p) * SB_DEPTH + tso_i + 1];
        sb_value[(p) * SB_DEPTH + tso_i] = sb_value[(p) * SB_DEPTH + tso_i + 1];
        tso_i++
    :: else -> break
    od;
    sb_cell[(p) * SB_DEPTH + sb_used[p]] = 0;
    sb_value[(p) * SB_DEPTH + sb_used[p]] = 0
}

/* A fence by p, or p's share of another thread's membarrier. Inside a d_step. */
inline drain(p)
{
    do
    :: sb_used[p] > 0 -> flush_oldest(p)
    :: else -> break
    od
}

/* A locked exchange. */
inline exchange(p, cell, value, old)
{
    d_step {
        drain(p);
        old = mem[cell];
        mem[cell] = value
    }
}

/* A lock word: taken by a locked instruction (a waiter spins), given back by a plain store. */
inline lock(p, cell)
{
    d_step {
        mem[cell] == 0 -> drain(p);
        mem[cell] = 1
    }
}

inline unlock(p, cell)
{
    store(p, cell, 0)
}

/* The processors, which write back when they like. Idle is a proper end. */
active proctype store_buffers()
{
end:
    do
    :: d_step { sb_used[0] > 0 -> flush_oldest(0) }
#if THREADS > 1
    :: d_step { sb_used[1] > 0 -> flush_oldest(1) }
#endif
#if THREADS > 2
    :: d_step { sb_used[2] > 0 -> flush_oldest(2) }
#endif
#if THREADS > 3
    :: d_step { sb_used[3] > 0 -> flush_oldest(3) }
#endif
#if THREADS > 4
    :: d_step { sb_used[4] > 0 -> flush_oldest(4) }
#endif
    od
}
