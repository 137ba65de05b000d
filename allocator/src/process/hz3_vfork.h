// vfork(): the child runs in its parent's memory, with its parent's thread data, until it execs or ends. Only the one
// thread of its parent waits for it; the others run on.
//
// Locks and slabs of threads are the child's for that time, as they are its parent's. The CPU front is not: the child
// has no restartable sequences, and the CPU's number that it reads is its parent's. So while a vfork child lives, all
// threads read an area without a number (hz3_rseq.h P6) and are served by slabs of their own. That is why hz3 has a
// vfork of its own. What makes such a child by clone() must not allocate there.
#ifndef HZ3_VFORK_H
#define HZ3_VFORK_H

#include "base/hz3_types.h"

// Whether this is a vfork child, or a child that one has forked.
bool hz3_vfork_is_child(void);

// vfork children of threads that are not in the child of a fork do not count there. One that is itself the child of a
// vfork child has no restartable sequences either, and never gets them.
void hz3_vfork_fork_child(void);

#endif
