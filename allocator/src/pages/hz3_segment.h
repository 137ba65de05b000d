// The lock-free page map of one segment. Invariants (the page states are in hz3_types.h):
//   I1  a page's free bit goes 1 → 0 only by the CAS of the one who takes it (acquire: it sees what the giver wrote);
//   I2  it goes 0 → 1 only by that owner's fetch_or (release: everything it wrote before is seen by the next taker);
//   I3  between the two the owner alone writes the page's tag, dirty bit, run metadata and bitmap.
// So two threads can never both own a page, whatever they read before the CAS. Nothing here blocks or allocates.
#ifndef HZ3_SEGMENT_H
#define HZ3_SEGMENT_H

#include "base/hz3_types.h"

#define HZ3_WORD_RUN_MAX 16u // up to this long, a run is taken inside one 64-page word by one CAS if there is one

// The claims below that may take pages of several words take them word by word. When one word no longer has its pages,
// what was taken so far is given back and *rolled_back is set; else it stays as it was. For that moment these pages
// looked taken, so that their hints may have been cleared and their segment may have left the ledger: whoever claimed
// calls hz3_pack_rolled_back() then.

// Takes `pages` contiguous pages, the first at a multiple of `align_pages` (a power of two). Runs of at most
// HZ3_WORD_RUN_MAX pages are looked for inside one word first, resident pages before clean ones. Returns the page's
// index or HZ3_PAGE_NONE.
uint32_t hz3_segment_claim(Hz3SegMeta *meta, uint32_t pages, uint32_t align_pages, bool *rolled_back);

// Takes up to `want` runs of `pages` ≤ HZ3_WORD_RUN_MAX by the same rules, several by one CAS. Returns how many.
uint32_t hz3_segment_claim_many(Hz3SegMeta *meta, uint32_t pages, uint32_t *page_idx, uint32_t want);

// Takes `pages` contiguous pages out of the shortest free run that holds them, the lowest of equals: what a nearly full
// arena lives on, for it leaves the long runs to those who need them. *longest_left: the longest run that was left, or
// that there was when the answer is HZ3_PAGE_NONE.
uint32_t hz3_segment_claim_tightest(Hz3SegMeta *meta, uint32_t pages, uint32_t align_pages, uint32_t *longest_left,
                                    bool *rolled_back);

// Takes exactly these pages, or none and returns false.
bool hz3_segment_claim_at(Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages, bool *rolled_back);

// Takes all 512 pages, or none and returns false.
bool hz3_segment_claim_whole(Hz3SegMeta *meta, bool *rolled_back);

// Gives pages back that the caller took: the release boundary, and those who claimed without using or after a purge. A
// debug build names any other caller: a page that holds an object has a tag, and only the boundary takes tags away.
#define hz3_segment_publish(meta, page_idx, pages)                                                                     \
    hz3_segment_publish_by(HZ3_DEBUG ? __func__ : NULL, meta, page_idx, pages)
void hz3_segment_publish_by(const char *caller, Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages);

// By the owner, before it publishes pages that were used: dirty, and young until an epoch has looked.
void hz3_segment_mark_dirty(Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages);

// For the owner of the pages: none of them was used since it was last zero.
bool hz3_segment_is_clean(const Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages);

// Some page is free and dirty. Reads the bits after whatever the caller did before (hz3_ledger_list.h).
bool hz3_segment_has_dirty_pages(const Hz3SegMeta *meta);

// True if any of the pages is free, which a caller about to release them must never see.
bool hz3_segment_any_free(const Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages);

// Snapshots, good for hints and figures. free_run_around: the length of the free run that holds the page.
uint32_t hz3_segment_free_pages(const Hz3SegMeta *meta);
uint32_t hz3_segment_clean_pages(const Hz3SegMeta *meta); // free and not resident
uint32_t hz3_segment_free_ranges(const Hz3SegMeta *meta); // of pages, as long as they can be
uint32_t hz3_segment_longest_run(const Hz3SegMeta *meta);
uint32_t hz3_segment_free_run_around(const Hz3SegMeta *meta, uint32_t page_idx);

// Bits [page_idx, page_idx + pages) that fall into word w.
static inline uint64_t hz3_word_mask(uint32_t w, uint32_t page_idx, uint32_t pages)
{
    uint32_t from = page_idx > w * 64 ? page_idx - w * 64 : 0;
    uint32_t to = page_idx + pages < (w + 1) * 64 ? page_idx + pages - w * 64 : 64;
    return (to == 64 ? UINT64_MAX : (1ull << to) - 1) & (UINT64_MAX << from);
}

static inline uint32_t hz3_last_word(uint32_t page_idx, uint32_t pages)
{
    return (page_idx + pages - 1) / 64;
}

#define HZ3_FOR_EACH_WORD(w, page_idx, pages)                                                                          \
    for (uint32_t w = (page_idx) / 64; w <= hz3_last_word(page_idx, pages); w++)

// For asserts, by the owner of the pages while nothing lies in them: after a claim, before the slot is opened or
// closed. Other pages of the segment may change at any moment, so nothing is said of them.
//   S1  the pages are pages of one segment of the arena;
//   S2  none of them is free (I1);
//   S3  none of them has a tag: tags are set after the claim, and the boundary takes them away before it publishes;
//   S4  the segment's words in the ledger's list are a flag, and a slot or none.
bool hz3_segment_is_valid(const Hz3SegMeta *meta, uint32_t page_idx, uint32_t pages);

#endif
