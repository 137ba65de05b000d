// Objects with an mmap of their own: above 1 MiB, alignments above 1 MiB, and everything when the arena is full. A
// registry outside of user memory knows each of them, so that a foreign pointer is recognised. Freed mappings are kept,
// split and merged, like the page heap of tcmalloc (hz3_mapping_cache.h). All functions are thread-safe, and none makes
// a system call under the lock.
#ifndef HZ3_MAPPING_H
#define HZ3_MAPPING_H

#include "base/hz3_types.h"

// bytes: a multiple of the page size. *is_zero: it reads as zero. NULL: the kernel refused.
void *hz3_mapping_alloc(size_t bytes, size_t align, bool *is_zero);

// Of a live mapping that may have content: from so many bytes on the kernel is asked for fresh pages, as most of a
// large table may never be touched. False: the caller clears it.
#define HZ3_ZEROED_BY_KERNEL ((size_t)4 << 20)
bool hz3_mapping_zero(void *p, size_t bytes);

// Hardened lane: the same, between pages without access; it reads as zero. reserved: bytes that it may grow to.
void *hz3_mapping_alloc_guarded(size_t bytes, size_t align, size_t reserved);
// Where it is. False: it has no guard pages, nothing reserved, or the kernel refused.
bool hz3_mapping_grow_guarded(void *p, size_t bytes);

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

// Gives freed mappings back to the kernel: those that nobody took since the previous trim, or all. Returns the pages.
size_t hz3_mapping_trim(bool all);
// The same for the oldest, before so many bytes elsewhere become resident. Some stay. Returns the bytes.
size_t hz3_mapping_make_room(size_t bytes);

typedef struct Hz3MappingFigures {
    size_t live_count;
    size_t live_bytes;
    size_t cached_bytes; // freed, and maybe resident
    size_t kept_bytes;   // freed, without memory
} Hz3MappingFigures;

Hz3MappingFigures hz3_mapping_figures(void);

bool hz3_mapping_fork_prepare(void);
void hz3_mapping_fork_parent(void);
void hz3_mapping_fork_child(void);

#endif
