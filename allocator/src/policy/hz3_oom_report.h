// What a full arena looks like at its first failure: who holds the pages, and where the free ones lie.
#ifndef HZ3_OOM_REPORT_H
#define HZ3_OOM_REPORT_H

#include "base/hz3_types.h"

// Once a process, under HZ3_OOM_SHOT=1; HZ3_OOM_FAILFAST=1 then aborts. class 0: a span. front_bytes: what the caches
// in front held when the reclaim began; it has moved on since. The caller holds no lock. Allocates nothing.
HZ3_COLD void hz3_oom_report(uint32_t pages, uint32_t cls, size_t front_bytes);

#endif
