// What happens when no segment has the pages and no slot is left: one thread collects what the caches hold, the others
// wait and try again first.
#ifndef HZ3_MEM_BUDGET_H
#define HZ3_MEM_BUDGET_H

#include "hz3_types.h"

// The steps, in the order of a reclaim.
void hz3_mem_budget_emergency_flush(void);       // this thread's front → middle layer
size_t hz3_mem_budget_reclaim_medium_runs(void); // transfer arrays and inboxes → runs → page maps; returns pages

// A second try for pages that hz3_pack_claim did not find. class: the size class, 0 for a span. HZ3_PAGE_NONE: the
// arena is full; under HZ3_OOM_SHOT=1 the first such failure is reported.
uint32_t hz3_mem_budget_claim(uint32_t shard, uint32_t pages, uint32_t align_pages, uint32_t class);

void hz3_mem_budget_fork_child(void);

#endif
