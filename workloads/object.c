#include "object.h"

void object_report(Block block, const void *place)
{
    uint64_t found = 0;
    memcpy(&found, place, block.size < sizeof found ? block.size : sizeof found);
    die(EXIT_INTERNAL,
        "block %p of %u bytes, allocated by thread %u, was overwritten while alive: its first bytes are %016llx, "
        "expected %016llx",
        place, block.size, block.tag >> TAG_COUNT_BITS, (unsigned long long)found,
        (unsigned long long)object_stamp(block));
}
