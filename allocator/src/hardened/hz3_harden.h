// The hardened lane: what malloc, free and realloc are there. They stand between the entry points and the front, and
// every fault that the state of a block tells of ends the program at the call, with a message that names the pointer.
//
// Always: every 16 bytes of the arena have a state (hz3_arena.block_state), outside of the user's memory as all
// metadata. Invariants:
//   H1  a state is LIVE exactly where a block begins that the program has, from the store that ends malloc to the
//       compare-and-swap that begins free; so of two frees of a block one is told, whatever threads they come from;
//   H2  LIVE carries the bytes that lie behind those that were asked for; mappings and spans have that in their own
//       tables;
//   H3  HELD blocks are the quarantine's, FREE ones the front's or nobody's any more. A FREE or NONE state may be stale
//       (the pages became something else since): it never says more than "no live block begins here".
// By the words of HZ3_HARDEN:
//   canary      at least one byte behind every block, and up to 64 of them, hold a byte that free and realloc ask for;
//               malloc_usable_size is what was asked for
//   zero        H4: every byte of the arena that belongs to no live block reads as zero. free clears, malloc asks: a
//               write after free is seen when the block is handed out again or leaves the quarantine
//   random      blocks of a run are handed out in random order; the quarantine is left by lot
//   guard       every block above 32 KiB is a mapping between two pages without access (hz3_harden_guard.h)
//   quarantine  blocks up to 32 KiB wait before they are used again (hz3_harden_quarantine.h)
#ifndef HZ3_HARDEN_H
#define HZ3_HARDEN_H

#include "base/hz3_types.h"

// Any size; align: a power of two. NULL and ENOMEM: there is no memory. is_zero: it reads as zero, as calloc wants it.
void *hz3_harden_alloc(size_t size, size_t align, bool is_zero);
void hz3_harden_free(void *p);
// The same for a caller that says how many bytes it asked for: another number is a fault.
void hz3_harden_free_sized(void *p, size_t size);
// p is not NULL, size may be 0.
void *hz3_harden_realloc(void *p, size_t size);
// p is not NULL. Aborts in malloc_usable_size's name.
size_t hz3_harden_usable_size(const void *p);

// Checks what waits in the quarantine and gives it back; false: nothing waited.
bool hz3_harden_drain(void);

#endif
