// Start: from the first call of any thread, which may come before any constructor has run.
#ifndef HZ3_INIT_H
#define HZ3_INIT_H

#include "base/hz3_types.h"

extern _Atomic bool hz3_init_done;
HZ3_COLD void hz3_init_slow(void);

// Cannot fail: tables grow with what lies in them, and a call that needs memory for them says so itself.
static inline void hz3_init(void)
{
    if (HZ3_UNLIKELY(!atomic_load_explicit(&hz3_init_done, memory_order_acquire))) {
        hz3_init_slow();
    }
}

#endif
