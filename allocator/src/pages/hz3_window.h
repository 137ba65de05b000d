// The addresses of the arena and of everything that describes it: one range, cut into parts. Each part takes memory
// piece by piece as it grows, and gives pieces back.
//
// Nothing is reserved. So what counts address space or committed memory (RLIMIT_AS, RLIMIT_DATA, strict overcommit),
// what fills it (mlockall) and what writes it out (gcore) meets no more than is in use. The range lies in the middle of
// the address space, at a place drawn by lot, where the kernel, which hands addresses out from the top, puts nothing by
// itself. A mapping that is there nevertheless is left alone.
//
// Where the middle cannot be had (39-bit addresses, some emulators) the range is one reservation without access.
//
// Between the parts lie gaps: an overflow that leaves the arena, or a mapping of the program, reaches no metadata.
#ifndef HZ3_WINDOW_H
#define HZ3_WINDOW_H

#include "base/hz3_os.h"

// Chooses the addresses, the n-th time others than before, or reserves them. False: they cannot be had. One caller at a
// time, for these four.
bool hz3_window_choose(size_t bytes, uint32_t nth_try);
bool hz3_window_reserve(size_t bytes);
void hz3_window_give_up(void); // nothing is mapped in it
// From now on hz3_os_map() takes its memory out of these addresses.
void hz3_window_keep_metadata_in(void *part, size_t bytes);

// The addresses of the next part, aligned to a segment. parts_bytes: what to choose for parts of these sizes.
void *hz3_window_part(size_t bytes);
size_t hz3_window_part_bytes(size_t bytes);

// Memory, or readable zeros that cost none, for addresses of a part that have neither.
Hz3OsPlace hz3_window_map(void *addr, size_t bytes, Hz3OsAccess access);
// Takes it away. False: the process has too many mappings to split one more.
bool hz3_window_unmap(void *addr, size_t bytes);

#endif
