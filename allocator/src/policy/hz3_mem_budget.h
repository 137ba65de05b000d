// Page requests, and what happens when no segment has the pages and no slot is left: one thread leads a reclaim, the
// others wait for its result and try again.
//
// The chain of a pass: emergency flush (front → middle) · medium runs (depots → page maps) · small runs
// (depots → runs, empty runs → page maps) · cached spans · whole segments → slots · wait for pages that are being
// purged · claim, without hints. Passes go on while something moves. While a leader is at it, all other page requests
// wait, so what it frees is its own. The arena is called full only after a pass in which nothing moved.
#ifndef HZ3_MEM_BUDGET_H
#define HZ3_MEM_BUDGET_H

#include "base/hz3_types.h"

// The values of HZ3_RECLAIM_SCOPE.
enum { HZ3_RECLAIM_MY_SHARD, HZ3_RECLAIM_ALL };

// Takes pages for this shard; the caller holds no lock. class: the size class, 0 for a span. HZ3_PAGE_NONE: the arena
// is full; under HZ3_OOM_SHOT=1 the first such failure is reported.
uint32_t hz3_mem_budget_claim(uint32_t shard, uint32_t pages, uint32_t align_pages, uint32_t cls);

// As many more single runs of so many pages as lie near at hand, at most `want`; returns how many. Nothing is reclaimed
// for them. The caller holds no lock.
uint32_t hz3_mem_budget_claim_more(uint32_t shard, uint32_t pages, uint32_t *page, uint32_t want);

// The steps. Each returns what it moved: bytes, pages, pages, slots.
size_t hz3_mem_budget_emergency_flush(void);
size_t hz3_mem_budget_reclaim_medium_runs(uint32_t shard);
size_t hz3_mem_budget_reclaim_small_runs(void);
size_t hz3_mem_budget_reclaim_segments(void);

// The kernel has refused a mapping: whole segments and mappings that are free go back to it, with their addresses and
// all that caches hold of them. False: there were none. The caller holds no lock.
bool hz3_mem_budget_give_back(void);

// HZ3_MEM_BUDGET: says that this many pages are about to become resident. When they might cross the limit, everything
// unused goes back to the kernel first; a program that uses more than the limit gets it nevertheless.
void hz3_mem_budget_charge(size_t pages);

// What one side has free serves the other. Says that so many pages outside of the arena are about to become resident:
// some MiB at a time, as many dirty pages of the arena go back to the kernel first. The other way round, each slot that
// opens has freed mappings go back.
void hz3_mem_budget_pay(size_t pages);

// Pages of the arena and of mappings that are resident or may be at any moment. A snapshot.
size_t hz3_mem_budget_resident_pages(void);

void hz3_mem_budget_fork_child(void);

#endif
