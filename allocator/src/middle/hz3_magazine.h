// Magazines: arrays of pointers to free objects. The depots of the middle layer are chains of them (hz3_depot.h). Each
// shard has a pool of magazines. A pool is made of blocks of 256 KiB, which it maps when it needs them. It unmaps a
// block of which nothing is in use, and purges free pages of the others.
#ifndef HZ3_MAGAZINE_H
#define HZ3_MAGAZINE_H

#include "base/hz3_types.h"

#define HZ3_MAGAZINE_OBJECTS 125u

typedef struct Hz3Magazine {
    struct Hz3Magazine *below; // in a depot: the next older one
    struct Hz3Magazine *above; // in a depot: the next newer one
    uint32_t count;
    void *object[HZ3_MAGAZINE_OBJECTS]; // oldest first
} Hz3Magazine;

#define HZ3_MAGAZINE_BYTES ((size_t)1024)
#define HZ3_MAGAZINE_BLOCK_BYTES ((size_t)256 << 10)
_Static_assert(sizeof(Hz3Magazine) == HZ3_MAGAZINE_BYTES, "four magazines fill a page");

void hz3_magazine_init(void);
// What frees bring from now on goes into the runs, once all magazines are full: at the process's end, which makes no
// system call.
void hz3_magazine_open_no_more(void);

// An empty magazine, from this shard's pool. NULL: the kernel has no memory, or all magazines together would take more
// than their share of the heap (hz3_magazine.c). The caller holds no lock.
Hz3Magazine *hz3_magazine_get(uint32_t shard);

// Gives back a list that is linked by `below`, NULL included; their counts are 0. The caller holds no lock.
void hz3_magazine_put(Hz3Magazine *list);

// Gives free magazines back to the kernel: all of them, or as many as no shard needed since the last trim. The caller
// holds no lock.
void hz3_magazine_trim(bool all);

// Address space of all blocks. A snapshot.
size_t hz3_magazine_block_bytes(void);

bool hz3_magazine_fork_prepare(void);
void hz3_magazine_fork_parent(void);
void hz3_magazine_fork_child(void);

#endif
