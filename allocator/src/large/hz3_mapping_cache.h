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

// Why memory is to be given back. Of dirty mappings the oldest goes first.
typedef enum Hz3MappingReason {
    // Live and dirty ones together are more than one and a half times what lived lately, or dirty ones more than
    // HZ3_MAPPED_CACHE_BYTES or a quarter of what the process may have. Unless one of these two is less, 32 MiB stay.
    HZ3_MAPPING_OVER_LIMIT,
    HZ3_MAPPING_GROWING,     // the same with `growth` more bytes alive; 8 MiB stay
    HZ3_MAPPING_OTHERS_GROW, // dirty ones are more than half of the live ones while the arena grows; 8 MiB stay
    HZ3_MAPPING_AGED,        // it was there at the last trim
    HZ3_MAPPING_ANY,
    HZ3_MAPPING_ANY_CLEAN, // not a dirty one, but a clean one for its addresses: any, as a whole
} Hz3MappingReason;

// Takes out a mapping, or its beginning: not more than is to go, and not more than bytes_max. (A whole one all the same
// if there is no record for the rest.) Its record becomes a promise. bytes = 0: there is none.
Hz3Mapping hz3_mapping_cache_take_out(Hz3MappingReason reason, size_t bytes_max, size_t growth);

// Also true when the limit depends on memory_limit, and that is not known yet.
bool hz3_mapping_cache_is_over_limit(void);

bool hz3_mapping_cache_is_valid(void); // M4 to M6

#endif
