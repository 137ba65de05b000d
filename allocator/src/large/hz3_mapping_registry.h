// The inside of hz3_mapping.c: a table of the live mappings, and a cache of freed ones. Everything here happens under
// the registry's lock, which the caller holds.
#ifndef HZ3_MAPPING_REGISTRY_H
#define HZ3_MAPPING_REGISTRY_H

#include "base/hz3_lock.h"
#include "base/hz3_types.h"

#define HZ3_MAPPING_CACHE_MAX 64u

typedef struct Hz3Mapping {
    uintptr_t addr; // 0: empty entry of the table
    size_t bytes;
    size_t asked;    // hardened lane: the bytes that the program asked for
    bool is_guarded; // hardened lane: between pages without access, and so never in the cache
} Hz3Mapping;

// Live mappings: open addressing, linear probing, never more than half full. Freed ones: oldest first.
typedef struct Hz3MappingRegistry {
    Hz3Lock lock;
    Hz3Mapping *table;
    uint32_t table_cap; // 0, or a power of two
    uint32_t live;      // entries in the table
    uint32_t promised;  // entries that a thread will insert without being able to fail
    size_t live_bytes;
    uint32_t cached;
    uint32_t unused_since_trim; // the first n of the cache were there at the last trim
    size_t cached_bytes;
    Hz3Mapping cache[HZ3_MAPPING_CACHE_MAX + 1]; // one too many between a put and the eviction after it
} Hz3MappingRegistry;

extern Hz3MappingRegistry hz3_mappings;

// Room for one more entry beside those that are promised.
bool hz3_registry_has_room(void);
// Moves the entries into a larger, empty table; returns the old one, which may be NULL.
Hz3Mapping *hz3_registry_move_to(Hz3Mapping *table, uint32_t cap);
void hz3_registry_insert(Hz3Mapping mapping);
// NULL: no live mapping begins there.
Hz3Mapping *hz3_registry_find(uintptr_t addr);
// Takes an entry out of the table.
Hz3Mapping hz3_registry_remove(Hz3Mapping *entry);

// The smallest that is enough, or bytes = 0. Of one that is too large by more than an eighth the rest stays, as old as
// it is: pages that are there already cost less than new ones (1.5 us each), and what is not used again ages.
Hz3Mapping hz3_registry_take_best(size_t bytes, size_t align);
// The oldest that was there at the last trim, or the oldest of all; else bytes = 0.
Hz3Mapping hz3_registry_take_aged(bool all);
// Merges with its neighbours. Whoever puts one evicts one before the lock is given back.
void hz3_registry_put(Hz3Mapping freed);
// The oldest, if there are too many or too large ones; else bytes = 0.
Hz3Mapping hz3_registry_evict(void);

// For asserts. What holds whenever nobody holds the lock:
//   M1  the table is at most half full, promises included, and its entries are as many bytes as live_bytes says;
//   M2  from the home of an entry to its place there is no gap, so a search for it ends at it;
//   M3  mappings are whole pages, and no address is in the table twice, or in the table and in the cache;
//   M4  the cache holds at most HZ3_MAPPING_CACHE_MAX mappings, of cached_bytes bytes, and no two of them touch.
bool hz3_registry_is_valid(void);

#endif
