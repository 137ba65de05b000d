// What the process itself sees of its memory, read from /proc/self without malloc.
#ifndef WORKLOADS_SELF_MEMORY_H
#define WORKLOADS_SELF_MEMORY_H

#include <stdint.h>

// Dump mode 1: smaps_rollup, 2: smaps, each appended to $S59_2_DUMP_PATH (or stderr); 0: none.
void self_memory_open(unsigned dump_mode);

uint64_t self_rss_bytes(void);

void self_memory_dump(const char *phase, unsigned cycle);

#endif
