#include <stddef.h>
#include <stdint.h>

#include "../patience.h"
#include "yield_point.h"

#define YIELD_ONE_IN 64

_Thread_local void (*unit_at_yield_point)(void);

static _Thread_local uint32_t state;

void unit_yield_point(void)
{
    if (unit_at_yield_point != NULL) {
        unit_at_yield_point();
        return;
    }
    if (state == 0) {
        state = (uint32_t)(uintptr_t)&state | 1;
    }
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    if (state % YIELD_ONE_IN == 0) {
        give_cpu_away();
    }
}
