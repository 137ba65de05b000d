// Which segment feeds a request for pages: the shard's current one, else the lowest-addressed used segment that may
// have the room, else a new slot. The current one served the shard last, or lies lower, was opened by it and got pages
// back since: a shard packs its segments from below and takes warm pages again. Address-ordered first fit empties the
// high segments; any shard may use any segment. Once at most a sixteenth of the slots is left, address order gives way
// to the tightest fit: of the segments that hold the run, one whose longest free run is the shortest, and in it the
// shortest run. Random 4096..32768-byte blocks fill 0.97 to 0.99 of the pages so before the first request fails,
// against 0.95 to 0.96 in address order, at the price of a look at the whole page map and of one run a refill.
//
// On a machine with several memory nodes (NUMA) a segment is of the node whose shard opened it: the kernel takes a page
// from the node of the CPU that writes to it first, and that is one of this node as long as its shards alone use the
// segment. So they look among their node's segments and open a slot before they look at others', until slots are
// scarce or refused. A node at rest keeps nothing for itself (hz3_node.h).
//
// The hint table: per level (a length of free run) one bit per slot, "may hold such a run". A release sets the levels
// up to the run it made, from the longest down, and stops at one that is set, for then the shorter ones are set too; a
// failed try clears its level and all longer ones. A hint may say yes in vain. That it does not say no in vain rests on
// one order: a releaser publishes the pages and then reads or sets the hints; a failed claimer clears them and then
// looks once more (seq_cst on both sides). A claim of several words that is rolled back is such a release, too. Still,
// before the arena is called full all segments are tried without hints.
#ifndef HZ3_SEGMENT_PACKING_H
#define HZ3_SEGMENT_PACKING_H

#include "base/hz3_types.h"

// The table has a row for every 64 slots, of zeros at first.
#define HZ3_PACK_LEVELS 48u
#define HZ3_PACK_WORDS (HZ3_PACK_LEVELS + 64u / sizeof(uint64_t) + HZ3_NODES_MAX) // hints, a byte a slot, a word a node
#define HZ3_PACK_BYTES_PER_64_SLOTS (HZ3_PACK_WORDS * sizeof(uint64_t))
void hz3_pack_init(_Atomic uint64_t *table);

// After pages of the slot became free.
void hz3_pack_on_free(uint32_t slot, uint32_t page_idx, uint32_t pages);

// The same after the program gave them back: they are warm, so the shard that opened the slot looks there first.
void hz3_pack_on_release(uint32_t slot, uint32_t page_idx, uint32_t pages);

// Before a slot is closed, all its pages claimed: else each of its hints would cost a later claim a try in vain.
void hz3_pack_on_close(uint32_t slot);

// After a claim of pages of the slot was rolled back (hz3_segment.h): sets their hints and enters the slot into the
// ledger.
void hz3_pack_rolled_back(uint32_t slot);

// Before the slot's pages are published: the shard has opened it.
void hz3_pack_on_open(uint32_t slot, uint32_t shard);

// The page lies on another memory node than the shard's.
bool hz3_pack_is_far(uint32_t shard, uint32_t page);
// Where an object of this page is to wait that the shard has been given: with the shard itself, or on the page's node
// while nodes are kept apart.
uint32_t hz3_pack_home(uint32_t shard, uint32_t page);
// Whose objects serve the shard: a bit for each shard.
uint64_t hz3_pack_shards_for(uint32_t shard);

// Takes pages somewhere in the arena for this shard; a page number, or HZ3_PAGE_NONE when no segment has them and no
// slot is left. Makes no attempt to reclaim.
uint32_t hz3_pack_claim(uint32_t shard, uint32_t pages, uint32_t align_pages);

// The same without hints and new slots: the tightest fit of each used segment.
uint32_t hz3_pack_claim_unhinted(uint32_t shard, uint32_t pages, uint32_t align_pages);

// Up to `want` more runs of `pages` ≤ HZ3_WORD_RUN_MAX out of the shard's current segment; returns how many, none where
// the tightest fit rules.
uint32_t hz3_pack_claim_more(uint32_t shard, uint32_t pages, uint32_t *page, uint32_t want);

#endif
