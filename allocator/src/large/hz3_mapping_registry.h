// The inside of hz3_mapping.c: what is known of each mapping, live or freed, and how it is found. Everything here
// happens under the registry's lock, which the caller holds. What freed mappings are kept for is in
// hz3_mapping_cache.h.
#ifndef HZ3_MAPPING_REGISTRY_H
#define HZ3_MAPPING_REGISTRY_H

#include "base/hz3_lock.h"
#include "base/hz3_types.h"

typedef enum Hz3MappingState {
    HZ3_MAPPING_UNUSED, // a record that describes nothing
    HZ3_MAPPING_LIVE,
    HZ3_MAPPING_DIRTY, // freed; its pages may be resident
    HZ3_MAPPING_CLEAN, // freed; it reads as zero and holds no memory
} Hz3MappingState;

// A record. Records are numbered from 1 on, and 0 is none.
typedef struct Hz3Mapping {
    uintptr_t addr;
    size_t bytes;
    size_t asked;    // hardened lane: the bytes that the program asked for
    size_t reserved; // hardened lane: addresses from `addr` on that are the mapping's; 0: without guard pages
    uint32_t next;   // neighbours in the bin of a freed one; next of an unused one: the next unused
    uint32_t prev;   // same
    uint32_t newer;  // neighbours of a dirty one in the order in which they were freed
    uint32_t older;  // same
    uint32_t trims;  // of a dirty one: trims that there had been when it was freed
    uint8_t state;
} Hz3Mapping;

// A mapping is found by the address at which it begins, and a freed one also by the address at which it ends.
typedef struct Hz3MappingKey {
    uintptr_t key; // 0: empty entry of the table
    uint32_t mapping;
} Hz3MappingKey;

// Eight for each doubling, as sizes of mappings are spaced (hz3_large_pages).
#define HZ3_MAPPING_BINS 288u

// Freed mappings of one state by their size.
typedef struct Hz3MappingBins {
    uint64_t filled[(HZ3_MAPPING_BINS + 63) / 64]; // a bit for each bin that is not empty
    uint32_t first[HZ3_MAPPING_BINS];
} Hz3MappingBins;

typedef struct Hz3MappingRegistry {
    Hz3Lock lock;
    // Open addressing, linear probing, never more than half full: there is a record for every four entries, and a
    // record has two keys at most. Both lie in one piece of memory.
    Hz3MappingKey *table;
    Hz3Mapping *mapping;
    uint32_t table_cap; // 0, or a power of two
    uint32_t unused;    // the first unused record of those below `touched`
    uint32_t touched;   // records that were ever used, and 0
    uint32_t used;      // records that describe a mapping
    uint32_t promised;  // records that a thread will take without being able to fail
    uint32_t live;
    size_t live_bytes;
    size_t dirty_bytes;
    size_t clean_bytes;
    size_t peak_bytes;   // the most that was alive, forgotten by an eighth at each trim
    size_t memory_limit; // of the process; 0: not asked yet
    uint32_t oldest;     // dirty ones in the order in which they were freed
    uint32_t newest;     // same
    uint32_t trims;
    Hz3MappingBins dirty;
    Hz3MappingBins clean;
} Hz3MappingRegistry;

extern Hz3MappingRegistry hz3_mappings;

#define HZ3_MAPPING_TABLE_MIN 1024u
// Of a table with so many entries, and of its records.
size_t hz3_registry_bytes(uint32_t table_cap);

// Room for one more record beside those that are promised.
bool hz3_registry_has_room(void);
// Moves everything into zeroed memory for a larger table; returns the old memory, which may be NULL.
void *hz3_registry_move_to(void *memory, uint32_t table_cap);

// A new live mapping.
uint32_t hz3_registry_insert(uintptr_t addr, size_t bytes, size_t reserved);
// 0: no live mapping begins there.
uint32_t hz3_registry_find(uintptr_t addr);
// 0: no freed mapping begins, or ends, there.
uint32_t hz3_registry_find_freed(uintptr_t addr);
uint32_t hz3_registry_find_freed_end(uintptr_t end);
// Forgets a live mapping.
Hz3Mapping hz3_registry_remove(uint32_t at);

// For hz3_mapping_cache.c: records and keys.
uint32_t hz3_registry_take_record(void);
void hz3_registry_drop_record(uint32_t at);
void hz3_registry_add_start(uint32_t at);
void hz3_registry_drop_start(uint32_t at);
void hz3_registry_add_end(uint32_t at);
void hz3_registry_drop_end(uint32_t at);
void hz3_registry_count_live(size_t bytes_before, size_t bytes_now);

// For asserts. What holds whenever nobody holds the lock:
//   M1  records in use and promised fit; the live ones are as many, and of as many bytes, as is said;
//   M2  from the home of a key to its place there is no gap, so a search for it ends at it;
//   M3  mappings are whole pages; each is found by its start, and a freed one by its end, and nothing else is;
//   M4  a freed mapping is in the bin of its size and state; dirty ones are in the order of their age; none has guard
//   pages; M5  no two freed mappings of one state touch; M6  dirty_bytes and clean_bytes are the sums over the freed
//   mappings.
bool hz3_registry_is_valid(void);

#endif
