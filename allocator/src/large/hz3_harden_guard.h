// Hardened lane, word `guard`: a mapping between two pages without access. What is freed keeps its addresses, without
// memory and without access, until so many others were freed that the oldest goes: an access in the meantime is a
// SIGSEGV, and another block does not come to lie there. Thread-safe; no syscall under the lock.
#ifndef HZ3_HARDEN_GUARD_H
#define HZ3_HARDEN_GUARD_H

#include "base/hz3_types.h"

// Zeroed memory; bytes: a multiple of the page size, align: a power of two. NULL: the kernel refused, or
// there are too many. The rest of what is reserved has no access either, until whoever has it commits more.
void *hz3_guard_map(size_t bytes, size_t align, size_t reserved);
// Of a mapping that hz3_guard_map returned.
void hz3_guard_unmap(void *addr, size_t reserved);

// True when p lies in a freed mapping whose addresses are kept.
bool hz3_guard_is_sealed(const void *p);

// Gives all kept addresses back to the kernel; false: there were none.
bool hz3_guard_release(void);

bool hz3_guard_fork_prepare(void);
void hz3_guard_fork_parent(void);
void hz3_guard_fork_child(void);

#endif
