#include "pages/hz3_segment.h"

#include "base/hz3_log.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_ledger_list.h"

// Bit i stays set iff bits i..i+n-1 were all set.
static uint64_t run_starts(uint64_t word, uint32_t n)
{
    for (uint32_t have = 1; have < n;) {
        uint32_t step = have < n - have ? have : n - have;
        word &= word >> step;
        have += step;
    }
    return word;
}

// Bits at multiples of `align` (a power of two up to 64).
static uint64_t aligned_bits(uint32_t align)
{
    return align >= 64 ? 1 : UINT64_MAX / ((1ull << align) - 1);
}

// Up to `want` runs from one word by one CAS. Lowest first: that packs, and it takes the same, warm pages again.
static uint32_t claim_in_word(Hz3SegMeta *meta, uint32_t w, uint32_t pages, uint64_t aligned, bool dirty_only,
                              uint32_t *page_idx, uint32_t want)
{
    hz3_assert(pages >= 1 && pages <= HZ3_WORD_RUN_MAX && aligned != 0);
    uint64_t run = (1ull << pages) - 1;
    uint64_t word = atomic_load_explicit(&meta->free_bits[w], memory_order_relaxed);
    for (;;) {
        uint64_t candidates = word;
        if (dirty_only) {
            candidates &= atomic_load_explicit(&meta->dirty_bits[w], memory_order_relaxed);
        }
        uint64_t starts = run_starts(candidates, pages) & aligned;
        uint64_t mask = 0;
        uint32_t found = 0;
        while (starts != 0 && found < want) {
            uint32_t bit = (uint32_t)__builtin_ctzl(starts);
            page_idx[found++] = w * 64 + bit;
            mask |= run << bit;
            starts &= ~(run << bit);
        }
        if (found == 0 || atomic_compare_exchange_weak_explicit(&meta->free_bits[w], &word, word & ~mask,
                                                                memory_order_acquire, memory_order_relaxed)) {
            return found;
        }
    }
}

static uint32_t claim_short(Hz3SegMeta *meta, uint32_t pages, uint64_t aligned, uint32_t *page_idx, uint32_t want)
{
    uint32_t found = 0;
    for (int dirty_only = 1; dirty_only >= 0; dirty_only--) {
        for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG && found < want; w++) {
            found += claim_in_word(meta, w, pages, aligned, dirty_only, page_idx + found, want - found);
        }
    }
    for (uint32_t i = 0; HZ3_DEBUG && i < found; i++) {
        hz3_assert_slow(hz3_segment_is_valid(meta, page_idx[i], pages));
    }
    return found;
}

uint32_t hz3_segment_claim_many(Hz3SegMeta *meta, uint32_t pages, uint32_t *page_idx, uint32_t want)
{
    hz3_assert(pages <= HZ3_WORD_RUN_MAX && want >= 1);
    return claim_short(meta, pages, UINT64_MAX, page_idx, want);
}

// Takes exactly these pages, word by word in address order; gives back what it took when one word no longer has them.
bool hz3_segment_claim_at(Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages, bool *rolled_back)
{
    hz3_assert(pages >= 1 && page_idx + pages <= HZ3_PAGES_PER_SEG);
    HZ3_FOR_EACH_WORD(w, page_idx, pages)
    {
        uint64_t mask = hz3_word_mask(w, page_idx, pages);
        uint64_t word = atomic_load_explicit(&meta->free_bits[w], memory_order_relaxed);
        do {
            if ((word & mask) != mask) {
                if (w > page_idx / 64) {
                    hz3_segment_publish(meta, page_idx, w * 64 - page_idx);
                    *rolled_back = true;
                }
                return false;
            }
        } while (!atomic_compare_exchange_weak_explicit(&meta->free_bits[w], &word, word & ~mask, memory_order_acquire,
                                                        memory_order_relaxed));
    }
    hz3_assert_slow(hz3_segment_is_valid(meta, page_idx, pages));
    return true;
}

// First free page at or after idx, or 512.
static uint32_t next_free(const uint64_t *words, uint32_t idx)
{
    while (idx < HZ3_PAGES_PER_SEG) {
        uint64_t word = words[idx / 64] >> (idx % 64);
        if (word != 0) {
            return idx + (uint32_t)__builtin_ctzl(word);
        }
        idx = (idx / 64 + 1) * 64;
    }
    return HZ3_PAGES_PER_SEG;
}

// First taken page at or after idx, or 512.
static uint32_t next_taken(const uint64_t *words, uint32_t idx)
{
    while (idx < HZ3_PAGES_PER_SEG) {
        uint64_t word = ~words[idx / 64] >> (idx % 64);
        if (word != 0) {
            return idx + (uint32_t)__builtin_ctzl(word);
        }
        idx = (idx / 64 + 1) * 64;
    }
    return HZ3_PAGES_PER_SEG;
}

// seq_cst, not relaxed: of two threads that have just published neighbouring pages in different words, one sees the run
// that they make together. On x86 the instruction is the same.
static uint64_t free_now(const Hz3SegMeta *meta, uint32_t w)
{
    return atomic_load_explicit(&meta->free_bits[w], memory_order_seq_cst);
}

static void snapshot(const Hz3SegMeta *meta, uint64_t *words)
{
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        words[w] = free_now(meta, w);
    }
}

static uint32_t claim_long(Hz3SegMeta *meta, uint32_t pages, uint32_t align_pages, bool *rolled_back)
{
    uint64_t words[HZ3_WORDS_PER_SEG];
    snapshot(meta, words);
    for (uint32_t idx = next_free(words, 0); idx + pages <= HZ3_PAGES_PER_SEG; idx = next_free(words, idx)) {
        idx = (idx + align_pages - 1) & ~(align_pages - 1);
        uint32_t end = next_taken(words, idx);
        if (end >= idx + pages) {
            if (hz3_segment_claim_at(meta, idx, pages, rolled_back)) {
                return idx;
            }
            snapshot(meta, words);
            end = idx; // lost a race: go on one page further, the rest of the run may still be free
        }
        idx = end > idx ? end : idx + 1;
    }
    return HZ3_PAGE_NONE;
}

// A short run that no word holds may still lie across two.
static uint32_t claim_across_words(Hz3SegMeta *meta, uint32_t pages, uint32_t align_pages, bool *rolled_back)
{
    uint64_t words[HZ3_WORDS_PER_SEG];
    snapshot(meta, words);
    for (uint32_t border = 64; border < HZ3_PAGES_PER_SEG; border += 64) {
        uint64_t below = ~words[border / 64 - 1];
        uint64_t above = ~words[border / 64];
        uint32_t free_below = below != 0 ? (uint32_t)__builtin_clzl(below) : 64;
        uint32_t free_above = above != 0 ? (uint32_t)__builtin_ctzl(above) : 64;
        uint32_t want_below = free_below < pages - 1 ? free_below : pages - 1;
        uint32_t start = (border - want_below + align_pages - 1) & ~(align_pages - 1);
        if (start < border && start + pages <= border + free_above &&
            hz3_segment_claim_at(meta, start, pages, rolled_back)) {
            return start;
        }
    }
    return HZ3_PAGE_NONE;
}

uint32_t hz3_segment_claim(Hz3SegMeta *meta, uint32_t pages, uint32_t align_pages, bool *rolled_back)
{
    hz3_assert(pages >= 1 && align_pages != 0 && (align_pages & (align_pages - 1)) == 0);
    if (pages > HZ3_WORD_RUN_MAX || align_pages > 64) {
        return claim_long(meta, pages, align_pages, rolled_back);
    }
    uint32_t page_idx;
    if (claim_short(meta, pages, aligned_bits(align_pages), &page_idx, 1) == 1) {
        return page_idx;
    }
    return claim_across_words(meta, pages, align_pages, rolled_back);
}

typedef struct Hole {
    uint32_t start; // of the pages to take; HZ3_PAGE_NONE: there is none
    uint32_t length;
    uint32_t longest_left;
} Hole;

static uint32_t max_of(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static Hole find_tightest(const uint64_t *words, uint32_t pages, uint32_t align_pages)
{
    Hole best = {HZ3_PAGE_NONE, UINT32_MAX, 0};
    uint32_t rest_of_best = 0; // the longest part of the hole that stays free
    for (uint32_t from = next_free(words, 0), end; from < HZ3_PAGES_PER_SEG; from = next_free(words, end)) {
        end = next_taken(words, from);
        uint32_t start = (from + align_pages - 1) & ~(align_pages - 1);
        if (start + pages > end || end - from >= best.length) {
            best.longest_left = max_of(best.longest_left, end - from);
            continue;
        }
        best.longest_left = max_of(best.longest_left, best.start != HZ3_PAGE_NONE ? best.length : 0);
        best.start = start;
        best.length = end - from;
        rest_of_best = max_of(start - from, end - start - pages);
    }
    best.longest_left = max_of(best.longest_left, rest_of_best);
    return best;
}

// Each turn of the loop lost a race, so somebody else has got pages; after a few it is his segment.
uint32_t hz3_segment_claim_tightest(Hz3SegMeta *meta, uint32_t pages, uint32_t align_pages, uint32_t *longest_left,
                                    bool *rolled_back)
{
    hz3_assert(pages >= 1 && align_pages != 0 && (align_pages & (align_pages - 1)) == 0);
    uint64_t words[HZ3_WORDS_PER_SEG];
    for (int tries = 0; tries < 8; tries++) {
        snapshot(meta, words);
        Hole hole = find_tightest(words, pages, align_pages);
        *longest_left = hole.longest_left;
        if (hole.start == HZ3_PAGE_NONE || hz3_segment_claim_at(meta, hole.start, pages, rolled_back)) {
            return hole.start;
        }
    }
    return HZ3_PAGE_NONE;
}

bool hz3_segment_claim_whole(Hz3SegMeta *meta, bool *rolled_back)
{
    return hz3_segment_claim_at(meta, 0, HZ3_PAGES_PER_SEG, rolled_back);
}

static void require_no_tags(const char *caller, const Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages)
{
    uint32_t page = (uint32_t)(meta - hz3_arena.seg) * HZ3_PAGES_PER_SEG + page_idx;
    for (uint32_t i = 0; i < pages; i++) {
        hz3_require(hz3_tag_of(page + i) == HZ3_TAG_NONE, "release", hz3_page_addr(page + i),
                    "internal error: %s frees a page that holds an object; only the release boundary may", caller);
    }
}

void hz3_segment_publish_by(const char *caller, Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages)
{
    if (HZ3_DEBUG) {
        require_no_tags(caller, meta, page_idx, pages);
    }
    hz3_assert(pages >= 1 && page_idx + pages <= HZ3_PAGES_PER_SEG);
    HZ3_FOR_EACH_WORD(w, page_idx, pages)
    {
        uint64_t mask = hz3_word_mask(w, page_idx, pages);
        // seq_cst, not release: packing's hints are ordered against it (hz3_segment_packing.h). On x86 the instruction
        // is the same.
        uint64_t before = atomic_fetch_or_explicit(&meta->free_bits[w], mask, memory_order_seq_cst);
        hz3_require((before & mask) == 0, "release", meta, "internal error: pages that were free already");
    }
}

void hz3_segment_mark_dirty(Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages)
{
    hz3_assert(pages >= 1 && page_idx + pages <= HZ3_PAGES_PER_SEG);
    HZ3_FOR_EACH_WORD(w, page_idx, pages)
    {
        uint64_t mask = hz3_word_mask(w, page_idx, pages);
        if ((atomic_load_explicit(&meta->dirty_bits[w], memory_order_relaxed) & mask) != mask) {
            atomic_fetch_or_explicit(&meta->dirty_bits[w], mask, memory_order_relaxed);
        }
        if ((atomic_load_explicit(&meta->young_bits[w], memory_order_relaxed) & mask) != mask) {
            atomic_fetch_or_explicit(&meta->young_bits[w], mask, memory_order_relaxed);
        }
    }
}

bool hz3_segment_is_clean(const Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages)
{
    HZ3_FOR_EACH_WORD(w, page_idx, pages)
    {
        if (atomic_load_explicit(&meta->dirty_bits[w], memory_order_relaxed) & hz3_word_mask(w, page_idx, pages)) {
            return false;
        }
    }
    return true;
}

bool hz3_segment_has_dirty_pages(const Hz3SegMeta *meta)
{
    uint64_t dirty = 0;
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        uint64_t word = free_now(meta, w); // first: who has seen a page free sees that it is dirty
        dirty |= word & atomic_load_explicit(&meta->dirty_bits[w], memory_order_relaxed);
    }
    return dirty != 0;
}

bool hz3_segment_any_free(const Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages)
{
    HZ3_FOR_EACH_WORD(w, page_idx, pages)
    {
        if (atomic_load_explicit(&meta->free_bits[w], memory_order_relaxed) & hz3_word_mask(w, page_idx, pages)) {
            return true;
        }
    }
    return false;
}

uint32_t hz3_segment_free_pages(const Hz3SegMeta *meta)
{
    uint32_t pages = 0;
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        pages += (uint32_t)__builtin_popcountl(atomic_load_explicit(&meta->free_bits[w], memory_order_relaxed));
    }
    return pages;
}

uint32_t hz3_segment_clean_pages(const Hz3SegMeta *meta)
{
    uint32_t pages = 0;
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        uint64_t dirty = atomic_load_explicit(&meta->dirty_bits[w], memory_order_relaxed);
        pages +=
            (uint32_t)__builtin_popcountl(atomic_load_explicit(&meta->free_bits[w], memory_order_relaxed) & ~dirty);
    }
    return pages;
}

uint32_t hz3_segment_free_ranges(const Hz3SegMeta *meta)
{
    uint32_t ranges = 0;
    uint64_t before = 0; // the last page of the word below
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        uint64_t word = atomic_load_explicit(&meta->free_bits[w], memory_order_relaxed);
        ranges += (uint32_t)__builtin_popcountl(word & ~(word << 1 | before));
        before = word >> 63;
    }
    return ranges;
}

uint32_t hz3_segment_longest_run(const Hz3SegMeta *meta)
{
    uint64_t words[HZ3_WORDS_PER_SEG];
    snapshot(meta, words);
    uint32_t longest = 0;
    for (uint32_t from = next_free(words, 0), end; from < HZ3_PAGES_PER_SEG; from = next_free(words, end)) {
        end = next_taken(words, from);
        longest = max_of(longest, end - from);
    }
    return longest;
}

// Called by every release, so the usual case, a run inside one word, reads one word.
uint32_t hz3_segment_free_run_around(const Hz3SegMeta *meta, uint32_t page_idx)
{
    hz3_assert(page_idx < HZ3_PAGES_PER_SEG);
    uint32_t bit = page_idx % 64;
    uint64_t word = free_now(meta, page_idx / 64);
    uint64_t taken_above = ~word >> bit;
    uint64_t taken_below = ~word << (63 - bit);
    if (taken_above != 0 && taken_below != 0) {
        uint32_t above = (uint32_t)__builtin_ctzl(taken_above);
        return above == 0 ? 0 : above + (uint32_t)__builtin_clzl(taken_below) - 1;
    }
    uint64_t words[HZ3_WORDS_PER_SEG];
    snapshot(meta, words);
    uint32_t start = page_idx;
    while (start > 0) {
        uint64_t taken = ~words[(start - 1) / 64] << (63 - (start - 1) % 64);
        if (taken != 0) {
            start -= (uint32_t)__builtin_clzl(taken);
            break;
        }
        start = (start - 1) / 64 * 64;
    }
    return next_taken(words, page_idx) - start;
}

bool hz3_segment_is_valid(const Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages)
{
    if (!HZ3_DEBUG) {
        return true;
    }
    uint32_t slot = (uint32_t)(meta - hz3_arena.seg);
    if (slot >= hz3_arena.slots || pages == 0 || page_idx + pages > HZ3_PAGES_PER_SEG ||
        hz3_segment_any_free(meta, page_idx, pages) || !hz3_ledger_entry_is_valid(meta)) {
        return false;
    }
    for (uint32_t i = 0; i < pages; i++) {
        if (hz3_tag_of(slot * HZ3_PAGES_PER_SEG + page_idx + i) != HZ3_TAG_NONE) {
            return false;
        }
    }
    return true;
}
