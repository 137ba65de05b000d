#include "pages/hz3_segment_packing.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_node.h"
#include "base/hz3_shard.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_ledger_list.h"
#include "pages/hz3_segment.h"

// A level for every length that is asked for: each of 1 to 16 pages, then the lengths of spans, which are eight for
// each doubling up to 256 (hz3_large_pages).
#define LEVELS HZ3_PACK_LEVELS

// [slot / 64][level]: what a claim or a release changes lies on one or two cache lines that CPUs take from each other,
// not on one a level. Behind the levels, a byte for each slot: the shard that opened it. Behind those, a word for each
// memory node: its slots.
static _Atomic uint64_t (*may_hold)[HZ3_PACK_WORDS];

// Where a shard looks first: one compact place, and fewer threads on one page map. A hint that any thread may change: a
// claim looks elsewhere when the slot has nothing, or is closed by now. Each claim reads its own, so others' do not lie
// on the same cache line.
typedef struct CurrentSlot {
    _Alignas(64) _Atomic uint32_t slot;
} CurrentSlot;
static CurrentSlot current[HZ3_SHARDS_MAX];

// The shard, or the last one while the slot is closed.
static _Atomic uint8_t *opened_by(uint32_t slot)
{
    return (_Atomic uint8_t *)&may_hold[slot / 64][LEVELS] + slot % 64;
}

static _Atomic uint64_t *slots_of_node(uint32_t node, uint32_t slot)
{
    return &may_hold[slot / 64][LEVELS + 64 / sizeof(uint64_t) + node];
}

static uint32_t node_of_slot(uint32_t slot)
{
    return hz3_node_of_shard(atomic_load_explicit(opened_by(slot), memory_order_relaxed));
}

void hz3_pack_init(_Atomic uint64_t *table)
{
    hz3_assert((uintptr_t)table % sizeof *table == 0);
    may_hold = (_Atomic uint64_t(*)[HZ3_PACK_WORDS])table;
    for (uint32_t s = 0; s < HZ3_SHARDS_MAX; s++) {
        atomic_store_explicit(&current[s].slot, HZ3_PAGE_NONE, memory_order_relaxed);
    }
}

// Exact for lengths that are asked for, rounded down for the lengths of free runs.
static uint32_t level_of(uint32_t pages)
{
    hz3_assert(pages >= 1 && pages <= HZ3_PAGES_PER_SEG);
    if (pages <= 16) {
        return pages - 1;
    }
    uint32_t log2 = 31 - (uint32_t)__builtin_clz(pages);
    uint32_t level = 15 + (log2 - 4) * 8 + ((pages >> (log2 - 3)) & 7);
    return level < LEVELS ? level : LEVELS - 1;
}

static _Atomic uint64_t *hint_word(uint32_t level, uint32_t slot)
{
    hz3_assert(level < LEVELS && slot < (hz3_arena.slots + 63) / 64 * 64);
    return &may_hold[slot / 64][level];
}

// Sets the levels from `level` down to the first that is set already.
static void set_hints(uint32_t level, uint32_t slot)
{
    uint64_t bit = 1ull << (slot % 64);
    for (uint32_t l = level + 1; l-- > 0;) {
        _Atomic uint64_t *word = hint_word(l, slot);
        if ((atomic_load_explicit(word, memory_order_seq_cst) & bit) != 0) {
            break;
        }
        atomic_fetch_or_explicit(word, bit, memory_order_seq_cst);
    }
}

static bool has_hint(uint32_t level, uint32_t slot)
{
    return (atomic_load_explicit(hint_word(level, slot), memory_order_relaxed) >> (slot % 64) & 1) != 0;
}

static void clear_hints(uint32_t level, uint32_t slot)
{
    uint64_t bit = 1ull << (slot % 64);
    for (uint32_t l = level; l < LEVELS; l++) {
        if ((atomic_load_explicit(hint_word(l, slot), memory_order_relaxed) & bit) != 0) {
            atomic_fetch_and_explicit(hint_word(l, slot), ~bit, memory_order_seq_cst);
        }
    }
    atomic_thread_fence(memory_order_seq_cst);
}

void hz3_pack_on_free(uint32_t slot, uint32_t page_idx, uint32_t pages)
{
    hz3_assert(pages >= 1 && page_idx + pages <= HZ3_PAGES_PER_SEG);
    const Hz3SegMeta *meta = &hz3_arena.seg[slot];
    uint32_t first = hz3_segment_free_run_around(meta, page_idx);
    // Others may have taken some of the pages again: what they grew on either side is a run of its own then.
    uint32_t last = first < pages ? hz3_segment_free_run_around(meta, page_idx + pages - 1) : first;
    uint32_t run = first > last ? first : last;
    set_hints(level_of(run < pages ? pages : run), slot);
}

void hz3_pack_on_release(uint32_t slot, uint32_t page_idx, uint32_t pages)
{
    hz3_pack_on_free(slot, page_idx, pages);
    CurrentSlot *of_opener = &current[atomic_load_explicit(opened_by(slot), memory_order_relaxed)];
    if (slot < atomic_load_explicit(&of_opener->slot, memory_order_relaxed)) {
        atomic_store_explicit(&of_opener->slot, slot, memory_order_relaxed);
    }
}

// --- memory nodes ------------------------------------------------------------------------------------------------

// When a shard last asked for a slot there was none to be had. A hint: of two that ask at once either may have the last
// word, and the next one that asks mends it.
static _Atomic bool slots_are_refused;

static bool keeps_nodes_apart(void)
{
    return hz3_has_nodes() && !hz3_arena_is_scarce() && !atomic_load_explicit(&slots_are_refused, memory_order_relaxed);
}

uint64_t hz3_pack_shards_for(uint32_t shard)
{
    return keeps_nodes_apart() ? hz3_shards_for(shard) : UINT64_MAX;
}

static inline bool is_far(uint32_t shard, uint32_t slot)
{
    return hz3_has_nodes() && node_of_slot(slot) != hz3_node_of_shard(shard);
}

bool hz3_pack_is_far(uint32_t shard, uint32_t page)
{
    return is_far(shard, page / HZ3_PAGES_PER_SEG);
}

uint32_t hz3_pack_home(uint32_t shard, uint32_t page)
{
    uint32_t slot = page / HZ3_PAGES_PER_SEG;
    return keeps_nodes_apart() && is_far(shard, slot) ? hz3_shard_on_node(shard, node_of_slot(slot)) : shard;
}

// Slots [first, first + 64) of nodes whose memory serves the shard.
static uint64_t slots_for(uint32_t shard, uint32_t first)
{
    uint64_t slots = 0;
    for (uint32_t nodes = hz3_nodes_for(shard); nodes != 0; nodes &= nodes - 1) {
        slots |= atomic_load_explicit(slots_of_node((uint32_t)__builtin_ctz(nodes), first), memory_order_relaxed);
    }
    return slots;
}

// By the slot's owner alone, before it publishes a page. So the byte and the words agree as long as the slot is open:
// it is in the word of its opener's node and in no other. Who reads them between two owners looks for pages in vain.
void hz3_pack_on_open(uint32_t slot, uint32_t shard)
{
    uint64_t bit = 1ull << (slot % 64);
    atomic_store_explicit(opened_by(slot), (uint8_t)shard, memory_order_relaxed);
    for (uint32_t node = 0; hz3_has_nodes() && node < hz3_nodes; node++) {
        if (node == hz3_node_of_shard(shard)) {
            atomic_fetch_or_explicit(slots_of_node(node, slot), bit, memory_order_relaxed);
        } else {
            atomic_fetch_and_explicit(slots_of_node(node, slot), ~bit, memory_order_relaxed);
        }
    }
}

void hz3_pack_on_close(uint32_t slot)
{
    clear_hints(0, slot);
}

// Nobody knows by now what has become of the pages that were given back, so the whole segment is looked at.
void hz3_pack_rolled_back(uint32_t slot)
{
    uint32_t longest = hz3_segment_longest_run(&hz3_arena.seg[slot]);
    if (longest != 0) {
        set_hints(level_of(longest), slot);
    }
    hz3_ledger_enter(slot);
}

// HZ3_PAGE_STEAL=0: segments serve the shard that opened them, as in the allocator that ran dry.
static bool may_use(uint32_t shard, uint32_t slot)
{
    return hz3_knobs.PAGE_STEAL || *opened_by(slot) == shard;
}

static uint32_t claim_in_slot(uint32_t shard, uint32_t slot, uint32_t pages, uint32_t align_pages)
{
    bool rolled_back = false;
    uint32_t idx = hz3_segment_claim(&hz3_arena.seg[slot], pages, align_pages, &rolled_back);
    if (HZ3_UNLIKELY(rolled_back)) {
        hz3_pack_rolled_back(slot);
    }
    if (idx == HZ3_PAGE_NONE) {
        return HZ3_PAGE_NONE;
    }
    if (atomic_load_explicit(&current[shard].slot, memory_order_relaxed) != slot && !is_far(shard, slot)) {
        atomic_store_explicit(&current[shard].slot, slot, memory_order_relaxed);
    }
    return slot * HZ3_PAGES_PER_SEG + idx;
}

// Which hint to look for, and whether it was wrong when the claim fails.
typedef struct Search {
    uint32_t level;
    bool is_exact;
    uint32_t tries; // slots that are looked at
    bool only_near; // slots of nodes whose memory serves the shard
} Search;

// Segments that may have a run of the length but none of the alignment are many, and nothing tells them apart.
#define ALIGNED_TRIES 8u

static uint32_t claim_by_hint(uint32_t shard, uint32_t slot, uint32_t pages, uint32_t align_pages, Search search)
{
    uint32_t page = claim_in_slot(shard, slot, pages, align_pages);
    if (page != HZ3_PAGE_NONE || !search.is_exact) {
        return page;
    }
    clear_hints(search.level, slot);
    page = claim_in_slot(shard, slot, pages, align_pages);
    if (page != HZ3_PAGE_NONE) {
        set_hints(LEVELS - 1, slot); // somebody has released meanwhile, how much we don't know
    }
    return page;
}

static uint32_t claim_lowest_hinted(uint32_t shard, uint32_t pages, uint32_t align_pages, Search search)
{
    uint32_t touched = atomic_load_explicit(&hz3_arena.slots_touched, memory_order_acquire);
    for (uint32_t first = 0; first < touched; first += 64) {
        uint64_t word = atomic_load_explicit(hint_word(search.level, first), memory_order_relaxed);
        if (search.only_near) {
            word &= slots_for(shard, first);
        }
        for (; word != 0 && search.tries != 0; word &= word - 1) {
            uint32_t slot = first + (uint32_t)__builtin_ctzl(word);
            if (!may_use(shard, slot)) {
                continue;
            }
            uint32_t page = claim_by_hint(shard, slot, pages, align_pages, search);
            if (page != HZ3_PAGE_NONE) {
                return page;
            }
            search.tries--;
        }
    }
    return HZ3_PAGE_NONE;
}

// Runs so long that one of `pages` at the alignment lies in them, wherever they begin. Where no level is as long, the
// longest one says that it may be so.
static Search search_for_aligned(uint32_t pages, uint32_t align_pages, bool only_near)
{
    uint32_t enough = pages + align_pages - 1;
    uint32_t level = level_of(enough);
    level += level + 1 < LEVELS && enough > 16 && (enough & ((1u << (31 - 3 - __builtin_clz(enough))) - 1)) != 0;
    bool is_exact = level + 1 < LEVELS;
    return (Search){level, is_exact, is_exact ? UINT32_MAX : ALIGNED_TRIES, only_near};
}

// The address-ordered choice: the shard's current segment, then the lowest hinted one. Under an alignment, a segment
// with a run that is long enough in any case, then one of a few that may have one; else it is a new slot.
static uint32_t claim_lowest(uint32_t shard, uint32_t pages, uint32_t align_pages, bool only_near)
{
    Search search = {level_of(pages), align_pages == 1, align_pages == 1 ? UINT32_MAX : ALIGNED_TRIES, only_near};
    uint32_t slot = atomic_load_explicit(&current[shard].slot, memory_order_relaxed);
    uint32_t page = HZ3_PAGE_NONE;
    bool is_good = slot != HZ3_PAGE_NONE && may_use(shard, slot) && !is_far(shard, slot);
    if (is_good && has_hint(search.level, slot)) {
        page = claim_by_hint(shard, slot, pages, align_pages, search);
    }
    if (page == HZ3_PAGE_NONE && align_pages > 1) {
        page = claim_lowest_hinted(shard, pages, align_pages, search_for_aligned(pages, align_pages, only_near));
    }
    return page != HZ3_PAGE_NONE ? page : claim_lowest_hinted(shard, pages, align_pages, search);
}

// Claims, and makes the slot's hints exact: they are what finds the tightest segment.
static uint32_t claim_tightest_in_slot(uint32_t slot, uint32_t pages, uint32_t align_pages)
{
    Hz3SegMeta *meta = &hz3_arena.seg[slot];
    uint32_t longest;
    bool rolled_back = false;
    uint32_t idx = hz3_segment_claim_tightest(meta, pages, align_pages, &longest, &rolled_back);
    if (HZ3_UNLIKELY(rolled_back)) {
        hz3_pack_rolled_back(slot);
    }
    uint32_t first_wrong = longest == 0 ? 0 : level_of(longest) + 1;
    if (first_wrong < LEVELS && has_hint(first_wrong, slot)) {
        clear_hints(first_wrong, slot);
        uint32_t now = hz3_segment_longest_run(meta);
        if (now > longest) {
            set_hints(level_of(now), slot); // somebody has released meanwhile
        }
    }
    return idx == HZ3_PAGE_NONE ? HZ3_PAGE_NONE : slot * HZ3_PAGES_PER_SEG + idx;
}

// Level by level, shortest first: the slots that hold such a run and none of the next level.
static HZ3_NOINLINE uint32_t claim_tightest(uint32_t shard, uint32_t pages, uint32_t align_pages)
{
    uint32_t touched = atomic_load_explicit(&hz3_arena.slots_touched, memory_order_acquire);
    for (uint32_t level = level_of(pages); level < LEVELS; level++) {
        for (uint32_t slot = 0; slot < touched; slot += 64) {
            uint64_t word = atomic_load_explicit(hint_word(level, slot), memory_order_relaxed);
            if (word != 0 && level + 1 < LEVELS) {
                word &= ~atomic_load_explicit(hint_word(level + 1, slot), memory_order_relaxed);
            }
            for (; word != 0; word &= word - 1) {
                uint32_t at = slot + (uint32_t)__builtin_ctzl(word);
                uint32_t page = may_use(shard, at) ? claim_tightest_in_slot(at, pages, align_pages) : HZ3_PAGE_NONE;
                if (page != HZ3_PAGE_NONE) {
                    return page;
                }
            }
        }
    }
    return HZ3_PAGE_NONE;
}

uint32_t hz3_pack_claim(uint32_t shard, uint32_t pages, uint32_t align_pages)
{
    hz3_assert(shard < HZ3_SHARDS_MAX && pages <= HZ3_PAGES_PER_SEG && align_pages <= HZ3_PAGES_PER_SEG);
    if (hz3_arena.slots == 0) {
        return HZ3_PAGE_NONE;
    }
    const bool are_apart = keeps_nodes_apart();
    const bool is_scarce = hz3_arena_is_scarce();
    uint32_t page = HZ3_UNLIKELY(is_scarce) ? claim_tightest(shard, pages, align_pages)
                                            : claim_lowest(shard, pages, align_pages, are_apart);
    // A new slot is public at once, so that others may empty it before us; each turn of the loop used one up.
    uint32_t slot = HZ3_PAGE_NONE;
    while (page == HZ3_PAGE_NONE && (slot = hz3_arena_slot_open(shard)) != HZ3_PAGE_NONE) {
        page = claim_in_slot(shard, slot, pages, align_pages);
    }
    if (hz3_has_nodes() && (page == HZ3_PAGE_NONE || slot != HZ3_PAGE_NONE)) { // a slot was asked for
        atomic_store_explicit(&slots_are_refused, page == HZ3_PAGE_NONE, memory_order_relaxed);
    }
    return page == HZ3_PAGE_NONE && are_apart ? claim_lowest(shard, pages, align_pages, false) : page;
}

uint32_t hz3_pack_claim_unhinted(uint32_t shard, uint32_t pages, uint32_t align_pages)
{
    HZ3_FOR_EACH_SLOT(slot)
    {
        uint32_t page = may_use(shard, slot) ? claim_tightest_in_slot(slot, pages, align_pages) : HZ3_PAGE_NONE;
        if (page != HZ3_PAGE_NONE) {
            return page;
        }
    }
    return HZ3_PAGE_NONE;
}

uint32_t hz3_pack_claim_more(uint32_t shard, uint32_t pages, uint32_t *page, uint32_t want)
{
    uint32_t slot = atomic_load_explicit(&current[shard].slot, memory_order_relaxed);
    if (slot == HZ3_PAGE_NONE || want == 0 || hz3_arena_is_scarce() || !may_use(shard, slot) || is_far(shard, slot)) {
        return 0;
    }
    uint32_t found = hz3_segment_claim_many(&hz3_arena.seg[slot], pages, page, want);
    for (uint32_t i = 0; i < found; i++) {
        page[i] += slot * HZ3_PAGES_PER_SEG;
    }
    return found;
}
