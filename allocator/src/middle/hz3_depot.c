#include "middle/hz3_depot.h"

#include <string.h>

#include "base/hz3_log.h"
#include "pages/hz3_arena.h"

// Under the central's lock, so no locked instruction.
static void set_count(Hz3Depot *depot, uint32_t count)
{
    atomic_store_explicit(&depot->count, count, memory_order_relaxed);
    if (HZ3_DEPOT_MARK && count < depot->low) {
        depot->low = count;
    }
}

static void link_top(Hz3Depot *depot, Hz3Magazine *magazine)
{
    magazine->below = depot->top;
    magazine->above = NULL;
    if (depot->top != NULL) {
        depot->top->above = magazine;
    } else {
        depot->bottom = magazine;
    }
    depot->top = magazine;
}

// It is an end of the chain.
static void unlink_end(Hz3Depot *depot, Hz3Magazine *magazine)
{
    hz3_assert(magazine == depot->top || magazine == depot->bottom);
    *(magazine->above != NULL ? &magazine->above->below : &depot->top) = magazine->below;
    *(magazine->below != NULL ? &magazine->below->above : &depot->bottom) = magazine->above;
}

static void remove_empty(Hz3Depot *depot, Hz3Magazine *magazine, Hz3Magazine **emptied)
{
    hz3_assert(magazine->count == 0);
    unlink_end(depot, magazine);
    if (depot->spare == NULL) {
        depot->spare = magazine;
    } else {
        magazine->below = *emptied;
        *emptied = magazine;
    }
}

uint32_t hz3_depot_push(Hz3Depot *depot, void *const *objects, uint32_t n)
{
    uint32_t pushed = 0;
    while (pushed < n) {
        if (depot->top == NULL || depot->top->count == HZ3_MAGAZINE_OBJECTS) {
            if (depot->spare == NULL) {
                break;
            }
            link_top(depot, depot->spare);
            depot->spare = NULL;
        }
        Hz3Magazine *top = depot->top;
        uint32_t room = HZ3_MAGAZINE_OBJECTS - top->count;
        uint32_t moved = n - pushed < room ? n - pushed : room;
        memcpy(top->object + top->count, objects + pushed, moved * sizeof *objects);
        top->count += moved;
        pushed += moved;
    }
    set_count(depot, hz3_depot_count(depot) + pushed);
    return pushed;
}

uint32_t hz3_depot_pop(Hz3Depot *depot, void **out, uint32_t want, Hz3Magazine **emptied)
{
    uint32_t count = hz3_depot_count(depot);
    uint32_t n = want < count ? want : count;
    for (uint32_t left = n; left > 0;) {
        Hz3Magazine *top = depot->top;
        uint32_t moved = left < top->count ? left : top->count;
        left -= moved;
        top->count -= moved;
        memcpy(out + left, top->object + top->count, moved * sizeof *out);
        if (top->count == 0) {
            remove_empty(depot, top, emptied);
        }
    }
    set_count(depot, count - n);
    return n;
}

Hz3Magazine *hz3_depot_detach_bottom(Hz3Depot *depot)
{
    Hz3Magazine *magazine = depot->bottom;
    if (magazine != NULL) {
        unlink_end(depot, magazine);
        set_count(depot, hz3_depot_count(depot) - magazine->count);
    }
    return magazine;
}

void hz3_depot_attach_top(Hz3Depot *depot, Hz3Magazine *magazine)
{
    hz3_assert(magazine->count != 0);
    link_top(depot, magazine);
    set_count(depot, hz3_depot_count(depot) + magazine->count);
}

uint32_t hz3_depot_pop_oldest(Hz3Depot *depot, void **out, uint32_t max, Hz3Magazine **emptied)
{
    Hz3Magazine *bottom = depot->bottom;
    if (bottom == NULL) {
        return 0;
    }
    uint32_t n = max < bottom->count ? max : bottom->count;
    memcpy(out, bottom->object, n * sizeof *out);
    bottom->count -= n;
    memmove(bottom->object, bottom->object + n, bottom->count * sizeof *out);
    if (bottom->count == 0) {
        remove_empty(depot, bottom, emptied);
    }
    set_count(depot, hz3_depot_count(depot) - n);
    return n;
}

#define MAGAZINES_LOOKED_AT_MAX 3u
#define OBJECTS_LOOKED_AT_MAX 8u // of each magazine: those that came last

static bool magazine_is_valid(const Hz3Magazine *magazine)
{
    uint32_t count = magazine->count;
    if (count == 0 || count > HZ3_MAGAZINE_OBJECTS) {
        return false;
    }
    for (uint32_t i = count > OBJECTS_LOOKED_AT_MAX ? count - OBJECTS_LOOKED_AT_MAX : 0; i < count; i++) {
        if (!hz3_arena_owns(magazine->object[i])) {
            return false;
        }
    }
    return true;
}

bool hz3_depot_is_valid(const Hz3Depot *depot)
{
    if (!HZ3_DEBUG) {
        return true;
    }
    uint32_t count = hz3_depot_count(depot);
    if (depot->low > count || (depot->top == NULL) != (count == 0) ||
        (depot->spare != NULL && (depot->spare->count != 0 || depot->spare == depot->top))) {
        return false;
    }
    const Hz3Magazine *above = NULL;
    const Hz3Magazine *magazine = depot->top;
    uint32_t sum = 0;
    for (uint32_t i = 0; magazine != NULL && i < MAGAZINES_LOOKED_AT_MAX; i++) {
        if (!magazine_is_valid(magazine) || magazine->above != above) {
            return false;
        }
        sum += magazine->count;
        above = magazine;
        magazine = magazine->below;
    }
    return magazine == NULL ? depot->bottom == above && sum == count : sum < count;
}
