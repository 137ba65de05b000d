// Freed mappings, which keep their addresses: given back, each of them would leave a hole, and Linux allows a process
// 65,530 mappings. Neighbours of one state are one. Everything happens under the registry's lock.
//
// A dirty mapping serves before a clean one, and that before a new one. Of one that is too large by more than an eighth
// the rest stays, as old as it is.
#ifndef HZ3_MAPPING_CACHE_H
#define HZ3_MAPPING_CACHE_H

#include "large/hz3_mapping_registry.h"

// Makes a freed mapping of at least so many bytes, or its beginning, a live one. There must be room for a record.
// 0: there is none that fits. *is_zero: it reads as zero.
uint32_t hz3_mapping_cache_take(size_t bytes, size_t align, bool *is_zero);

// A live mapping becomes a freed one.
void hz3_mapping_cache_put(uint32_t at);
// The same for addresses without a record, of which one is free.
void hz3_mapping_cache_put_range(uintptr_t addr, size_t bytes, Hz3MappingState state);

// A live mapping ends earlier, and what is behind is freed; there must be room for a record.
void hz3_mapping_cache_shrink(uint32_t at, size_t bytes);
// A live mapping takes the beginning of the freed one behind it. False: there is none, or it is too short.
bool hz3_mapping_cache_grow(uint32_t at, size_t bytes);

// Which dirty mapping is to be given back next.
typedef enum Hz3MappingReason {
    HZ3_MAPPING_OVER_LIMIT, // the oldest while there is more than HZ3_MAPPED_CACHE_BYTES, than was alive lately, or
                            // than a quarter of what the process may have; 32 MiB stay whatever was alive
    HZ3_MAPPING_OVER_SLACK, // the oldest while there is more than a program that grows may keep
    HZ3_MAPPING_AGED,       // the oldest that was there at the last trim
    HZ3_MAPPING_ANY,        // the oldest
    HZ3_MAPPING_ANY_CLEAN,  // one that holds no memory
} Hz3MappingReason;

// Takes it out; its record becomes a promise. bytes = 0: there is none.
Hz3Mapping hz3_mapping_cache_take_out(Hz3MappingReason reason);

// Also true when the limit depends on memory_limit, and that is not known yet.
bool hz3_mapping_cache_is_over_limit(void);

bool hz3_mapping_cache_is_valid(void); // M4 to M6

#endif
