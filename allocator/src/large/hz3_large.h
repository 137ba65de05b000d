// Objects above 32 KiB: page spans of a segment up to 1 MiB, mappings of their own above. Thread-safe.
#ifndef HZ3_LARGE_H
#define HZ3_LARGE_H

#include "base/hz3_types.h"

// size > 0, align a power of two. *is_zero: the memory reads as zero. NULL: the kernel refused.
void *hz3_large_alloc(size_t size, size_t align, bool *is_zero);

// An object of any size when the arena is full: a mapping, unless HZ3_ARENA_FALLBACK_MMAP=0.
void *hz3_large_fallback(size_t size, size_t align, bool *is_zero);

// A span, by the tag of its first page. Aborts with a message when p is not its start.
void hz3_span_free(void *p);
size_t hz3_span_usable_size(const void *p);
// Makes a live span as long as a request of `size` (32 KiB < size ≤ 1 MiB) needs, where it is. False: the pages behind
// it are not free.
bool hz3_span_resize(void *p, size_t size);

#endif
