#include "pages/hz3_arena.h"

#include "base/hz3_knobs.h"
#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_stats.h"
#include "pages/hz3_in_purging.h"
#include "pages/hz3_segment.h"
#include "pages/hz3_segment_packing.h"
#include "pages/hz3_window.h"

#define ARENA_MIN_AUTO ((size_t)16 << 30)
#define ARENA_MAX_AUTO ((size_t)8 << 40) // the knob's, too: page numbers have 32 bits
#define RETRY_MS 100                     // a try costs up to a hundred system calls
#define TRIES 4                          // of places in the middle of the address space

// Tables grow by the rows of so many slots: 128 MiB of the arena.
#define BLOCK_SLOTS 64u

#define RUN_BYTES_PER_SEG (HZ3_PAGES_PER_SEG * sizeof(Hz3RunMeta))
#define BITS_BYTES_PER_SEG (HZ3_PAGES_PER_SEG * sizeof(Hz3PageBits))
#define STATE_BYTES_PER_SEG (HZ3_SEG_SIZE / HZ3_MIN_ALIGN * sizeof(Hz3BlockState))

// Of addresses alone. Slabs are what takes most of it: 150 KiB a thread at most.
#define OWN_DATA_BYTES ((size_t)64 << 30)
#define OWN_DATA_BYTES_RESERVED ((size_t)512 << 20)

// A closed slot's memory goes back, and its addresses become a hole between two mappings, while there are few holes:
// the kernel bounds a process's mappings, and the program needs them too.
#define HOLES_MAX 4096

_Static_assert(RUN_BYTES_PER_SEG % HZ3_PAGE_SIZE == 0, "a segment's run metadata is whole pages, so it can be purged");
_Static_assert(ARENA_MAX_AUTO >> HZ3_PAGE_SHIFT < HZ3_PAGE_NONE, "a page number, and none, have 32 bits");
_Static_assert(BITS_BYTES_PER_SEG % HZ3_PAGE_SIZE == 0, "a segment's bitmaps are whole pages, so they can be purged");

// A base that no size makes a program's address ours, while the base of the day is read beside a later size.
Hz3Arena hz3_arena = {.base = (uintptr_t)1 << 63};

// Slots 64 b to 64 b + 63. A slot is taken by a fetch_or or CAS and given back by a fetch_and: the same rule as for
// pages. Its owner alone changes the other bit.
typedef struct SlotWords {
    _Atomic uint64_t taken;
    _Atomic uint64_t mapped; // has its memory, though it may be closed
} SlotWords;

static SlotWords *slot_words;

static uint32_t slots_max;               // hz3_arena.slots, before that is set
static _Atomic uint32_t slots_described; // that the tables reach to

// --- tables ------------------------------------------------------------------------------------------------------

// By block. What walks and searches read without owning a slot is writable memory at once. Of the others the block gets
// zeros that can be read, by whoever is late or wrong, until a slot is opened.
enum { TABLE_WORDS, TABLE_SEG, TABLE_TAG, TABLE_PACK, TABLE_RUN, TABLE_BITS, TABLE_STATE, TABLE_COUNT };

typedef struct Table {
    char *at;
    size_t mapped; // bytes; under grow_lock
    size_t bytes_per_block;
    Hz3OsAccess access;
} Table;

static Table tables[TABLE_COUNT] = {
    [TABLE_WORDS] = {.bytes_per_block = sizeof(SlotWords), .access = HZ3_OS_WRITE},
    [TABLE_SEG] = {.bytes_per_block = BLOCK_SLOTS * sizeof(Hz3SegMeta), .access = HZ3_OS_WRITE},
    [TABLE_TAG] = {.bytes_per_block = BLOCK_SLOTS * HZ3_PAGES_PER_SEG, .access = HZ3_OS_WRITE},
    [TABLE_PACK] = {.bytes_per_block = HZ3_PACK_BYTES_PER_64_SLOTS, .access = HZ3_OS_WRITE},
    [TABLE_RUN] = {.bytes_per_block = BLOCK_SLOTS * RUN_BYTES_PER_SEG},
    [TABLE_BITS] = {.bytes_per_block = BLOCK_SLOTS * BITS_BYTES_PER_SEG},
    [TABLE_STATE] = {.bytes_per_block = HZ3_HARDENED ? BLOCK_SLOTS * STATE_BYTES_PER_SEG : 0},
};

static Hz3Lock grow_lock = HZ3_LOCK_INIT(HZ3_RANK_GROW);
static bool is_half_grown; // in a fork's child: some tables may be longer than `mapped` says; under the lock

static uint32_t blocks_of(uint32_t slots)
{
    return (slots + BLOCK_SLOTS - 1) / BLOCK_SLOTS;
}

static size_t table_bytes(const Table *table, uint32_t blocks)
{
    return hz3_page_round_up(blocks * table->bytes_per_block);
}

static Hz3OsPlace grow_table(Table *table, uint32_t blocks)
{
    size_t bytes = table_bytes(table, blocks) - table->mapped;
    if (bytes == 0) {
        return HZ3_OS_DONE;
    }
    char *end = table->at + table->mapped;
    Hz3OsPlace place =
        is_half_grown ? hz3_os_map_at(end, bytes, table->access, true) : hz3_window_map(end, bytes, table->access);
    table->mapped += place == HZ3_OS_DONE ? bytes : 0;
    return place;
}

// The tables for so many blocks; what an earlier try has got stays.
static Hz3OsPlace grow_to(uint32_t blocks)
{
    hz3_assert(hz3_lock_is_held(&grow_lock));
    for (uint32_t t = 0; t < TABLE_COUNT; t++) {
        Hz3OsPlace place = grow_table(&tables[t], blocks);
        if (place != HZ3_OS_DONE) {
            return place;
        }
    }
    is_half_grown = false;
    uint32_t slots = blocks * BLOCK_SLOTS < slots_max ? blocks * BLOCK_SLOTS : slots_max;
    // free() reads it without more ado: who has a pointer to what is new has seen all that came before it.
    __atomic_store_n(&hz3_arena.size, (size_t)slots << HZ3_SEG_SHIFT, __ATOMIC_RELAXED);
    atomic_store_explicit(&slots_described, slots, memory_order_release);
    return HZ3_OS_DONE;
}

// One more block than the caller has seen. False: there is none, or the kernel has no memory for it.
static bool grow_beyond(uint32_t slots_seen)
{
    bool has_more = true;
    hz3_lock_acquire(&grow_lock);
    uint32_t described = atomic_load_explicit(&slots_described, memory_order_relaxed);
    if (described == slots_seen) {
        has_more = described < slots_max && grow_to(described / BLOCK_SLOTS + 1) == HZ3_OS_DONE;
    }
    hz3_lock_release(&grow_lock);
    return has_more;
}

// --- start -------------------------------------------------------------------------------------------------------

static size_t wanted_bytes(size_t limit)
{
    size_t bytes = (size_t)hz3_knobs.ARENA_SIZE;
    if (bytes == 0) {
        bytes = 4 * hz3_os_ram_bytes();
        bytes = bytes < ARENA_MIN_AUTO ? ARENA_MIN_AUTO : bytes > ARENA_MAX_AUTO ? ARENA_MAX_AUTO : bytes;
    }
    return bytes < limit ? (bytes + HZ3_SEG_SIZE - 1) & ~(HZ3_SEG_SIZE - 1) : limit & ~(HZ3_SEG_SIZE - 1);
}

static size_t window_bytes(size_t own_data_bytes)
{
    size_t bytes = hz3_window_part_bytes(0) + hz3_window_part_bytes(own_data_bytes) +
                   hz3_window_part_bytes((size_t)slots_max << HZ3_SEG_SHIFT);
    for (uint32_t t = 0; t < TABLE_COUNT; t++) {
        bytes += hz3_window_part_bytes(table_bytes(&tables[t], blocks_of(slots_max)));
    }
    return bytes;
}

// A thread that still reads another size than 0 has no pointer into the arena, so it may take none for its own.
static void lay_out(void)
{
    for (uint32_t t = 0; t < TABLE_COUNT; t++) {
        tables[t].at = hz3_window_part(table_bytes(&tables[t], blocks_of(slots_max)));
        tables[t].mapped = 0;
    }
    slot_words = (SlotWords *)tables[TABLE_WORDS].at;
    hz3_arena.seg = (Hz3SegMeta *)tables[TABLE_SEG].at;
    hz3_arena.sc_tag = (_Atomic uint8_t *)tables[TABLE_TAG].at;
    hz3_pack_init((_Atomic uint64_t *)tables[TABLE_PACK].at);
    hz3_arena.run = (Hz3RunMeta *)tables[TABLE_RUN].at;
    hz3_arena.bits = (Hz3PageBits *)tables[TABLE_BITS].at;
    hz3_arena.block_state = (Hz3BlockState *)tables[TABLE_STATE].at;
    hz3_arena.base = (uintptr_t)hz3_window_part((size_t)slots_max << HZ3_SEG_SHIFT);
}

static void give_up(void)
{
    for (uint32_t t = 0; t < TABLE_COUNT; t++) {
        if (tables[t].mapped != 0) {
            hz3_window_unmap(tables[t].at, tables[t].mapped);
        }
    }
    hz3_window_give_up();
}

// A window for so many bytes of segments: in the middle of the address space at its n-th place, or reserved.
static Hz3OsPlace try_window(size_t bytes, bool is_reserved, uint32_t nth)
{
    slots_max = (uint32_t)(bytes >> HZ3_SEG_SHIFT);
    hz3_assert(slots_max <= UINT32_MAX / HZ3_PAGES_PER_SEG);
    size_t own_data_bytes = is_reserved ? OWN_DATA_BYTES_RESERVED : OWN_DATA_BYTES;
    size_t all = window_bytes(own_data_bytes);
    if (slots_max == 0 || !(is_reserved ? hz3_window_reserve(all) : hz3_window_choose(all, nth))) {
        return HZ3_OS_REFUSED;
    }
    void *own_data = hz3_window_part(own_data_bytes);
    lay_out();
    hz3_lock_acquire(&grow_lock);
    Hz3OsPlace place = grow_to(1);
    hz3_lock_release(&grow_lock);
    if (place != HZ3_OS_DONE) {
        give_up();
        return place;
    }
    hz3_window_keep_metadata_in(own_data, own_data_bytes);
    atomic_store_explicit(&hz3_arena.slots_left, slots_max, memory_order_relaxed);
    atomic_store_explicit(&hz3_arena.slots, slots_max, memory_order_release);
    return HZ3_OS_DONE;
}

// A reservation counts as address space as a whole, and threads and mappings need some, too.
static void try_sizes(void)
{
    size_t limit = hz3_os_address_space_limit();
    size_t bytes = wanted_bytes(limit);
    Hz3OsPlace place = HZ3_OS_OCCUPIED;
    for (uint32_t n = 0; n < TRIES && place == HZ3_OS_OCCUPIED; n++) {
        place = try_window(bytes, false, n);
    }
    bytes = bytes < limit / 4 ? bytes : limit / 4;
    for (; place != HZ3_OS_DONE && bytes >= HZ3_SEG_SIZE; bytes /= 2) {
        place = try_window(bytes & ~(HZ3_SEG_SIZE - 1), true, 0);
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

// A slot that another thread was opening or closing stays taken in the child.
void hz3_arena_fork_child(void)
{
    hz3_lock_fork_child(&init_lock);
    is_half_grown = is_half_grown || (atomic_load_explicit(&grow_lock.word, memory_order_relaxed) != 0 &&
                                      !hz3_lock_is_mine(&grow_lock)); // of a thread that is not here
    hz3_lock_fork_child(&grow_lock);
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

// --- a slot's memory; by the slot's owner ------------------------------------------------------------------------

static _Atomic int32_t holes; // about so many, between mapped slots

static void *data_of(uint32_t slot)
{
    return hz3_page_addr(slot * HZ3_PAGES_PER_SEG);
}

static bool is_mapped(uint32_t slot)
{
    return (atomic_load_explicit(&slot_words[slot / 64].mapped, memory_order_relaxed) >> (slot % 64) & 1) != 0;
}

// What a slot that gets its memory adds to the holes: 1 in the middle of one, -1 where it fills one. Neighbours may
// change meanwhile, so their number is not exact.
static int32_t holes_of(uint32_t slot)
{
    bool has_lower = slot > 0 && is_mapped(slot - 1);
    bool has_higher = slot + 1 < atomic_load_explicit(&slots_described, memory_order_relaxed) && is_mapped(slot + 1);
    return 1 - has_lower - has_higher;
}

typedef struct Row {
    void *at;
    size_t bytes;
} Row;

#define ROWS (HZ3_HARDENED ? 3 : 2)

static Row row_of(uint32_t slot, uint32_t i)
{
    size_t page = (size_t)slot * HZ3_PAGES_PER_SEG;
    return i == 0   ? (Row){&hz3_arena.run[page], RUN_BYTES_PER_SEG}
           : i == 1 ? (Row){&hz3_arena.bits[page], BITS_BYTES_PER_SEG}
                    : (Row){hz3_arena.block_state + page * (HZ3_PAGE_SIZE / HZ3_MIN_ALIGN), STATE_BYTES_PER_SEG};
}

static Hz3OsPlace get_memory(uint32_t slot)
{
    if (is_mapped(slot)) {
        return HZ3_OS_DONE;
    }
    Hz3OsPlace place = hz3_window_map(data_of(slot), HZ3_SEG_SIZE, HZ3_OS_WRITE);
    if (place != HZ3_OS_DONE) {
        return place;
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        Row row = row_of(slot, i);
        if (!hz3_os_commit(row.at, row.bytes)) {
            hz3_window_unmap(data_of(slot), HZ3_SEG_SIZE);
            return HZ3_OS_REFUSED;
        }
    }
    hz3_os_huge_pages(data_of(slot), HZ3_SEG_SIZE, hz3_knobs.HUGE_SEGMENTS);
    atomic_fetch_add_explicit(&holes, holes_of(slot), memory_order_relaxed);
    atomic_fetch_or_explicit(&slot_words[slot / 64].mapped, 1ull << (slot % 64), memory_order_relaxed);
    return HZ3_OS_DONE;
}

static bool unmap_data(uint32_t slot)
{
    int32_t fills = holes_of(slot);
    bool too_many = fills < 0 && atomic_load_explicit(&holes, memory_order_relaxed) >= HOLES_MAX;
    if (too_many || !hz3_window_unmap(data_of(slot), HZ3_SEG_SIZE)) {
        return false;
    }
    atomic_fetch_sub_explicit(&holes, fills, memory_order_relaxed);
    atomic_fetch_and_explicit(&slot_words[slot / 64].mapped, ~(1ull << (slot % 64)), memory_order_relaxed);
    return true;
}

// The rows read as zero afterwards, by whoever is late; and the next owner counts on it.
static void give_memory(uint32_t slot)
{
    bool is_unmapped = unmap_data(slot);
    for (uint32_t i = 0; i < ROWS; i++) {
        Row row = row_of(slot, i);
        if (!is_unmapped || hz3_os_map_at(row.at, row.bytes, HZ3_OS_READ, true) != HZ3_OS_DONE) {
            hz3_os_purge(row.at, row.bytes);
            hz3_stat_add(madvise_calls, 1);
        }
    }
}

// --- slots -------------------------------------------------------------------------------------------------------

// The slot's pages count as on their way until they are published or the slot is given back.
static uint32_t take_lowest_slot(uint32_t slots)
{
    for (uint32_t b = 0; b < blocks_of(slots); b++) {
        uint64_t missing = slots - b * 64 < 64 ? UINT64_MAX << (slots - b * 64) : 0;
        uint64_t taken = atomic_load_explicit(&slot_words[b].taken, memory_order_relaxed);
        while ((taken | missing) != UINT64_MAX) {
            uint32_t bit = (uint32_t)__builtin_ctzl(~(taken | missing));
            hz3_in_purging_add(HZ3_PAGES_PER_SEG); // before nobody sees them any more
            if (atomic_compare_exchange_weak_explicit(&slot_words[b].taken, &taken, taken | 1ull << bit,
                                                      memory_order_acquire, memory_order_relaxed)) {
                atomic_fetch_sub_explicit(&hz3_arena.slots_left, 1, memory_order_relaxed);
                return b * 64 + bit;
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
    atomic_fetch_and_explicit(&slot_words[slot / 64].taken, ~(1ull << (slot % 64)), memory_order_release);
}

static void publish(uint32_t slot)
{
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
}

// A slot whose addresses somebody else has mapped stays taken for ever, and is never published.
uint32_t hz3_arena_slot_open(uint32_t shard)
{
    for (;;) {
        uint32_t slots = atomic_load_explicit(&slots_described, memory_order_acquire);
        uint32_t slot = take_lowest_slot(slots);
        if (slot == HZ3_PAGE_NONE) {
            if (!grow_beyond(slots)) {
                return HZ3_PAGE_NONE;
            }
            continue;
        }
        Hz3OsPlace place = get_memory(slot);
        if (place == HZ3_OS_DONE) {
            hz3_pack_on_open(slot, shard);
            publish(slot);
        } else if (place == HZ3_OS_REFUSED) {
            give_slot(slot);
        }
        hz3_in_purging_sub(HZ3_PAGES_PER_SEG);
        if (place != HZ3_OS_OCCUPIED) {
            return place == HZ3_OS_DONE ? slot : HZ3_PAGE_NONE;
        }
    }
}

// Claimed by us and purged: nobody reads the slot's run metadata and bitmaps until a run of it is created anew.
void hz3_arena_slot_close(uint32_t slot)
{
    hz3_assert_slow(hz3_segment_is_valid(&hz3_arena.seg[slot], 0, HZ3_PAGES_PER_SEG));
    hz3_assert(hz3_segment_is_clean(&hz3_arena.seg[slot], 0, HZ3_PAGES_PER_SEG));
    give_memory(slot);
    hz3_stat_add(segments_retired, 1);
    hz3_pack_on_close(slot);
    give_slot(slot);
}

bool hz3_arena_slot_is_open(uint32_t slot)
{
    hz3_assert(slot < atomic_load_explicit(&slots_described, memory_order_relaxed));
    return (atomic_load_explicit(&slot_words[slot / 64].taken, memory_order_relaxed) & (1ull << (slot % 64))) != 0;
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
