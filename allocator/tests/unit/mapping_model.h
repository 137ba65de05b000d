// The kernel below the mappings and a model of them, for mapping_test and mapping_cache_test. The kernel's addresses
// are ones that nobody ever touches, so that thousands of mappings cost nothing, and it refuses what a test tells it
// to.
//
// A program that links this replaces the calls of UNIT_WRAP_MAPPINGS (unit.mk).
#ifndef UNIT_MAPPING_MODEL_H
#define UNIT_MAPPING_MODEL_H

#include "support.h"

#include "large/hz3_mapping.h"

#define MIB ((size_t)1 << 20)
#define KEEPS_ADDRESSES_FROM 1024u // mappings; fewer are unmapped when they are trimmed

typedef struct MappingKernel {
    size_t next;  // page that the next mapping begins at; one more leaves a hole behind the last mapping
    size_t pages; // mapped
    uint32_t maps, unmaps, tables_mapped;
    uint32_t refuse_maps; // the next so many fail
    bool refuse_tables, refuse_remaps, refuse_purges;
    size_t memory_limit;
} MappingKernel;

extern MappingKernel mapping_kernel;

typedef struct Block {
    void *p;
    size_t bytes;
} Block;

#define LIVE_MAX 8192u

extern Block live[LIVE_MAX];
extern uint32_t n_live;

size_t cached_bytes(void);
// Live, cached and kept mappings: are there as many as the model and the kernel have?
void check_figures(void);

// A block that the program got and writes to.
void enter(void *p);
// They fail the test when mappings overlap, are no longer there, or were handed out as zero and are not. Of live[i]:
// the last block takes its place.
void *checked_alloc(size_t bytes, size_t align);
void checked_free(uint32_t i);
void *checked_resize(uint32_t i, size_t bytes);
void checked_trim(bool all);

// Every other of so many is freed, and all that is cached goes. Returns the addresses unmapped.
uint32_t holes_after_a_trim(uint32_t n);

// Before each test: nothing is alive, nothing cached, and up to 64 MiB may be.
int mapping_set_up(void **state);

#endif
