// What a workload does to a block it holds: writes to it when it gets it, checks it before it frees it.
//
// A tag names the thread that allocated the block (upper 10 bits) and counts its allocations (lower 22). Tag and size
// are written into the block's first bytes. So free finds a block that was handed out twice, or that the allocator
// wrote to while it was alive.
#ifndef WORKLOADS_OBJECT_H
#define WORKLOADS_OBJECT_H

#include "ring.h"

#include <string.h>

typedef enum Touch { TOUCH_NONE, TOUCH_PAGE, TOUCH_ALL } Touch;

enum { TAG_COUNT_BITS = 22, TOUCH_STEP_BYTES = 4096 };

static inline uint32_t object_tag(unsigned thread, uint64_t count)
{
    return (uint32_t)thread << TAG_COUNT_BITS | ((uint32_t)count & ((1u << TAG_COUNT_BITS) - 1));
}

static inline uint64_t object_stamp(Block block)
{
    return (uint64_t)block.size << 32 | block.tag;
}

static inline void object_write(Block block, Touch touch)
{
    if (touch == TOUCH_NONE) return;
    unsigned char *bytes = block.ptr;
    if (touch == TOUCH_ALL)
        memset(bytes, (int)(block.tag & 0xff), block.size);
    else
        for (size_t at = TOUCH_STEP_BYTES; at < block.size; at += TOUCH_STEP_BYTES)
            bytes[at] = (unsigned char)block.tag;
    uint64_t stamp = object_stamp(block);
    if (block.size >= sizeof stamp)
        memcpy(bytes, &stamp, sizeof stamp);
    else
        memcpy(bytes, &stamp, block.size);
}

// Dies with a message that names the block; its bytes are now at `place`.
_Noreturn void object_report(Block block, const void *place);

// The rest of the block holds one repeated byte: equal to itself shifted by one.
static inline int object_fill_is_intact(Block block)
{
    const unsigned char *fill = (const unsigned char *)block.ptr + sizeof(uint64_t);
    size_t rest = block.size - sizeof(uint64_t);
    return rest == 0 || (fill[0] == (unsigned char)block.tag && memcmp(fill, fill + 1, rest - 1) == 0);
}

// With TOUCH_PAGE only the stamp is read back: reading a byte of each page would cost more than many a malloc.
static inline void object_check(Block block, Touch touch)
{
    if (touch == TOUCH_NONE) return;
    uint64_t expected = object_stamp(block);
    uint64_t found = expected;
    if (block.size >= sizeof found) {
        memcpy(&found, block.ptr, sizeof found);
        if (touch == TOUCH_ALL && !object_fill_is_intact(block)) object_report(block, block.ptr);
    } else {
        memcpy(&found, block.ptr, block.size);
    }
    if (found != expected) object_report(block, block.ptr);
}

// What `before` held must be at the place of `after` as far as it reaches.
static inline void object_check_moved(Block before, Block after, Touch touch)
{
    if (touch == TOUCH_NONE) return;
    const uint64_t stamp = object_stamp(before);
    Block kept = before;
    kept.ptr = after.ptr;
    if (after.size < before.size) kept.size = after.size;
    const bool is_stamp_whole = memcmp(kept.ptr, &stamp, kept.size < sizeof stamp ? kept.size : sizeof stamp) == 0;
    const bool has_fill = touch == TOUCH_ALL && kept.size >= sizeof stamp;
    if (!is_stamp_whole || (has_fill && !object_fill_is_intact(kept))) object_report(before, after.ptr);
}

#endif
