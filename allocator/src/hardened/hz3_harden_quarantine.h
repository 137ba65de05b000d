// Hardened lane, word `quarantine`: freed blocks up to 32 KiB that wait, so that a double free or a write after free
// meets nobody's block. Bounded by HZ3_HARDEN_QUARANTINE bytes, an equal part for each shard. Who leaves is drawn by
// lot: when a block comes back cannot be foretold.
#ifndef HZ3_HARDEN_QUARANTINE_H
#define HZ3_HARDEN_QUARANTINE_H

#include "base/hz3_types.h"

#define HZ3_QUARANTINE_LEAVE_MAX 32u

// Keeps `object` of `class`. Returns how many left for it, in `left`; the object itself is among them when the bound
// leaves no room. The caller owns what left.
uint32_t hz3_quarantine_put(void *object, uint32_t cls, void *left[HZ3_QUARANTINE_LEAVE_MAX]);

// Takes up to HZ3_QUARANTINE_LEAVE_MAX objects out, of any shard; 0: it is empty.
uint32_t hz3_quarantine_take(void *left[HZ3_QUARANTINE_LEAVE_MAX]);

// Bytes that wait. A snapshot.
size_t hz3_quarantine_bytes(void);

bool hz3_quarantine_fork_prepare(void);
void hz3_quarantine_fork_parent(void);
void hz3_quarantine_fork_child(void);

#endif
