#include "pages/hz3_arena.h"

#include "base/hz3_knobs.h"
#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_stats.h"
#include "pages/hz3_in_purging.h"
#include "pages/hz3_segment.h"
#include "pages/hz3_segment_packing.h"

#define ARENA_MIN_AUTO ((size_t)16 << 30)
#define ARENA_MAX_AUTO ((size_t)8 << 40) // the knob's, too: page numbers have 32 bits
#define RETRY_MS 100                     // a try costs up to a hundred system calls
#define RUN_BYTES_PER_SEG (HZ3_PAGES_PER_SEG * sizeof(Hz3RunMeta))
#define BITS_BYTES_PER_SEG (HZ3_PAGES_PER_SEG * sizeof(Hz3PageBits))
#define STATE_BYTES_PER_SEG (HZ3_HARDENED ? HZ3_SEG_SIZE / HZ3_MIN_ALIGN * sizeof(Hz3BlockState) : 0)

_Static_assert(RUN_BYTES_PER_SEG % HZ3_PAGE_SIZE == 0, "a segment's run metadata is whole pages, so it can be purged");
_Static_assert(ARENA_MAX_AUTO >> HZ3_PAGE_SHIFT < HZ3_PAGE_NONE, "a page number, and none, have 32 bits");
_Static_assert(BITS_BYTES_PER_SEG % HZ3_PAGE_SIZE == 0, "a segment's bitmaps are whole pages, so they can be purged");

// A base that no size makes a program's address ours, while the base of the day is read beside a later size.
Hz3Arena hz3_arena = {.base = (uintptr_t)1 << 63};

// Bit set = slot free. Taken by CAS, given back by fetch_or: the same rule as for pages.
static _Atomic uint64_t *slot_free;

static size_t wanted_bytes(void)
{
    size_t bytes = (size_t)hz3_knobs.ARENA_SIZE;
    if (bytes == 0) {
        bytes = 4 * hz3_os_ram_bytes();
        bytes = bytes < ARENA_MIN_AUTO ? ARENA_MIN_AUTO : bytes > ARENA_MAX_AUTO ? ARENA_MAX_AUTO : bytes;
    }
    size_t limit = hz3_os_address_space_limit();
    if (limit != SIZE_MAX && bytes > limit / 4) {
        return limit / 4 & ~(HZ3_SEG_SIZE - 1); // threads and mappings need room too
    }
    return (bytes + HZ3_SEG_SIZE - 1) & ~(HZ3_SEG_SIZE - 1);
}

// One reservation for all tables. What walks or searches touch without opening a slot (seg, tags, slot bitmap, packing)
// comes first and is committed at once; run metadata and bitmaps follow their slot.
static bool reserve_tables(uint32_t slots)
{
    size_t seg_bytes = hz3_page_round_up(slots * sizeof(Hz3SegMeta));
    size_t tag_bytes = hz3_page_round_up((size_t)slots * HZ3_PAGES_PER_SEG);
    size_t free_bytes = hz3_page_round_up((slots + 63) / 64 * sizeof(uint64_t));
    size_t pack_bytes = hz3_page_round_up(hz3_pack_table_bytes(slots));
    size_t eager_bytes = seg_bytes + tag_bytes + free_bytes + pack_bytes;
    size_t bytes = eager_bytes + slots * (RUN_BYTES_PER_SEG + BITS_BYTES_PER_SEG + STATE_BYTES_PER_SEG);
    char *table = hz3_os_reserve(bytes, HZ3_PAGE_SIZE);
    if (table == NULL) {
        return false;
    }
    if (!hz3_os_commit(table, eager_bytes)) {
        hz3_os_unmap(table, bytes);
        return false;
    }
    hz3_os_no_huge_pages(table, bytes);
    hz3_arena.seg = (Hz3SegMeta *)table;
    hz3_arena.sc_tag = (_Atomic uint8_t *)(table + seg_bytes);
    slot_free = (_Atomic uint64_t *)(table + seg_bytes + tag_bytes);
    hz3_pack_init((_Atomic uint64_t *)(table + seg_bytes + tag_bytes + free_bytes), slots);
    hz3_arena.run = (Hz3RunMeta *)(table + eager_bytes);
    hz3_arena.bits = (Hz3PageBits *)(table + eager_bytes + slots * RUN_BYTES_PER_SEG);
    hz3_arena.block_state = (Hz3BlockState *)(table + eager_bytes + slots * (RUN_BYTES_PER_SEG + BITS_BYTES_PER_SEG));
    return true;
}

static void try_sizes(void)
{
    for (size_t bytes = wanted_bytes(); bytes >= HZ3_SEG_SIZE; bytes = bytes / 2 & ~(HZ3_SEG_SIZE - 1)) {
        void *base = hz3_os_reserve(bytes, HZ3_SEG_SIZE);
        if (base == NULL) {
            continue;
        }
        uint32_t slots = (uint32_t)(bytes >> HZ3_SEG_SHIFT);
        hz3_assert(((uintptr_t)base & (HZ3_SEG_SIZE - 1)) == 0 && slots <= UINT32_MAX / HZ3_PAGES_PER_SEG);
        if (!reserve_tables(slots)) {
            hz3_os_unmap(base, bytes);
            continue;
        }
        hz3_os_no_huge_pages(base, bytes);
        atomic_store_explicit(&hz3_arena.slots_left, slots, memory_order_relaxed);
        for (uint32_t slot = 0; slot < slots; slot += 64) {
            uint64_t all = slots - slot >= 64 ? UINT64_MAX : (1ull << (slots - slot)) - 1;
            atomic_store_explicit(&slot_free[slot / 64], all, memory_order_relaxed);
        }
        // A thread that still reads the old size has no pointer into the arena, so it may take none for its own.
        hz3_arena.base = (uintptr_t)base;
        hz3_arena.size = bytes;
        atomic_store_explicit(&hz3_arena.slots, slots, memory_order_release);
        return;
    }
}

static Hz3Lock init_lock = HZ3_LOCK_INIT(HZ3_RANK_BUDGET);

void hz3_arena_init(void)
{
    if (hz3_lock_try(&init_lock)) { // else another thread is trying
        if (atomic_load_explicit(&hz3_arena.slots, memory_order_acquire) == 0) {
            try_sizes();
        }
        hz3_lock_release(&init_lock);
    }
}

// fork copies the tables page by page. What another thread claimed and tagged meanwhile can be free in the child and
// have its tag nevertheless. That harms nobody: whoever claims the page sets its tag anew. But asserts ask for it.
static void drop_tags_of_free_pages(void)
{
    HZ3_FOR_EACH_SLOT(slot)
    {
        for (uint32_t idx = 0; idx < HZ3_PAGES_PER_SEG; idx++) {
            if (hz3_segment_any_free(&hz3_arena.seg[slot], idx, 1)) {
                hz3_tag_set(slot * HZ3_PAGES_PER_SEG + idx, 1, HZ3_TAG_NONE);
            }
        }
    }
}

void hz3_arena_fork_child(void)
{
    hz3_lock_fork_child(&init_lock);
    if (HZ3_DEBUG) {
        drop_tags_of_free_pages();
    }
}

bool hz3_arena_exists(void)
{
    static _Atomic uint64_t tried_ms;
    if (HZ3_LIKELY(atomic_load_explicit(&hz3_arena.slots, memory_order_acquire) != 0)) {
        return true;
    }
    uint64_t now = hz3_os_coarse_ms();
    uint64_t before = atomic_load_explicit(&tried_ms, memory_order_relaxed);
    if (now - before >= RETRY_MS &&
        atomic_compare_exchange_strong_explicit(&tried_ms, &before, now, memory_order_relaxed, memory_order_relaxed)) {
        hz3_arena_init();
    }
    return atomic_load_explicit(&hz3_arena.slots, memory_order_acquire) != 0;
}

static Hz3BlockState *states_of_slot(uint32_t slot)
{
    return hz3_arena.block_state + (size_t)slot * (HZ3_SEG_SIZE / HZ3_MIN_ALIGN);
}

static bool commit_slot(uint32_t slot)
{
    size_t page = (size_t)slot * HZ3_PAGES_PER_SEG;
    return hz3_os_commit(hz3_page_addr((uint32_t)page), HZ3_SEG_SIZE) &&
           hz3_os_commit(&hz3_arena.run[page], RUN_BYTES_PER_SEG) &&
           hz3_os_commit(&hz3_arena.bits[page], BITS_BYTES_PER_SEG) &&
           (!HZ3_HARDENED || hz3_os_commit(states_of_slot(slot), STATE_BYTES_PER_SEG));
}

// The slot's pages count as on their way until they are published or the slot is given back.
static uint32_t take_lowest_slot(void)
{
    for (uint32_t w = 0; w < (hz3_arena.slots + 63) / 64; w++) {
        uint64_t word = atomic_load_explicit(&slot_free[w], memory_order_relaxed);
        while (word != 0) {
            uint64_t bit = word & -word;
            hz3_in_purging_add(HZ3_PAGES_PER_SEG); // before nobody sees them any more
            if (atomic_compare_exchange_weak_explicit(&slot_free[w], &word, word & ~bit, memory_order_acquire,
                                                      memory_order_relaxed)) {
                atomic_fetch_sub_explicit(&hz3_arena.slots_left, 1, memory_order_relaxed);
                return w * 64 + (uint32_t)__builtin_ctzl(bit);
            }
            hz3_in_purging_sub(HZ3_PAGES_PER_SEG);
        }
    }
    return HZ3_PAGE_NONE;
}

static void give_slot(uint32_t slot)
{
    hz3_assert(slot < hz3_arena.slots && hz3_arena_slot_is_open(slot));
    atomic_fetch_add_explicit(&hz3_arena.slots_left, 1, memory_order_relaxed);
    atomic_fetch_or_explicit(&slot_free[slot / 64], 1ull << (slot % 64), memory_order_release);
}

uint32_t hz3_arena_slot_open(void)
{
    uint32_t slot = take_lowest_slot();
    if (slot == HZ3_PAGE_NONE) {
        return HZ3_PAGE_NONE;
    }
    if (!commit_slot(slot)) {
        give_slot(slot);
        hz3_in_purging_sub(HZ3_PAGES_PER_SEG);
        return HZ3_PAGE_NONE;
    }
    uint32_t touched = atomic_load_explicit(&hz3_arena.slots_touched, memory_order_relaxed);
    while (touched <= slot && !atomic_compare_exchange_weak_explicit(&hz3_arena.slots_touched, &touched, slot + 1,
                                                                     memory_order_release, memory_order_relaxed)) {
    }
    hz3_stat_add(segments_opened, 1);
    Hz3SegMeta *meta = &hz3_arena.seg[slot];
    hz3_assert_slow(hz3_segment_is_valid(meta, 0, HZ3_PAGES_PER_SEG));
    for (uint32_t w = 0; w < HZ3_WORDS_PER_SEG; w++) {
        atomic_store_explicit(&meta->dirty_bits[w], 0, memory_order_relaxed);
        atomic_store_explicit(&meta->free_bits[w], UINT64_MAX, memory_order_seq_cst);
    }
    hz3_pack_on_free(slot, 0, HZ3_PAGES_PER_SEG);
    hz3_in_purging_sub(HZ3_PAGES_PER_SEG);
    return slot;
}

// Claimed by us and purged: nobody reads the slot's run metadata and bitmaps until a run of it is created anew.
void hz3_arena_slot_close(uint32_t slot)
{
    hz3_assert_slow(hz3_segment_is_valid(&hz3_arena.seg[slot], 0, HZ3_PAGES_PER_SEG));
    hz3_assert(hz3_segment_is_clean(&hz3_arena.seg[slot], 0, HZ3_PAGES_PER_SEG));
    size_t page = (size_t)slot * HZ3_PAGES_PER_SEG;
    hz3_os_purge(&hz3_arena.run[page], RUN_BYTES_PER_SEG);
    hz3_os_purge(&hz3_arena.bits[page], BITS_BYTES_PER_SEG);
    if (HZ3_HARDENED) {
        hz3_os_purge(states_of_slot(slot), STATE_BYTES_PER_SEG);
    }
    hz3_stat_add(madvise_calls, HZ3_HARDENED ? 3 : 2);
    hz3_stat_add(segments_retired, 1);
    hz3_pack_on_close(slot);
    give_slot(slot);
}

bool hz3_arena_slot_is_open(uint32_t slot)
{
    hz3_assert(slot < hz3_arena.slots);
    return (atomic_load_explicit(&slot_free[slot / 64], memory_order_relaxed) & (1ull << (slot % 64))) == 0;
}

uint32_t hz3_arena_slots_closed(void)
{
    uint32_t closed = 0;
    HZ3_FOR_EACH_SLOT(slot)
    {
        closed += !hz3_arena_slot_is_open(slot);
    }
    return closed;
}
