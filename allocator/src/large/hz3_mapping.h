// Objects with an mmap of their own: above 1 MiB, alignments above 1 MiB, and everything when the arena is full. A
// registry outside of user memory knows each of them, so that a foreign pointer is recognised. Freed mappings wait in a
// bounded best-fit cache that splits and merges them, like the page heap of tcmalloc. All functions are thread-safe,
// and none makes a system call under the lock.
#ifndef HZ3_MAPPING_H
#define HZ3_MAPPING_H

#include "base/hz3_types.h"

// bytes: a multiple of the page size. *is_zero: fresh from the kernel. NULL: the kernel refused.
void *hz3_mapping_alloc(size_t bytes, size_t align, bool *is_zero);

// Hardened lane: the same, between pages without access; it reads as zero.
void *hz3_mapping_alloc_guarded(size_t bytes, size_t align);

// False: no mapping of ours begins at p.
bool hz3_mapping_free(void *p);

// 0: no mapping of ours begins at p.
size_t hz3_mapping_size(const void *p);

// Hardened lane: a live mapping's size, and what hz3_mapping_set_asked told of it. False: none begins at p.
bool hz3_mapping_find(const void *p, size_t *bytes, size_t *asked);
void hz3_mapping_set_asked(const void *p, size_t asked);

// True when p lies in a mapping that waits in the cache, or whose addresses are kept: somebody freed it before.
bool hz3_mapping_is_freed(const void *p);

// Resizes a live mapping, moving it if it must. NULL: the kernel refused and the old mapping is as it was. It may
// refuse to move what was merged of several mappings.
void *hz3_mapping_resize(void *p, size_t new_bytes);

// Returns cached mappings to the kernel: those unused since the previous trim, or all. Returns the pages given back.
size_t hz3_mapping_trim(bool all);

typedef struct Hz3MappingFigures {
    size_t live_count;
    size_t live_bytes;
    size_t cached_bytes;
} Hz3MappingFigures;

Hz3MappingFigures hz3_mapping_figures(void);

bool hz3_mapping_fork_prepare(void);
void hz3_mapping_fork_parent(void);
void hz3_mapping_fork_child(void);

#endif
