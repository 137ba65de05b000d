// The arena as the tests see it: how many pages it has to give.
#ifndef HZ3_UNIT_ARENA_SUPPORT_H
#define HZ3_UNIT_ARENA_SUPPORT_H

#include "pages/hz3_arena.h"
#include "pages/hz3_segment.h"

static inline uint32_t free_pages_of_open_slots(void)
{
    uint32_t pages = 0;
    HZ3_FOR_EACH_SLOT(slot)
    {
        pages += hz3_segment_free_pages(&hz3_arena.seg[slot]);
    }
    return pages;
}

static inline uint32_t open_slots(void)
{
    return atomic_load(&hz3_arena.slots_touched) - hz3_arena_slots_closed();
}

// Pages taken by somebody. Constant while only the test allocates, and gives back all it took.
static inline uint32_t taken_pages(void)
{
    return open_slots() * HZ3_PAGES_PER_SEG - free_pages_of_open_slots();
}

#endif
