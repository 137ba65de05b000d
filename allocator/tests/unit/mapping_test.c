// The registry of mappings and its cache against a model, over a kernel of our own: addresses that nobody ever touches,
// so that thousands of mappings cost nothing, and that can be refused at will.
#include "support.h"

#include <string.h>

#include "hz3_arena.h"
#include "hz3_knobs.h"
#include "hz3_mapping.h"
#include "hz3_os.h"

#define MIB ((size_t)1 << 20)
#define CACHE_MAX 64u
#define FAKE_PAGES 65536u
#define FAKE_BASE ((uintptr_t)1 << 40)

// --- the kernel ---

static size_t kernel_bytes[FAKE_PAGES]; // of the mapping that begins at this page
static uint32_t kernel_maps;
static uint32_t tables_mapped;
static uint32_t refuse_maps; // the next so many fail
static bool refuse_tables;
static bool refuse_remaps;
static uint64_t kernel_rng = 1;

static uintptr_t addr_of(uint32_t page)
{
    return FAKE_BASE + page * HZ3_PAGE_SIZE;
}

static size_t *kernel_entry(const void *addr)
{
    return &kernel_bytes[((uintptr_t)addr - FAKE_BASE) / HZ3_PAGE_SIZE];
}

static void *kernel_map(size_t bytes, size_t align)
{
    uint32_t page;
    do {
        page = unit_random_below(&kernel_rng, FAKE_PAGES);
    } while (kernel_bytes[page] != 0 || addr_of(page) % align != 0);
    kernel_bytes[page] = bytes;
    kernel_maps++;
    return (void *)addr_of(page);
}

void *__real_hz3_os_map(size_t bytes);
void *__wrap_hz3_os_map(size_t bytes);
void *__wrap_hz3_os_map(size_t bytes)
{
    tables_mapped++;
    return refuse_tables ? NULL : __real_hz3_os_map(bytes);
}

void *__wrap_hz3_os_map_aligned(size_t bytes, size_t align);
void *__wrap_hz3_os_map_aligned(size_t bytes, size_t align)
{
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
    if ((uintptr_t)addr - FAKE_BASE >= FAKE_PAGES * HZ3_PAGE_SIZE) {
        return __real_hz3_os_unmap(addr, bytes);
    }
    assert_int_equal(*kernel_entry(addr), bytes);
    *kernel_entry(addr) = 0;
    kernel_maps--;
    return true;
}

void *__wrap_hz3_os_remap(void *addr, size_t old_bytes, size_t new_bytes);
void *__wrap_hz3_os_remap(void *addr, size_t old_bytes, size_t new_bytes)
{
    assert_int_equal(*kernel_entry(addr), old_bytes);
    if (refuse_remaps) {
        return NULL;
    }
    *kernel_entry(addr) = 0;
    kernel_maps--;
    return kernel_map(new_bytes, 1);
}

// --- the model ---

typedef struct Block {
    void *p;
    size_t bytes;
} Block;

static Block live[8192];
static uint32_t n_live;
static size_t live_bytes;
static Block cache[CACHE_MAX + 1]; // oldest first
static uint32_t n_cached;
static uint32_t n_aged; // of those, in the cache since the last trim
static size_t cached_bytes;

static Block cache_remove(uint32_t i)
{
    Block b = cache[i];
    n_cached--;
    n_aged -= i < n_aged;
    cached_bytes -= b.bytes;
    memmove(&cache[i], &cache[i + 1], (n_cached - i) * sizeof cache[0]);
    return b;
}

static uint32_t model_best(size_t bytes, size_t align)
{
    uint32_t best = n_cached;
    for (uint32_t i = 0; i < n_cached; i++) {
        bool fits =
            cache[i].bytes >= bytes && cache[i].bytes <= bytes + bytes / 8 && (uintptr_t)cache[i].p % align == 0;
        if (fits && (best == n_cached || cache[i].bytes < cache[best].bytes)) {
            best = i;
        }
    }
    return best;
}

static void check_figures(void)
{
    Hz3MappingFigures f = hz3_mapping_figures();
    assert_int_equal(f.live_count, n_live);
    assert_int_equal(f.live_bytes, live_bytes);
    assert_int_equal(f.cached_bytes, cached_bytes);
    assert_true(n_cached <= CACHE_MAX && cached_bytes <= hz3_knobs.MAPPED_CACHE_BYTES);
    assert_int_equal(kernel_maps, n_live + n_cached);
}

static void *checked_alloc(size_t bytes, size_t align)
{
    uint32_t best = model_best(bytes, align);
    bool is_reuse = best < n_cached;
    Block b = is_reuse ? cache_remove(best) : (Block){NULL, bytes};
    bool is_zero = is_reuse;
    void *p = hz3_mapping_alloc(bytes, align, &is_zero);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % align, 0);
    assert_int_equal(is_zero, !is_reuse);
    assert_true(!is_reuse || p == b.p);
    live[n_live++] = (Block){p, b.bytes};
    live_bytes += b.bytes;
    return p;
}

static void checked_free(uint32_t i)
{
    Block b = live[i];
    live[i] = live[--n_live];
    live_bytes -= b.bytes;
    assert_true(hz3_mapping_free(b.p));
    if (b.bytes <= hz3_knobs.MAPPED_CACHE_BYTES) {
        while (n_cached == CACHE_MAX || cached_bytes + b.bytes > hz3_knobs.MAPPED_CACHE_BYTES) {
            assert_int_equal(*kernel_entry(cache_remove(0).p), 0); // the oldest went
        }
        cache[n_cached++] = b;
        cached_bytes += b.bytes;
    }
    assert_int_equal(hz3_mapping_size(b.p), 0);
    assert_int_equal(hz3_mapping_is_freed(b.p), b.bytes <= hz3_knobs.MAPPED_CACHE_BYTES);
    assert_false(hz3_mapping_free(b.p));
}

static void checked_resize(uint32_t i, size_t bytes)
{
    void *moved = hz3_mapping_resize(live[i].p, bytes);
    assert_non_null(moved);
    assert_int_equal(hz3_mapping_size(live[i].p), moved == live[i].p ? bytes : 0);
    live_bytes += bytes - live[i].bytes;
    live[i] = (Block){moved, bytes};
}

static void checked_trim(bool all)
{
    size_t bytes = 0;
    for (uint32_t n = all ? n_cached : n_aged; n > 0; n--) {
        bytes += cache_remove(0).bytes;
    }
    n_aged = n_cached;
    assert_int_equal(hz3_mapping_trim(all), bytes / HZ3_PAGE_SIZE);
}

static int set_up(void **state)
{
    (void)state;
    while (n_live > 0) {
        checked_free(n_live - 1);
    }
    checked_trim(true);
    hz3_knobs.MAPPED_CACHE_BYTES = 64 * MIB;
    check_figures();
    return 0;
}

static size_t random_bytes(uint64_t *rng)
{
    return MIB + unit_random_below(rng, 1024) * HZ3_PAGE_SIZE;
}

// --- registry ---

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
    }
}

static void walks_match_the_model(void **state)
{
    (void)state;
    random_walk(64 * MIB, 4000, 40000, 7);
    random_walk(1024 * MIB, 4000, 20000, 8); // the count is the bound
    random_walk(0, 4000, 20000, 9);          // nothing is kept
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

// --- cache ---

static void cache_gives_the_best_fit(void **state)
{
    (void)state;
    static const size_t pages[] = {330, 310, 300, 318, 400};
    for (uint32_t i = 0; i < COUNT_OF(pages); i++) {
        checked_alloc(pages[i] * HZ3_PAGE_SIZE, 16);
    }
    void *p310 = live[1].p;
    void *p400 = live[4].p;
    while (n_live > 0) {
        checked_free(0);
    }
    assert_ptr_equal(checked_alloc(305 * HZ3_PAGE_SIZE, 16), p310);
    assert_ptr_not_equal(checked_alloc(350 * HZ3_PAGE_SIZE, 16), p400); // an eighth more than 350 is less than 400
    assert_ptr_equal(checked_alloc(356 * HZ3_PAGE_SIZE, 16), p400);
}

static void trim_takes_what_was_unused_since_the_last(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        checked_alloc((300 + 100 * i) * HZ3_PAGE_SIZE, 16);
    }
    checked_free(0);
    assert_int_equal(hz3_mapping_trim(false), 0); // first seen now
    n_aged = n_cached;
    checked_free(0); // 500 pages
    assert_int_equal(hz3_mapping_trim(false), 300);
    cache_remove(0);
    n_aged = n_cached;
    checked_alloc(500 * HZ3_PAGE_SIZE, 16); // used again: young when it comes back
    checked_free(1);
    assert_int_equal(hz3_mapping_trim(false), 0);
    n_aged = n_cached;
    assert_int_equal(hz3_mapping_trim(false), 500);
    cache_remove(0);
    check_figures();
}

// --- a kernel that refuses ---

static void refused_map_loses_nothing(void **state)
{
    (void)state;
    checked_alloc(2 * MIB, 16);
    uint32_t tables = tables_mapped;
    bool is_zero;
    for (int i = 0; i < 40000; i++) {
        refuse_maps = 2; // the second try comes only when the cache gave something back
        assert_null(hz3_mapping_alloc(2 * MIB, 16, &is_zero));
        refuse_maps = 0;
    }
    assert_int_equal(tables_mapped, tables); // no room stays promised
    check_figures();
    checked_alloc(2 * MIB, 16);
}

static void refused_map_is_tried_again_without_the_cache(void **state)
{
    (void)state;
    checked_alloc(2 * MIB, 16);
    checked_alloc(3 * MIB, 16);
    checked_free(0);
    refuse_maps = 1;
    cache_remove(0);
    checked_alloc(8 * MIB, 16);
    assert_int_equal(refuse_maps, 0);
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
        live[n_live++] = (Block){p, MIB};
        live_bytes += MIB;
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

int main(void)
{
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(refused_table_loses_nothing, set_up), // first: the table is still small
        cmocka_unit_test_setup(walks_match_the_model, set_up),
        cmocka_unit_test_setup(thousands_are_found_and_removed, set_up),
        cmocka_unit_test_setup(cache_gives_the_best_fit, set_up),
        cmocka_unit_test_setup(trim_takes_what_was_unused_since_the_last, set_up),
        cmocka_unit_test_setup(refused_map_loses_nothing, set_up),
        cmocka_unit_test_setup(refused_map_is_tried_again_without_the_cache, set_up),
        cmocka_unit_test_setup(refused_resize_keeps_the_old, set_up),
        cmocka_unit_test_setup(resize_of_no_mapping_aborts, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
