// The registry of mappings and what it keeps of freed ones against a model, over a kernel of our own: addresses that
// nobody ever touches, so that thousands of mappings cost nothing, and that can be refused at will.
#include "support.h"

#include <string.h>

#include "base/hz3_knobs.h"
#include "base/hz3_os.h"
#include "large/hz3_mapping.h"
#include "large/hz3_mapping_cache.h"
#include "large/hz3_mapping_registry.h"
#include "pages/hz3_arena.h"

#define MIB ((size_t)1 << 20)
#define FAKE_PAGES (UINT64_C(1) << 26) // never used twice
#define FAKE_BASE ((uintptr_t)1 << 40)
#define KEEPS_ADDRESSES_FROM 1024u

// --- the kernel ---

// A bit a page.
typedef struct PageSet {
    uint64_t word[FAKE_PAGES / 64];
} PageSet;

static PageSet mapped;
static PageSet resident; // has content
static PageSet owned;    // of a live block
static size_t kernel_pages;
static size_t kernel_next;
static uint32_t kernel_unmaps;
static uint32_t kernel_maps;
static uint32_t tables_mapped;
static uint32_t refuse_maps; // the next so many fail
static bool refuse_tables;
static bool refuse_remaps;
static bool refuse_purges;
static size_t memory_limit = SIZE_MAX;
static uint64_t kernel_rng = 1;

static bool is_fake(const void *addr)
{
    return (uintptr_t)addr - FAKE_BASE < FAKE_PAGES * HZ3_PAGE_SIZE;
}

static size_t page_of(const void *addr)
{
    return ((uintptr_t)addr - FAKE_BASE) / HZ3_PAGE_SIZE;
}

static bool has_page(const PageSet *set, size_t page)
{
    return set->word[page / 64] >> page % 64 & 1;
}

static void set_pages(PageSet *set, const void *addr, size_t bytes, bool value)
{
    for (size_t page = page_of(addr); page < page_of(addr) + bytes / HZ3_PAGE_SIZE; page++) {
        uint64_t bit = UINT64_C(1) << page % 64;
        set->word[page / 64] = value ? set->word[page / 64] | bit : set->word[page / 64] & ~bit;
    }
}

// All or none of the pages must be in the set.
static void expect_pages(const PageSet *set, const void *addr, size_t bytes, bool value)
{
    for (size_t page = page_of(addr); page < page_of(addr) + bytes / HZ3_PAGE_SIZE; page++) {
        assert_int_equal(has_page(set, page), value);
    }
}

// Half of the mappings lie right behind another one.
static void *kernel_map(size_t bytes, size_t align)
{
    size_t align_pages = align > HZ3_PAGE_SIZE ? align / HZ3_PAGE_SIZE : 1;
    kernel_next += unit_random_below(&kernel_rng, 2);
    kernel_next = (kernel_next + align_pages - 1) / align_pages * align_pages;
    void *p = (void *)(FAKE_BASE + kernel_next * HZ3_PAGE_SIZE);
    kernel_next += bytes / HZ3_PAGE_SIZE;
    assert_true(kernel_next < FAKE_PAGES);
    set_pages(&mapped, p, bytes, true);
    kernel_pages += bytes / HZ3_PAGE_SIZE;
    kernel_maps++;
    return p;
}

static void kernel_unmap(void *addr, size_t bytes)
{
    expect_pages(&mapped, addr, bytes, true);
    set_pages(&mapped, addr, bytes, false);
    set_pages(&resident, addr, bytes, false);
    kernel_pages -= bytes / HZ3_PAGE_SIZE;
    kernel_unmaps++;
}

void *__real_hz3_os_map(size_t bytes);
void *__wrap_hz3_os_map(size_t bytes);
void *__wrap_hz3_os_map(size_t bytes)
{
    tables_mapped++;
    return refuse_tables ? NULL : __real_hz3_os_map(bytes);
}

void *__real_hz3_os_map_aligned(size_t bytes, size_t align);
void *__wrap_hz3_os_map_aligned(size_t bytes, size_t align);
void *__wrap_hz3_os_map_aligned(size_t bytes, size_t align)
{
    if (bytes < MIB) {
        return __real_hz3_os_map_aligned(bytes, align); // it is no mapping of ours
    }
    if (refuse_maps > 0) {
        refuse_maps--;
        return NULL;
    }
    return kernel_map(bytes, align);
}

bool __real_hz3_os_unmap(void *addr, size_t bytes);
bool __wrap_hz3_os_unmap(void *addr, size_t bytes);
bool __wrap_hz3_os_unmap(void *addr, size_t bytes)
{
    if (!is_fake(addr)) {
        return __real_hz3_os_unmap(addr, bytes);
    }
    expect_pages(&owned, addr, bytes, false);
    kernel_unmap(addr, bytes);
    return true;
}

bool __real_hz3_os_purge(void *addr, size_t bytes);
bool __wrap_hz3_os_purge(void *addr, size_t bytes);
bool __wrap_hz3_os_purge(void *addr, size_t bytes)
{
    if (!is_fake(addr)) {
        return __real_hz3_os_purge(addr, bytes);
    }
    if (refuse_purges) {
        return false;
    }
    expect_pages(&mapped, addr, bytes, true);
    set_pages(&resident, addr, bytes, false);
    return true;
}

void *__wrap_hz3_os_remap(void *addr, size_t old_bytes, size_t new_bytes);
void *__wrap_hz3_os_remap(void *addr, size_t old_bytes, size_t new_bytes)
{
    if (refuse_remaps) {
        return NULL;
    }
    kernel_unmap(addr, old_bytes);
    return kernel_map(new_bytes, 1);
}

bool __wrap_hz3_os_is_alone(void);
bool __wrap_hz3_os_is_alone(void)
{
    return false;
}

size_t __wrap_hz3_os_memory_limit(void);
size_t __wrap_hz3_os_memory_limit(void)
{
    return memory_limit;
}

// --- the model ---

typedef struct Block {
    void *p;
    size_t bytes;
} Block;

static Block live[8192];
static uint32_t n_live;
static size_t live_bytes;

static bool registry_is_valid(void)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    bool is_valid = hz3_registry_is_valid();
    hz3_lock_release(&hz3_mappings.lock);
    return is_valid;
}

static size_t cached_bytes(void)
{
    return hz3_mapping_figures().cached_bytes;
}

static void check_figures(void)
{
    Hz3MappingFigures f = hz3_mapping_figures();
    assert_int_equal(f.live_count, n_live);
    assert_int_equal(f.live_bytes, live_bytes);
    assert_true(f.cached_bytes <= hz3_knobs.MAPPED_CACHE_BYTES);
    assert_int_equal(kernel_pages, (live_bytes + f.cached_bytes + f.kept_bytes) / HZ3_PAGE_SIZE);
}

static void enter(void *p)
{
    Block b = {p, hz3_mapping_size(p)};
    expect_pages(&mapped, p, b.bytes, true);
    expect_pages(&owned, p, b.bytes, false);
    set_pages(&owned, p, b.bytes, true);
    set_pages(&resident, p, b.bytes, true); // the program writes all of it
    live[n_live++] = b;
    live_bytes += b.bytes;
}

static Block leave(uint32_t i)
{
    Block b = live[i];
    live[i] = live[--n_live];
    live_bytes -= b.bytes;
    set_pages(&owned, b.p, b.bytes, false);
    return b;
}

static void *checked_alloc(size_t bytes, size_t align)
{
    bool is_zero = false;
    void *p = hz3_mapping_alloc(bytes, align, &is_zero);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % align, 0);
    size_t has = hz3_mapping_size(p);
    assert_true(has >= bytes && has <= bytes + bytes / 8);
    if (is_zero) {
        expect_pages(&resident, p, has, false);
    }
    enter(p);
    return p;
}

static void checked_free(uint32_t i)
{
    Block b = leave(i);
    assert_true(hz3_mapping_free(b.p));
    assert_int_equal(hz3_mapping_size(b.p), 0);
    assert_int_equal(hz3_mapping_is_freed(b.p), has_page(&mapped, page_of(b.p)));
    assert_int_equal(hz3_mapping_is_freed((char *)b.p + b.bytes - 1), has_page(&mapped, page_of(b.p)));
    assert_false(hz3_mapping_free(b.p));
}

static void *checked_resize(uint32_t i, size_t bytes)
{
    Block old = leave(i);
    void *moved = hz3_mapping_resize(old.p, bytes);
    assert_non_null(moved);
    assert_int_equal(hz3_mapping_size(moved), bytes);
    assert_int_equal(hz3_mapping_size(old.p), moved == old.p ? bytes : 0);
    enter(moved);
    return moved;
}

static void checked_trim(bool all)
{
    size_t before = cached_bytes();
    size_t pages = hz3_mapping_trim(all);
    assert_int_equal(pages, (before - cached_bytes()) / HZ3_PAGE_SIZE);
    assert_true(!all || cached_bytes() == 0);
}

static int set_up(void **state)
{
    (void)state;
    while (n_live > 0) {
        checked_free(n_live - 1);
    }
    checked_trim(true);
    checked_trim(true);
    hz3_knobs.MAPPED_CACHE_BYTES = 64 * MIB;
    check_figures();
    assert_int_equal(hz3_mapping_figures().kept_bytes, 0);
    return 0;
}

static size_t random_bytes(uint64_t *rng)
{
    return MIB + unit_random_below(rng, 1024) * HZ3_PAGE_SIZE;
}

// --- registry ---

// Sanitized, each step takes ten times as long.
#ifdef __SANITIZE_ADDRESS__
#define SHORTER 10
#else
#define SHORTER 1
#endif

static void random_walk(size_t cache_limit, uint32_t live_max, int steps, uint64_t rng)
{
    checked_trim(true);
    hz3_knobs.MAPPED_CACHE_BYTES = cache_limit;
    for (int step = 0; step < steps; step++) {
        uint32_t kind = unit_random_below(&rng, 100);
        bool grows = (step / 5000) % 2 == 0; // in turns, so that the table grows and then empties
        if (kind < 1) {
            checked_trim(unit_random_below(&rng, 4) == 0);
        } else if (kind < 10 && n_live > 0) {
            checked_resize(unit_random_below(&rng, n_live), random_bytes(&rng));
        } else if (n_live < live_max && (kind < (grows ? 65 : 35) || n_live == 0)) {
            size_t align = unit_random_below(&rng, 8) == 0 ? HZ3_PAGE_SIZE << unit_random_below(&rng, 6) : 16;
            checked_alloc(random_bytes(&rng), align);
        } else {
            checked_free(unit_random_below(&rng, n_live));
        }
        for (uint32_t i = 0; i < 4 && n_live > 0; i++) {
            const Block *b = &live[unit_random_below(&rng, n_live)];
            assert_int_equal(hz3_mapping_size(b->p), b->bytes);
            assert_int_equal(hz3_mapping_size((char *)b->p + 16), 0);
        }
        check_figures();
        assert_true(step % 256 != 0 || registry_is_valid());
    }
}

static void walks_match_the_model(void **state)
{
    (void)state;
    random_walk(64 * MIB, 4000, 40000 / SHORTER, 7);
    random_walk(4096 * MIB, 4000, 20000 / SHORTER, 8);
    random_walk(0, 4000, 20000 / SHORTER, 9);        // nothing is kept
    random_walk(64 * MIB, 500, 20000 / SHORTER, 10); // freed ones lose their addresses, too
}

static void thousands_are_found_and_removed(void **state)
{
    (void)state;
    uint64_t rng = 10;
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < COUNT_OF(live); i++) {
            checked_alloc(MIB, 16);
        }
        for (uint32_t i = 0; i < n_live; i++) {
            assert_int_equal(hz3_mapping_size(live[i].p), live[i].bytes);
        }
        while (n_live > 0) {
            checked_free(unit_random_below(&rng, n_live));
        }
        check_figures();
    }
}

// --- freed ones ---

// Free mappings of these sizes that do not touch. Returns the first one's address.
static void *fill(const size_t *pages, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        checked_alloc(pages[i] * HZ3_PAGE_SIZE, 16);
        kernel_next++;
    }
    void *first = live[0].p;
    while (n_live > 0) {
        checked_free(n_live - 1);
    }
    return first;
}

static void the_tightest_bin_serves(void **state)
{
    (void)state;
    static const size_t pages[] = {330, 300, 400, 500};
    char *p330 = fill(pages, COUNT_OF(pages));
    assert_ptr_equal(checked_alloc(320 * HZ3_PAGE_SIZE, 16), p330);
    assert_int_equal(live[0].bytes, 330 * HZ3_PAGE_SIZE);
    uint32_t maps = kernel_maps;
    checked_alloc(511 * HZ3_PAGE_SIZE, 16);
    assert_int_equal(kernel_maps, maps + 1); // nothing is put together for a larger one
}

static void mappings_split_and_merge(void **state)
{
    (void)state;
    char *p1000 = fill((const size_t[]){1000}, 1);
    assert_ptr_equal(checked_alloc(300 * HZ3_PAGE_SIZE, 16), p1000);
    assert_int_equal(live[0].bytes, 300 * HZ3_PAGE_SIZE);
    assert_ptr_equal(checked_alloc(350 * HZ3_PAGE_SIZE, 16), p1000 + 300 * HZ3_PAGE_SIZE);
    assert_ptr_equal(checked_alloc(312 * HZ3_PAGE_SIZE, 16), p1000 + 650 * HZ3_PAGE_SIZE);
    assert_int_equal(live[2].bytes, 350 * HZ3_PAGE_SIZE); // an eighth more than 312 is more than 350
    assert_int_equal(cached_bytes(), 0);
    checked_free(0); // the left one
    checked_free(0); // the right one
    checked_free(0); // and the one between them
    assert_int_equal(hz3_mappings.used, 1);
    assert_ptr_equal(checked_alloc(1000 * HZ3_PAGE_SIZE, 16), p1000);
}

static void the_rest_of_a_split_is_as_old_as_the_whole(void **state)
{
    (void)state;
    fill((const size_t[]){1000}, 1);
    checked_trim(false);
    checked_alloc(300 * HZ3_PAGE_SIZE, 16);
    assert_int_equal(hz3_mapping_trim(false), 700);
    check_figures();
}

static void trim_takes_what_was_unused_since_the_last(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        checked_alloc((300 + 100 * i) * HZ3_PAGE_SIZE, 16);
        kernel_next++; // they do not touch
    }
    checked_free(0);
    assert_int_equal(hz3_mapping_trim(false), 0); // first seen now
    checked_free(0);                              // 500 pages
    assert_int_equal(hz3_mapping_trim(false), 300);
    checked_alloc(500 * HZ3_PAGE_SIZE, 16); // used again: young when it comes back
    checked_free(1);
    assert_int_equal(hz3_mapping_trim(false), 0);
    assert_int_equal(hz3_mapping_trim(false), 500);
    check_figures();
}

// Every other of so many is freed. Returns the addresses unmapped.
static uint32_t holes_after_a_trim(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        checked_alloc(MIB, 16);
    }
    uint32_t unmaps = kernel_unmaps;
    for (uint32_t i = 0; i < n / 2; i++) {
        checked_free(i);
    }
    checked_trim(true);
    check_figures();
    return kernel_unmaps - unmaps;
}

static void many_freed_mappings_keep_their_addresses(void **state)
{
    (void)state;
    assert_int_equal(holes_after_a_trim(4 * KEEPS_ADDRESSES_FROM), 0);
    size_t kept = hz3_mapping_figures().kept_bytes;
    assert_int_equal(kept, 2 * KEEPS_ADDRESSES_FROM * MIB);
    uint32_t maps = kernel_maps;
    for (uint32_t i = 0; i < 2 * KEEPS_ADDRESSES_FROM; i++) {
        checked_alloc(MIB, 16); // it reads as zero, which checked_alloc holds against the kernel's pages
    }
    assert_int_equal(kernel_maps, maps);
    assert_int_equal(hz3_mapping_figures().kept_bytes, 0);
}

static void few_freed_mappings_give_them_back(void **state)
{
    (void)state;
    assert_true(holes_after_a_trim(KEEPS_ADDRESSES_FROM / 4) != 0);
    assert_int_equal(hz3_mapping_figures().kept_bytes, 0);
}

static void what_is_kept_is_bounded_by_what_was_alive(void **state)
{
    (void)state;
    hz3_knobs.MAPPED_CACHE_BYTES = 4096 * MIB;
    checked_alloc(400 * MIB, 16);
    checked_free(0);
    assert_int_equal(cached_bytes(), 400 * MIB); // it may come again at once
    checked_alloc(400 * MIB, 16);
    for (int i = 0; i < 40; i++) {
        checked_alloc(10 * MIB, 16);
    }
    checked_trim(true);
    for (int i = 0; i < 100; i++) {
        hz3_mapping_trim(false); // forgets by and by that 800 MiB were alive
    }
    for (int i = 0; i < 41; i++) {
        checked_free(0);
    }
    assert_true(cached_bytes() <= 800 * MIB);
    for (int i = 0; i < 30; i++) {
        hz3_mapping_trim(false);
    }
    checked_alloc(100 * MIB, 16);
    checked_free(0);
    assert_true(cached_bytes() <= 200 * MIB);
}

static void what_is_kept_is_a_quarter_of_the_groups_limit(void **state)
{
    (void)state;
    hz3_knobs.MAPPED_CACHE_BYTES = 4096 * MIB;
    hz3_mappings.memory_limit = 0;
    memory_limit = 600 * MIB;
    for (int i = 0; i < 10; i++) {
        checked_alloc(40 * MIB, 16);
        kernel_next++;
    }
    while (n_live > 0) {
        checked_free(0);
    }
    hz3_mappings.memory_limit = 0;
    memory_limit = SIZE_MAX;
    assert_true(cached_bytes() <= 150 * MIB && cached_bytes() >= 100 * MIB);
}

// 200 MiB in pieces of 4 MiB between holes.
static void free_200_mib_in_pieces(void)
{
    hz3_knobs.MAPPED_CACHE_BYTES = 4096 * MIB;
    hz3_mappings.peak_bytes = 0;
    for (int i = 0; i < 50; i++) {
        checked_alloc(4 * MIB, 16);
        kernel_next++;
    }
    while (n_live > 0) {
        checked_free(0);
    }
    assert_int_equal(cached_bytes(), 200 * MIB);
}

static void what_does_not_fit_goes_above_half_again_of_the_peak(void **state)
{
    (void)state;
    free_200_mib_in_pieces();
    static const size_t mib_after[] = {200, 180, 120, 120}; // with 60, 120, 180, 240 alive, of at most 200
    for (int i = 0; i < 4; i++) {
        checked_alloc(60 * MIB, 16);
        assert_int_equal(cached_bytes(), mib_after[i] * MIB);
    }
}

static void a_block_that_moves_counts_as_a_whole(void **state)
{
    (void)state;
    free_200_mib_in_pieces();
    checked_alloc(100 * MIB, 16);
    assert_int_equal(cached_bytes(), 200 * MIB);
    kernel_next++; // what follows is somebody else's
    checked_resize(0, 180 * MIB);
    assert_int_equal(cached_bytes(), 120 * MIB); // of 300 in all
}

static void half_of_what_lives_stays_while_the_arena_grows(void **state)
{
    (void)state;
    free_200_mib_in_pieces();
    checked_alloc(60 * MIB, 16);
    assert_int_equal(hz3_mapping_make_room(1 * MIB), 1 * MIB); // of one of 4
    assert_int_equal(cached_bytes(), 199 * MIB);
    assert_int_equal(hz3_mapping_make_room(1000 * MIB), 169 * MIB);
    assert_int_equal(hz3_mapping_make_room(1000 * MIB), 0);
}

static void without_a_record_for_the_rest_a_whole_mapping_goes(void **state)
{
    (void)state;
    free_200_mib_in_pieces();
    hz3_lock_acquire(&hz3_mappings.lock);
    uint32_t promised = hz3_mappings.promised;
    while (hz3_registry_has_room()) {
        hz3_mappings.promised++;
    }
    uint32_t added = hz3_mappings.promised - promised;
    hz3_lock_release(&hz3_mappings.lock);
    assert_int_equal(hz3_mapping_make_room(1 * MIB), 4 * MIB);
    hz3_lock_acquire(&hz3_mappings.lock);
    hz3_mappings.promised -= added;
    hz3_lock_release(&hz3_mappings.lock);
}

static void a_locked_mapping_loses_its_addresses(void **state)
{
    (void)state;
    refuse_purges = true;
    assert_int_equal(holes_after_a_trim(4 * KEEPS_ADDRESSES_FROM) != 0, true);
    refuse_purges = false;
    assert_int_equal(hz3_mapping_figures().kept_bytes, 0);
}

// --- resize ---

static void a_mapping_shrinks_where_it_is(void **state)
{
    (void)state;
    char *p = checked_alloc(40 * MIB, 16);
    assert_ptr_equal(checked_resize(0, 22 * MIB), p);
    assert_int_equal(cached_bytes(), 18 * MIB);
    assert_ptr_equal(checked_alloc(18 * MIB, 16), p + 22 * MIB);
}

static void a_mapping_grows_where_it_is(void **state)
{
    (void)state;
    char *p = fill((const size_t[]){20 * MIB / HZ3_PAGE_SIZE}, 1);
    assert_ptr_equal(checked_alloc(5 * MIB, 16), p);
    assert_ptr_equal(checked_resize(0, 12 * MIB), p);
    assert_ptr_equal(checked_resize(0, 20 * MIB), p);
    assert_int_equal(cached_bytes(), 0);
    refuse_remaps = true;
    assert_null(hz3_mapping_resize(p, 21 * MIB));
    refuse_remaps = false;
    assert_int_equal(hz3_mapping_size(p), 20 * MIB);
}

// --- a kernel that refuses ---

static void refused_map_loses_nothing(void **state)
{
    (void)state;
    checked_alloc(2 * MIB, 16);
    uint32_t tables = tables_mapped;
    bool is_zero;
    for (int i = 0; i < 40000 / SHORTER; i++) {
        refuse_maps = 2; // the second try comes only when the cache gave something back
        assert_null(hz3_mapping_alloc(2 * MIB, 16, &is_zero));
        refuse_maps = 0;
    }
    assert_int_equal(tables_mapped, tables); // no room stays promised
    check_figures();
    checked_alloc(2 * MIB, 16);
}

static void refused_map_is_tried_again_without_the_freed(void **state)
{
    (void)state;
    checked_alloc(2 * MIB, 16);
    checked_alloc(3 * MIB, 16);
    checked_free(0);
    refuse_maps = 1;
    checked_alloc(8 * MIB, 16);
    assert_int_equal(refuse_maps, 0);
    assert_int_equal(cached_bytes(), 0);
    check_figures();
}

static void refused_map_is_tried_again_without_their_addresses(void **state)
{
    (void)state;
    holes_after_a_trim(4 * KEEPS_ADDRESSES_FROM);
    assert_true(hz3_mapping_figures().kept_bytes != 0);
    refuse_maps = 1;
    checked_alloc(800 * MIB, 16);
    assert_int_equal(refuse_maps, 0);
    assert_int_equal(hz3_mapping_figures().kept_bytes, 0);
    check_figures();
}

static void refused_table_loses_nothing(void **state)
{
    (void)state;
    hz3_knobs.MAPPED_CACHE_BYTES = 0;
    checked_alloc(MIB, 16); // the first table is there
    bool is_zero;
    refuse_tables = true;
    void *p;
    uint32_t n = 0;
    while (n < COUNT_OF(live) - 2 && (p = hz3_mapping_alloc(MIB, 16, &is_zero)) != NULL) {
        enter(p);
        n++;
    }
    bool was_refused = n < COUNT_OF(live) - 2;
    assert_null(hz3_mapping_alloc(MIB, 16, &is_zero));
    refuse_tables = false;
    assert_true(was_refused);
    check_figures();
    checked_alloc(MIB, 16);
    for (uint32_t i = 0; i < n_live; i++) {
        assert_int_equal(hz3_mapping_size(live[i].p), live[i].bytes);
    }
}

static void refused_resize_keeps_the_old(void **state)
{
    (void)state;
    checked_alloc(2 * MIB, 16);
    refuse_remaps = true;
    assert_null(hz3_mapping_resize(live[0].p, 4 * MIB));
    refuse_remaps = false;
    assert_int_equal(hz3_mapping_size(live[0].p), 2 * MIB);
    check_figures();
    checked_resize(0, 4 * MIB);
    check_figures();
}

static void resize_freed(void *p)
{
    hz3_mapping_resize(p, 4 * MIB);
}

static void resize_of_no_mapping_aborts(void **state)
{
    (void)state;
    void *p = checked_alloc(2 * MIB, 16);
    checked_free(0);
    unit_expect_abort(resize_freed, p, "not a live block");
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_EPOCH_TICK_MS=0", NULL}); // an epoch trims the cache, too
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(refused_table_loses_nothing, set_up), // first: the table is still small
        cmocka_unit_test_setup(walks_match_the_model, set_up),
        cmocka_unit_test_setup(thousands_are_found_and_removed, set_up),
        cmocka_unit_test_setup(the_tightest_bin_serves, set_up),
        cmocka_unit_test_setup(mappings_split_and_merge, set_up),
        cmocka_unit_test_setup(the_rest_of_a_split_is_as_old_as_the_whole, set_up),
        cmocka_unit_test_setup(trim_takes_what_was_unused_since_the_last, set_up),
        cmocka_unit_test_setup(many_freed_mappings_keep_their_addresses, set_up),
        cmocka_unit_test_setup(few_freed_mappings_give_them_back, set_up),
        cmocka_unit_test_setup(what_is_kept_is_bounded_by_what_was_alive, set_up),
        cmocka_unit_test_setup(what_is_kept_is_a_quarter_of_the_groups_limit, set_up),
        cmocka_unit_test_setup(what_does_not_fit_goes_above_half_again_of_the_peak, set_up),
        cmocka_unit_test_setup(a_block_that_moves_counts_as_a_whole, set_up),
        cmocka_unit_test_setup(half_of_what_lives_stays_while_the_arena_grows, set_up),
        cmocka_unit_test_setup(without_a_record_for_the_rest_a_whole_mapping_goes, set_up),
        cmocka_unit_test_setup(a_locked_mapping_loses_its_addresses, set_up),
        cmocka_unit_test_setup(a_mapping_shrinks_where_it_is, set_up),
        cmocka_unit_test_setup(a_mapping_grows_where_it_is, set_up),
        cmocka_unit_test_setup(refused_map_loses_nothing, set_up),
        cmocka_unit_test_setup(refused_map_is_tried_again_without_the_freed, set_up),
        cmocka_unit_test_setup(refused_map_is_tried_again_without_their_addresses, set_up),
        cmocka_unit_test_setup(refused_resize_keeps_the_old, set_up),
        cmocka_unit_test_setup(resize_of_no_mapping_aborts, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
