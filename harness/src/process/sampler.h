// The curve of one process: RSS, live bytes and the allocator's counters over time, kept in memory until it ends.
#ifndef HZB_SAMPLER_H
#define HZB_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "process/livepage.h"
#include "process/tree.h"

typedef struct Sample {
    uint64_t t_ns; // since the start of the process
    unsigned phase;
    int64_t rss_kib;
    int64_t live_bytes;
} Sample;

typedef struct Sampler {
    const LivePage *live;
    CounterFile *counters;
    int statm_fd;
    Tree *tree; // NULL: one process alone, that of statm_fd
    uint64_t start_ns;
    StrList phases; // by order of appearance; Sample.phase is an index
    unsigned phase; // the current one
    Sample *samples;
    uint64_t *values; // of the counters, counter_count a sample, from first_counted on
    unsigned count, room;
    unsigned first_counted; // samples before it were taken before the counter file was there
} Sampler;

void sampler_start(Sampler *sampler, int statm_fd, const LivePage *live, CounterFile *counters, uint64_t start_ns);
void sampler_phase(Sampler *sampler, const char *name);
// Takes one sample and returns its RSS, 0 if the process is gone.
int64_t sampler_take(Sampler *sampler);
// Median RSS over the second half of the last phase of that name, -1 if there is none. The very end of a phase is
// not used alone: there the program has woken up and already works towards its next mark.
int64_t sampler_settled_rss_kib(const Sampler *sampler, const char *phase);
// How long the last phase of that name took to give back nine tenths of what it gave back at all. -1 if it gave back
// less than a tenth of what it began with.
double sampler_return_ms(const Sampler *sampler, const char *phase);
// RSS times the time for which it was there, in MiB s; -1 with fewer than two samples.
double sampler_rss_mib_s(const Sampler *sampler);
bool sampler_write(const Sampler *sampler, const char *path);
void sampler_free(Sampler *sampler);

#endif
