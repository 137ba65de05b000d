// Pages inside runs of small objects that live on: when all objects of a page are free, the page can go back to the
// kernel while its neighbours serve the program, because nothing of the allocator lies in it.
//
// Invariant (hz3_small.h): under the owner's central lock the bitmap says which objects are free. The scan takes those
// of a free page out of the bitmap under the lock, purges without it, and puts them back under the lock again. Until
// then nobody can take them and the run cannot be retired. A page that was purged and from which nothing was taken
// since is marked in the run and passed over.
#ifndef HZ3_PARTIAL_PURGE_H
#define HZ3_PARTIAL_PURGE_H

#include "base/hz3_types.h"

// Looks at the partial runs that got objects back since it looked at them last. min_age: epochs in which a run must not
// have been touched. max_runs: most runs looked at; the next call goes on from there. Returns the pages purged.
size_t hz3_partial_purge(uint32_t min_age, uint64_t max_runs);

// Some run has yet to be looked at, or to become old enough.
bool hz3_partial_purge_is_pending(void);

#endif
