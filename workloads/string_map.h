// The C++ part of bench_string_map: one thread's containers, what they may do, and what they counted.
#ifndef WORKLOADS_STRING_MAP_H
#define WORKLOADS_STRING_MAP_H

#include "rng.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct StringMapJob {
    uint64_t ops, keys;
    Rng rng;
    void (*on_live)(void *context, int64_t live_bytes); // after each op
    void *context;
    uint64_t allocated, freed, alloc_failed, checksum; // filled in
} StringMapJob;

// Works on containers of its own and destroys them. Returns NULL, or what was found wrong in them.
const char *string_map_run(StringMapJob *job);

#ifdef __cplusplus
}
#endif

#endif
