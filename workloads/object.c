#include "object.h"

void object_report(Block block)
{
    uint64_t found = 0;
    memcpy(&found, block.ptr, block.size < sizeof found ? block.size : sizeof found);
    die(EXIT_INTERNAL,
        "block %p of %u bytes, allocated by thread %u, was overwritten while alive: its first bytes are %016llx, "
        "expected %016llx",
        block.ptr, block.size, block.tag >> TAG_COUNT_BITS, (unsigned long long)found,
        (unsigned long long)object_stamp(block));
}
