// Two pages of memory shared with the measured process: its live bytes, and the allocator's own counters.
#ifndef HZB_LIVEPAGE_H
#define HZB_LIVEPAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process/latencies.h"

// What $HZB_LIVE_FD leads to: a 64-byte header, then one 64-byte slot a thread that starts with its live bytes,
// then the latencies.
typedef struct LivePage {
    int fd; // memfd, close-on-exec
    void *map;
} LivePage;

bool live_page_open(LivePage *page);
void live_page_close(LivePage *page);
// What a workload of the latency lane has left; zero as long as it has not.
const LatencyPage *live_page_latencies(const LivePage *page);
// Sum over all threads; can be off for a moment while an object is on its way between two of them.
int64_t live_page_bytes(const LivePage *page);

// What $HZ3_STATS_FILE leads to, once the allocator has made it.
typedef struct CounterFile {
    const unsigned char *map; // NULL until it is there and complete
    size_t size_bytes;
    unsigned counter_count;
    unsigned stripe_count;
    unsigned stripe_bytes;
    unsigned data_offset;
    char **names;
} CounterFile;

// Tries to open the file; harmless as long as it is missing or being filled. True once it is open.
bool counter_file_open(CounterFile *file, const char *path);
void counter_file_close(CounterFile *file);
// Sum over the stripes, modulo 2^64.
uint64_t counter_file_value(const CounterFile *file, unsigned counter);

#endif
