/*
 * The CPU front: one slab a CPU, each operation a restartable sequence, and a drainer.
 *
 * A thread that is preempted, migrated or interrupted inside a sequence starts it again; it never reaches the commit,
 * the one store that counts. The drainer swaps the CPU's table entry for the slab that always misses and calls
 * membarrier(PRIVATE_EXPEDITED_RSEQ), which does to every running thread what an interrupt does. Then the drainer owns
 * the slab. The table is hz3_cpu_slabs.
 *
 * Proved: no object is handed out twice or lost; no sequence, not even one that is started again, writes below `full`.
 */
#define OPS 1 /* per user, a malloc or a free, or none */

/* Users 0 and 1 share CPU 0; or user 1 may also migrate to CPU 1; or a third user runs there. */
#if defined(LARGE_THIRD_USER)
#define CPUS 2
#define USERS 3
#elif defined(LARGE_MIGRATION)
#define CPUS 2
#define USERS 2
#else
#define CPUS 1
#define USERS 2
#endif

#if CPUS == 2
#define EACH_CPU(what) what(0); what(1)
#else
#define EACH_CPU(what) what(0)
#endif
#if USERS == 3
#define EACH_USER(what) what(0); what(1); what(2)
#define HELD (held[0] | held[1] | held[2])
#else
#define EACH_USER(what) what(0); what(1)
#define HELD (held[0] | held[1])
#endif

/* The store buffers are those of the processors. */
#define DRAINER CPUS /* runs on one of its own */
#define THREADS (CPUS + 1)
#define OFF 9
#define SB_DEPTH 12

/* Slots 2 and 3 are the bin's; 0 and 1 belong to the bin below it. */
#define MISS CPUS
#define FULL 2
#define EMPTY(slab) ((slab) == MISS -> FULL : 4)
#define OBJECTS 4
#define ALL_OBJECTS 15
#define NEIGHBOUR 99

#define TOP(slab) ((slab) * 5)
#define SLOT(slab, n) ((slab) * 5 + 1 + (n))
#define TABLE(cpu) ((CPUS + 1) * 5 + (cpu))
#define CELLS ((CPUS + 1) * 5 + CPUS)

#include "tso.pml"

byte on[USERS] = OFF;  /* the CPU that a thread runs on */
bool in_cs[USERS];     /* its instruction pointer is inside a sequence */
bool aborted[USERS];   /* goes to the abort handler as soon as it runs */
bool finished[USERS];
byte r_cpu[USERS], r_slab[USERS], r_top[USERS]; /* registers inside a sequence; lost when it is aborted */
byte central;
byte held[USERS];
byte ended;

#define BIT(object) (1 << ((object) - 1))
#define LOWEST(set) (((set) & 1) -> 1 : (((set) & 2) -> 2 : (((set) & 4) -> 3 : 4)))
#define TAKEN (central | HELD)

inline give(set, object)
{
    assert(object != 0 && object != NEIGHBOUR);
    assert((TAKEN & BIT(object)) == 0);
    set = set | BIT(object);
    object = 0
}

inline take(set, object)
{
    if
    :: set != 0 -> object = LOWEST(set); set = set & ~BIT(object)
    :: else -> object = 0
    fi
}

#ifdef BUG_ABORT_GOES_ON_TO_COMMIT
#define LOSE_REGISTERS(t)
#else
#define LOSE_REGISTERS(t) r_cpu[t] = 0; r_slab[t] = 0; r_top[t] = 0
#endif

/* What the kernel does to a thread that it interrupts. Inside a d_step. */
inline interrupt(t)
{
    if
    :: in_cs[t] -> in_cs[t] = false; aborted[t] = true; LOSE_REGISTERS(t)
    :: else
    fi
}

/* One step of a running thread; and one inside a sequence. */
#define STEP(what) atomic { on[me] != OFF -> what }
#ifdef BUG_ABORT_GOES_ON_TO_COMMIT
#define SEQUENCE(again, commit, what)                                                                                  \
    atomic {                                                                                                           \
        on[me] != OFF ->                                                                                               \
        if                                                                                                             \
        :: aborted[me] -> aborted[me] = false; goto commit                                                             \
        :: else -> what                                                                                                \
        fi                                                                                                             \
    }
#else
#define SEQUENCE(again, commit, what)                                                                                  \
    atomic {                                                                                                           \
        on[me] != OFF ->                                                                                               \
        if                                                                                                             \
        :: aborted[me] -> aborted[me] = false; goto again                                                              \
        :: else -> what                                                                                                \
        fi                                                                                                             \
    }
#endif

#ifdef BUG_COMMIT_OUTSIDE_OF_SEQUENCE
#define COMMIT(again, new_top) SEQUENCE(again, again, in_cs[me] = false); STEP(store(on[me], TOP(r_slab[me]), new_top))
#else
#define COMMIT(again, new_top) SEQUENCE(again, again, store(on[me], TOP(r_slab[me]), new_top); in_cs[me] = false)
#endif

/* Nobody sees where a sequence begins, or where one ends that commits nothing, so each is one step with a load. */
#define LOAD_TOP(again, commit, goes_on)                                                                               \
    STEP(in_cs[me] = true; r_cpu[me] = on[me]; load(on[me], TABLE(r_cpu[me]), r_slab[me]));                            \
    SEQUENCE(again, commit, load(on[me], TOP(r_slab[me]), r_top[me]); in_cs[me] = (goes_on))

#define GOES_ON (in_cs[me] || aborted[me])

#define WRITE_BATCH(again, commit)                                                                                     \
    SEQUENCE(again, commit, store(on[me], SLOT(r_slab[me], r_top[me] - 1), spare[0]));                                 \
    if                                                                                                                 \
    :: n == 2 -> SEQUENCE(again, commit, store(on[me], SLOT(r_slab[me], r_top[me] - 2), spare[1]))                     \
    :: else                                                                                                            \
    fi

proctype user(byte me)
{
    byte left = OPS;
    byte object, n;
    byte spare[2];

    do
    :: left > 0 -> /* malloc */
        left--;
pop:
        LOAD_TOP(pop, pop_commit, r_top[me] < EMPTY(r_slab[me]));
        if
        :: GOES_ON ->
            SEQUENCE(pop, pop_commit, load(on[me], SLOT(r_slab[me], r_top[me]), object));
pop_commit:
            COMMIT(pop, r_top[me] + 1)
        :: else ->
            STEP(d_step {
                drain(on[me]);
                take(central, object);
                take(central, spare[0]);
                take(central, spare[1]);
                n = (spare[0] != 0) + (spare[1] != 0)
            });
            if
            :: n > 0 ->
refill:
#ifdef BUG_SLOTS_WRITTEN_BEFORE_BOUNDS_CHECK
                LOAD_TOP(refill, refill_commit, true);
                WRITE_BATCH(refill, refill_commit);
                SEQUENCE(refill, refill_commit, in_cs[me] = (r_top[me] >= FULL + n));
#else
                LOAD_TOP(refill, refill_commit, r_top[me] >= FULL + n);
#endif
                if
                :: GOES_ON ->
#ifndef BUG_SLOTS_WRITTEN_BEFORE_BOUNDS_CHECK
                    WRITE_BATCH(refill, refill_commit);
#endif
refill_commit:
                    COMMIT(refill, r_top[me] - n)
                :: else ->
                    STEP(d_step {
                        drain(on[me]);
                        give(central, spare[0]);
                        if
                        :: n == 2 -> give(central, spare[1])
                        :: else
                        fi
                    })
                fi
            :: else
            fi
        fi;
        STEP(d_step {
            if
            :: object != 0 -> give(held[me], object)
            :: else
            fi;
            spare[0] = 0; spare[1] = 0; n = 0; LOSE_REGISTERS(me)
        })
    :: left > 0 && held[me] != 0 -> /* free */
        STEP(d_step { left--; take(held[me], object) });
push:
        LOAD_TOP(push, push_commit, r_top[me] > FULL);
        if
        :: GOES_ON ->
            SEQUENCE(push, push_commit, store(on[me], SLOT(r_slab[me], r_top[me] - 1), object));
push_commit:
            COMMIT(push, r_top[me] - 1)
        :: else ->
            STEP(d_step { drain(on[me]); give(central, object) })
        fi;
        d_step { object = 0; LOSE_REGISTERS(me) }
    :: true -> break
    od;
    STEP(d_step { drain(on[me]); on[me] = OFF; finished[me] = true; ended++ });
    left = 0
}

/* The kernel runs whom it likes; a switch is a fence. No CPU idles while a user waits for it. */
#define INTERRUPT(t) d_step { in_cs[t] && on[t] != OFF -> drain(on[t]); interrupt(t) }
#define SWITCH(from, to, cpu)                                                                                          \
    d_step {                                                                                                           \
        on[from] == cpu && on[to] == OFF && !finished[to] ->                                                           \
        drain(cpu);                                                                                                    \
        interrupt(from);                                                                                               \
        on[from] = OFF;                                                                                                \
        on[to] = cpu                                                                                                   \
    }
#define LEAVE(t, cpu) d_step { on[t] == cpu -> drain(cpu); interrupt(t); on[t] = OFF }
#define ENTER(t, cpu, other) d_step { on[t] == OFF && !finished[t] && on[other] != cpu -> on[t] = cpu }

active proctype scheduler()
{
end:
    do
    :: INTERRUPT(0)
    :: INTERRUPT(1)
    :: SWITCH(0, 1, 0)
    :: SWITCH(1, 0, 0)
    :: ENTER(0, 0, 1)
    :: ENTER(1, 0, 0)
#if defined(LARGE_MIGRATION)
    :: LEAVE(1, 1)
    :: ENTER(1, 1, 0)
#elif defined(LARGE_THIRD_USER)
    :: INTERRUPT(2)
    :: ENTER(2, 1, 0)
#endif
    od
}

#define INTERRUPT_ON_CPU(t)                                                                                            \
    if                                                                                                                 \
    :: on[t] == ipi_cpu -> interrupt(t)                                                                                \
    :: else                                                                                                            \
    fi

inline membarrier_rseq(ipi_cpu)
{
    d_step {
        drain(ipi_cpu);
        EACH_USER(INTERRUPT_ON_CPU)
    }
}

inline take_out(cpu)
{
    load(DRAINER, TOP(cpu), top);
    do
    :: top < EMPTY(cpu) ->
        load(DRAINER, SLOT(cpu, top), object);
        d_step { drain(DRAINER); give(central, object) }
        top++
    :: else -> break
    od;
    top = 0;
    store(DRAINER, TOP(cpu), EMPTY(cpu))
}

#define SWAP_POINTER(cpu) store(DRAINER, TABLE(cpu), MISS)
#define PUT_BACK(cpu) store(DRAINER, TABLE(cpu), cpu)

/* All slabs by one membarrier. */
proctype drainer()
{
    byte top, object;

    EACH_CPU(SWAP_POINTER);
#ifndef BUG_NO_MEMBARRIER
    d_step { drain(DRAINER) }
    EACH_CPU(membarrier_rseq);
#endif
#ifdef BUG_RESTORE_BEFORE_DRAIN
    EACH_CPU(PUT_BACK);
    EACH_CPU(take_out);
#else
    EACH_CPU(take_out);
    EACH_CPU(PUT_BACK);
#endif
    ended++
}

inline prepare(slab)
{
    mem[TOP(slab)] = EMPTY(slab);
    mem[SLOT(slab, 0)] = NEIGHBOUR;
    mem[SLOT(slab, 1)] = NEIGHBOUR
}

#define PREPARE_CPU(cpu) prepare(cpu); mem[TABLE(cpu)] = cpu

inline check_neighbours(slab)
{
    assert(mem[SLOT(slab, 0)] == NEIGHBOUR && mem[SLOT(slab, 1)] == NEIGHBOUR)
}

inline check_cpu(cpu)
{
    IS_DRAINED(cpu);
    check_neighbours(cpu);
    top = mem[TOP(cpu)];
    do
    :: top < EMPTY(cpu) ->
        object = mem[SLOT(cpu, top)];
        give(central, object);
        top++
    :: else -> break
    od
}

init {
    byte top, object;

    atomic {
        EACH_CPU(PREPARE_CPU);
        prepare(MISS);
        mem[TOP(0)] = 3;
        mem[SLOT(0, 3)] = 1;
        central = BIT(2) | BIT(3);
        held[1] = BIT(4);
        EACH_USER(run user);
        run drainer()
    }
    ended == USERS + 1 && IS_DRAINED(DRAINER);
    EACH_CPU(check_cpu);
    check_neighbours(MISS);
    assert(TAKEN == ALL_OBJECTS)
}
