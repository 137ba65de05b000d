// Ring: bounded queue of blocks on their way to the thread that will free them; many producers, one consumer.
//
// There is one ring for each consumer, not for each pair of threads. For 64 threads with 65536 slots each that is
// 64 MiB, while pairs would take 4 GiB. All of it would be touched, as a ring walks over its whole buffer. The price is
// one compare-and-swap for each push. It waits for every store before it, so blocks are pushed in batches. A fetch_add
// could not be taken back when the ring is full. The consumer never writes to a slot. A bit that flips with each lap
// tells whether the slot holds a new entry. So its cache line crosses between cores once in each direction.
//
// Invariants:
//   - head <= tail <= head + capacity.
//   - A slot whose lap bit matches the lap of its position is published.
//   - head_seen never runs ahead of head, so a producer that trusts it errs towards "full" only.
#ifndef WORKLOADS_RING_H
#define WORKLOADS_RING_H

#include "util.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// A block with what is needed to check it: its size and the tag it was stamped with.
typedef struct Block {
    void *ptr;
    uint32_t size; // below 2^31
    uint32_t tag;
} Block;

typedef struct RingSlot {
    void *ptr;
    _Atomic uint64_t word; // tag << 32 | size << 1 | lap bit
} RingSlot;

typedef struct Ring {
    _Alignas(CACHE_LINE) _Atomic uint64_t tail; // next position to claim, by any producer
    _Atomic uint64_t head_seen;                 // what producers last saw of head
    _Alignas(CACHE_LINE) _Atomic uint64_t head; // next position to read, written by the consumer only
    uint64_t capacity;                          // constant
    uint64_t mask;
    unsigned lap_shift;
    RingSlot slots[];
} Ring;

static inline uint64_t ring_lap_bit(const Ring *ring, uint64_t position)
{
    return ~(position >> ring->lap_shift) & 1;
}

// Zeroed pages come out as an empty ring because the first lap's bit is 1.
static inline Ring *ring_make(uint64_t capacity)
{
    unsigned shift = 0;
    while ((UINT64_C(1) << shift) < capacity)
        shift++;
    Ring *ring = pages_map(sizeof(Ring) + (sizeof(RingSlot) << shift), "a ring");
    ring->capacity = capacity;
    ring->mask = (UINT64_C(1) << shift) - 1;
    ring->lap_shift = shift;
    return ring;
}

// Publishes all n blocks, in order, or none and returns false when there is no room for them.
static inline bool ring_push(Ring *ring, const Block *blocks, unsigned n)
{
    uint64_t position = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    do {
        if (position + n - atomic_load_explicit(&ring->head_seen, memory_order_acquire) > ring->capacity) {
            uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
            // A position read before others moved tail and head on is old, not full: take the newer one.
            if ((int64_t)(position + n - head) > (int64_t)ring->capacity) return false;
            atomic_store_explicit(&ring->head_seen, head, memory_order_release);
        }
    } while (!atomic_compare_exchange_weak_explicit(&ring->tail, &position, position + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    for (unsigned i = 0; i < n; i++, position++) {
        RingSlot *slot = &ring->slots[position & ring->mask];
        slot->ptr = blocks[i].ptr;
        uint64_t word = (uint64_t)blocks[i].tag << 32 | (uint64_t)blocks[i].size << 1 | ring_lap_bit(ring, position);
        atomic_store_explicit(&slot->word, word, memory_order_release);
    }
    return true;
}

// Consumer only. Hands up to `limit` blocks to `take`; returns how many.
static inline unsigned ring_drain(Ring *ring, unsigned limit, void (*take)(void *, Block), void *context)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    unsigned taken = 0;
    for (; taken < limit; taken++, head++) {
        RingSlot *slot = &ring->slots[head & ring->mask];
        uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
        if ((word & 1) != ring_lap_bit(ring, head)) break;
        take(context, (Block){.ptr = slot->ptr, .size = (uint32_t)word >> 1, .tag = (uint32_t)(word >> 32)});
    }
    if (taken != 0) atomic_store_explicit(&ring->head, head, memory_order_release);
    return taken;
}

#endif
