// A heap under audit: blocks that are live while a program does something bad, and what must hold afterwards.
//
// audit_begin() surrounds the place of the bad act with live blocks full of patterns. audit_end() allocates and frees
// many blocks of the same size and of others, in this thread and in another; no two may overlap, each must keep its
// pattern, and so must all that were live before. The child notes `audit=clean`, or `audit=broken` and ends at once.
#ifndef HZ3_TESTS_SUPPORT_AUDIT_H
#define HZ3_TESTS_SUPPORT_AUDIT_H

#include "support.h"

// Returns a block of the size with live ones on both sides; it is the caller's, and not audited.
void *audit_begin(size_t size);
// From here on the block is live: nobody else may get or change these bytes.
void audit_live(void *block, size_t bytes);
// The program itself wrote here: what that did to live blocks is noted (`neighbour`), repaired, and not the heap's
// fault.
void audit_own_write(const void *at, size_t bytes);
// `cached`: how many blocks of the size lie in the caches, so that the audit gets behind them.
void audit_end(size_t size, size_t cached);

#endif
