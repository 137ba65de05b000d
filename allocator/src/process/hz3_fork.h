// fork(): every leaf lock is taken before and given back after, except those that the forking thread itself holds (fork
// inside a signal handler that interrupted a slow path). Why that ends: hz3_lock.h.
#ifndef HZ3_FORK_H
#define HZ3_FORK_H

#include "base/hz3_types.h"

// Once it has succeeded it does nothing. False: there was no memory for it; forks go on without us until a later call.
bool hz3_fork_register(void);

// Whether a fork, now or later, would find a thread of ours as it should be.
bool hz3_fork_may_start_thread(void);

#endif
