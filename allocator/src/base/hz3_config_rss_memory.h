// Build flags of the release layer under the names of the S65 notes. What they switch are knobs here (hz3_knobs.def),
// so that one library runs every variant; a flag sets its knob's default. The boundary is no variant: it is the one way
// back, and a build that asks for another is refused.
#ifndef HZ3_CONFIG_RSS_MEMORY_H
#define HZ3_CONFIG_RSS_MEMORY_H

#ifndef HZ3_S65_RELEASE_BOUNDARY
#define HZ3_S65_RELEASE_BOUNDARY 1
#endif
#if HZ3_S65_RELEASE_BOUNDARY != 1
#error "HZ3_S65_RELEASE_BOUNDARY: pages are freed through the boundary and by nothing else"
#endif

// "Print the counters at exit": the notes' name for HZ3_STATS=1.
#ifdef HZ3_S65_STATS
#define HZ3_S65_STATS_DEFAULT HZ3_S65_STATS
#else
#define HZ3_S65_STATS_DEFAULT 0
#endif

// Ranges that one call may give back: 2 KiB on the stack of whoever ticks, who may be a thread with a stack of 16 KiB.
#define HZ3_PURGE_BATCH 128u

#endif
