// Included before every source of the race builds: each atomic operation may first give the CPU away, so that another
// thread meets the state in between. gcc only: its generic builtins accept _Atomic objects.
#ifndef HZ3_UNIT_YIELD_ATOMICS_H
#define HZ3_UNIT_YIELD_ATOMICS_H

#include <stdatomic.h>

#include "yield_point.h"

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_compare_exchange_strong_explicit

#define atomic_load_explicit(p, order) (unit_yield_point(), __atomic_load_n((p), (order)))
#define atomic_store_explicit(p, value, order) (unit_yield_point(), __atomic_store_n((p), (value), (order)))
#define atomic_exchange_explicit(p, value, order) (unit_yield_point(), __atomic_exchange_n((p), (value), (order)))
#define atomic_fetch_or_explicit(p, value, order) (unit_yield_point(), __atomic_fetch_or((p), (value), (order)))
#define atomic_fetch_and_explicit(p, value, order) (unit_yield_point(), __atomic_fetch_and((p), (value), (order)))
#define atomic_compare_exchange_weak_explicit(p, expected, value, success, failure)                                    \
    (unit_yield_point(), __atomic_compare_exchange_n((p), (expected), (value), 1, (success), (failure)))
#define atomic_compare_exchange_strong_explicit(p, expected, value, success, failure)                                  \
    (unit_yield_point(), __atomic_compare_exchange_n((p), (expected), (value), 0, (success), (failure)))

#endif
