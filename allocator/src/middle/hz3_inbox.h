// Objects of small runs that another shard's flush returned, waiting for their owner's next refill. One bounded array
// per shard and class with a lock of its own, so that a flush waits for the owner's central lock only
// when the array is full.
#ifndef HZ3_INBOX_H
#define HZ3_INBOX_H

#include "base/hz3_lock.h"
#include "base/hz3_types.h"

#define HZ3_INBOX_CAP 128u // 1 KiB of pointers

typedef struct Hz3Inbox {
    Hz3Lock lock;
    _Atomic uint32_t count; // written under the lock; read without it as a hint
    void **object;
} Hz3Inbox;

// Puts up to n objects in; returns how many found room.
uint32_t hz3_inbox_give(Hz3Inbox *inbox, void *const *objects, uint32_t n);

// Takes all there are, at most HZ3_INBOX_CAP.
uint32_t hz3_inbox_take_all(Hz3Inbox *inbox, void **out);

// For asserts, under the lock: it holds no more than it has room for, and all of it are addresses of the arena.
bool hz3_inbox_is_valid(const Hz3Inbox *inbox);

#endif
