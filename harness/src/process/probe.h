// What the machine is like right now: how far apart its CPUs are, how fast they compute, how fast memory answers.
//
// A hypervisor moves virtual CPUs between hyperthreads of one core, cores of one socket and sockets. A line of memory
// that two CPUs write in turn then costs 55 ns, 150 ns or 500 ns a round trip, and whatever crosses threads in an
// allocator costs accordingly. One binary seems to have two speeds; it is the machine that has two modes.
#ifndef HZB_PROBE_H
#define HZB_PROBE_H

#include <stdbool.h>
#include <stdint.h>

// NAN = unknown.
typedef struct {
    double pp_ns;  // a round trip of one cache line between two CPUs; the geometric mean over the pairs probed
    double cpu_ns; // a step of a fixed chain of integer operations
    double mem_ns; // a step of a fixed random walk through PROBE_WALK_BYTES
} Probe;

enum { PROBE_WALK_BYTES = 16 << 20, PROBE_BUDGET_MS = 20, PROBE_SHARE_PCT = 3, PROBE_CREDIT_MS = 200 };

// Takes 2 to 6 ms on two CPUs, on any number at most PROBE_BUDGET_MS unless it has to wait for a CPU. The CPUs are
// those the calling thread may use: every pair of up to four, of more a fixed sample of pairs. With one CPU pp_ns is
// unknown. One thread at a time.
Probe probe_machine(void);

// The last probe if it ended at most `max_age_ms` ago: what was seen after one process is what there was before the
// next. Else a new one, or nothing known if that would take more than its share of the time (probe_is_affordable).
Probe probe_recent(unsigned max_age_ms);

// What probing has cost this process so far.
typedef struct {
    unsigned made, left_out; // left out: for want of time
    uint64_t spent_ns;
    uint64_t since_ns; // when the first one began; 0 = none did
} ProbeCost;

ProbeCost probe_cost(void);
// At most PROBE_SHARE_PCT of the time since the first probe, and PROBE_CREDIT_MS to begin with, go into probing.
bool probe_is_affordable(const ProbeCost *cost, uint64_t now_ns);

// All unknown.
Probe probe_none(void);

// Says which CPUs the pairs of probe_machine() are, for people: "0-1". The caller frees it.
char *probe_pairs_text(void);

#endif
