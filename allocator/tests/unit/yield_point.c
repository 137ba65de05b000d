#include <sched.h>
#include <stdint.h>

#include "yield_atomics.h"

#define YIELD_ONE_IN 64

static _Thread_local uint32_t state;

void unit_yield_point(void)
{
    if (state == 0) {
        state = (uint32_t)(uintptr_t)&state | 1;
    }
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    if (state % YIELD_ONE_IN == 0) {
        sched_yield();
    }
}
