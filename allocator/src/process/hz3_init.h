// Start: from the first call of any thread, which may come before any constructor has run.
#ifndef HZ3_INIT_H
#define HZ3_INIT_H

#include "base/hz3_types.h"

extern _Atomic bool hz3_init_done;
HZ3_COLD bool hz3_init_slow(void);

// False only when the kernel had no memory for the tables; the next call tries again.
static inline bool hz3_init(void)
{
    return HZ3_LIKELY(atomic_load_explicit(&hz3_init_done, memory_order_acquire)) || hz3_init_slow();
}

#endif
