// Fixed geometry, and the build flags that change the hot path or the checks. Everything that only events read is a
// run-time knob: see hz3_knobs.def.
#ifndef HZ3_CONFIG_H
#define HZ3_CONFIG_H

#include <stddef.h>

#define HZ3_PAGE_SHIFT 12
#define HZ3_PAGE_SIZE ((size_t)1 << HZ3_PAGE_SHIFT)
#define HZ3_SEG_SHIFT 21
#define HZ3_SEG_SIZE ((size_t)1 << HZ3_SEG_SHIFT)
#define HZ3_PAGES_PER_SEG 512u
#define HZ3_WORDS_PER_SEG 8u

#define HZ3_SHARDS_MAX 64u
#define HZ3_NODES_MAX 16u // memory nodes (NUMA); those of a machine that has more share numbers
#define HZ3_MIN_ALIGN 16u

// The largest size of page spans of one segment.
#define HZ3_SPAN_MAX ((size_t)1 << 20)
// Of what is asked for, bytes or alignment. x86-64 gives a process no address beyond it unless it insists; aarch64 has
// as much again, which one block need not have.
#define HZ3_REQUEST_MAX ((size_t)1 << 47)

// Asserts, lock ranks and structure validators. A plain constant: every variant always compiles.
#ifndef HZ3_DEBUG
#define HZ3_DEBUG 0
#endif

// The first try of malloc and free: 1 = the slab of the CPU (restartable sequences), 0 = the slab of the thread.
// ThreadSanitizer cannot see what restartable sequences do.
#ifndef HZ3_FRONT_CPU
#if (defined(__x86_64__) || defined(__AARCH64EL__)) && !defined(__SANITIZE_THREAD__)
#define HZ3_FRONT_CPU 1
#else
#define HZ3_FRONT_CPU 0
#endif
#endif

// 0 leaves the depots' low-water marks out, to measure what they cost: then a drain of the surplus finds none.
#ifndef HZ3_DEPOT_MARK
#define HZ3_DEPOT_MARK 1
#endif

// The lane that looks for the program's faults at the call (hz3_harden.h). A plain constant, as above.
#ifndef HZ3_HARDENED
#define HZ3_HARDENED 0
#endif

// The chain of an arena that runs dry (hz3_mem_budget.h). 0: the first request that finds no pages fails, or falls back
// to mmap. Only there to show what the chain costs while it has nothing to do: nothing (build_defs.t).
#ifndef HZ3_S45
#define HZ3_S45 1
#endif

// The lane's name and flags, recorded in the library (`strings lib.so | grep 'hz3 build:'`) and in the stats lines.
#ifndef HZ3_LANE
#define HZ3_LANE "custom"
#endif
#ifndef HZ3_BUILD_DEFS
#define HZ3_BUILD_DEFS ""
#endif

_Static_assert(HZ3_SEG_SIZE == HZ3_PAGES_PER_SEG * HZ3_PAGE_SIZE, "a segment is 512 pages");
_Static_assert(HZ3_WORDS_PER_SEG * 64 == HZ3_PAGES_PER_SEG, "one bit a page");
_Static_assert((HZ3_SHARDS_MAX & (HZ3_SHARDS_MAX - 1)) == 0, "shards are masked");

#endif
