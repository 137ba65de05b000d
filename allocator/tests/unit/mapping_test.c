// The registry of mappings and its cache against a model, over a kernel of our own: addresses that nobody ever touches,
// so that thousands of mappings cost nothing, and that can be refused at will.
#include "support.h"

#include <string.h>

#include "base/hz3_knobs.h"
#include "base/hz3_os.h"
#include "large/hz3_mapping.h"
#include "large/hz3_mapping_registry.h"
#include "pages/hz3_arena.h"

#define MIB ((size_t)1 << 20)
#define FAKE_PAGES (UINT64_C(1) << 26) // never used twice
#define FAKE_BASE ((uintptr_t)1 << 40)

// --- the kernel ---

static uint64_t kernel_mapped[FAKE_PAGES / 64]; // a bit a page
static size_t kernel_pages;                     // mapped now
static size_t kernel_next;
static uint32_t tables_mapped;
static uint32_t refuse_maps; // the next so many fail
static bool refuse_tables;
static bool refuse_remaps;
static uint64_t kernel_rng = 1;

static bool kernel_is_mapped(const void *addr)
{
    size_t page = ((uintptr_t)addr - FAKE_BASE) / HZ3_PAGE_SIZE;
    return kernel_mapped[page / 64] >> page % 64 & 1;
}

static void kernel_flip(const void *addr, size_t bytes, bool was_mapped)
{
    for (size_t page = 0; page < bytes / HZ3_PAGE_SIZE; page++) {
        const char *p = (const char *)addr + page * HZ3_PAGE_SIZE;
        assert_int_equal(kernel_is_mapped(p), was_mapped);
        size_t at = ((uintptr_t)p - FAKE_BASE) / HZ3_PAGE_SIZE;
        kernel_mapped[at / 64] ^= UINT64_C(1) << at % 64;
    }
    kernel_pages += was_mapped ? -(bytes / HZ3_PAGE_SIZE) : bytes / HZ3_PAGE_SIZE;
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
    kernel_flip(p, bytes, false);
    return p;
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
    kernel_flip(addr, bytes, true);
    return true;
}

void *__wrap_hz3_os_remap(void *addr, size_t old_bytes, size_t new_bytes);
void *__wrap_hz3_os_remap(void *addr, size_t old_bytes, size_t new_bytes)
{
    if (refuse_remaps) {
        return NULL;
    }
    kernel_flip(addr, old_bytes, true);
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
static Block cache[HZ3_MAPPING_CACHE_MAX + 1]; // oldest first
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
        bool fits = cache[i].bytes >= bytes && (uintptr_t)cache[i].p % align == 0;
        if (fits && (best == n_cached || cache[i].bytes < cache[best].bytes)) {
            best = i;
        }
    }
    return best;
}

// What a request gets of the best fit: all of it, or its head.
static Block model_take(uint32_t best, size_t bytes)
{
    if (cache[best].bytes <= bytes + bytes / 8) {
        return cache_remove(best);
    }
    Block head = {cache[best].p, bytes};
    cache[best] = (Block){(char *)head.p + bytes, cache[best].bytes - bytes};
    cached_bytes -= bytes;
    return head;
}

static Block model_merge(Block b)
{
    for (uint32_t i = n_cached; i-- > 0;) {
        if ((char *)cache[i].p + cache[i].bytes == b.p) {
            Block before = cache_remove(i);
            b = (Block){before.p, before.bytes + b.bytes};
        } else if ((char *)b.p + b.bytes == cache[i].p) {
            b.bytes += cache_remove(i).bytes;
        }
    }
    return b;
}

static bool registry_is_valid(void)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    bool is_valid = hz3_registry_is_valid();
    hz3_lock_release(&hz3_mappings.lock);
    return is_valid;
}

static void check_figures(void)
{
    Hz3MappingFigures f = hz3_mapping_figures();
    assert_int_equal(f.live_count, n_live);
    assert_int_equal(f.live_bytes, live_bytes);
    assert_int_equal(f.cached_bytes, cached_bytes);
    assert_true(n_cached <= HZ3_MAPPING_CACHE_MAX && cached_bytes <= hz3_knobs.MAPPED_CACHE_BYTES);
    assert_int_equal(kernel_pages, (live_bytes + cached_bytes) / HZ3_PAGE_SIZE);
}

static void *checked_alloc(size_t bytes, size_t align)
{
    uint32_t best = model_best(bytes, align);
    bool is_reuse = best < n_cached;
    Block b = is_reuse ? model_take(best, bytes) : (Block){NULL, bytes};
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
    bool stays = b.bytes <= hz3_knobs.MAPPED_CACHE_BYTES;
    if (stays) {
        Block merged = model_merge(b);
        cache[n_cached++] = merged;
        cached_bytes += merged.bytes;
        while (n_cached > HZ3_MAPPING_CACHE_MAX || cached_bytes > hz3_knobs.MAPPED_CACHE_BYTES) {
            assert_false(kernel_is_mapped(cache_remove(0).p)); // the oldest went
        }
    }
    assert_int_equal(hz3_mapping_size(b.p), 0);
    assert_int_equal(hz3_mapping_is_freed(b.p), stays);
    assert_int_equal(hz3_mapping_is_freed((char *)b.p + b.bytes - 1), stays);
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
        assert_true(step % 256 != 0 || registry_is_valid());
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

// Free mappings of these sizes that do not touch. Returns the first one's address.
static void *cache_fill(const size_t *pages, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        checked_alloc(pages[i] * HZ3_PAGE_SIZE, 16);
        kernel_next++;
    }
    void *first = live[0].p;
    while (n_live > 0) {
        checked_free(0);
    }
    return first;
}

static void cache_gives_the_best_fit(void **state)
{
    (void)state;
    static const size_t pages[] = {310, 330, 300, 318, 400};
    void *p310 = cache_fill(pages, COUNT_OF(pages));
    assert_ptr_equal(checked_alloc(305 * HZ3_PAGE_SIZE, 16), p310);
    assert_int_equal(live[0].bytes, 310 * HZ3_PAGE_SIZE);
    checked_alloc(401 * HZ3_PAGE_SIZE, 16);
    assert_int_equal(n_cached, 4); // nothing is put together for a larger one
}

static void cache_splits_and_merges(void **state)
{
    (void)state;
    char *p1000 = cache_fill((const size_t[]){1000}, 1);
    assert_ptr_equal(checked_alloc(300 * HZ3_PAGE_SIZE, 16), p1000);
    assert_int_equal(live[0].bytes, 300 * HZ3_PAGE_SIZE);
    assert_ptr_equal(checked_alloc(350 * HZ3_PAGE_SIZE, 16), p1000 + 300 * HZ3_PAGE_SIZE);
    assert_ptr_equal(checked_alloc(312 * HZ3_PAGE_SIZE, 16), p1000 + 650 * HZ3_PAGE_SIZE);
    assert_int_equal(live[2].bytes, 350 * HZ3_PAGE_SIZE); // an eighth more than 312 is more than 350
    assert_int_equal(n_cached, 0);
    checked_free(0); // the left one
    checked_free(0); // the right one
    assert_int_equal(n_cached, 2);
    checked_free(0); // and the one between them
    assert_int_equal(n_cached, 1);
    assert_ptr_equal(checked_alloc(1000 * HZ3_PAGE_SIZE, 16), p1000);
}

static void the_rest_of_a_split_is_as_old_as_the_whole(void **state)
{
    (void)state;
    cache_fill((const size_t[]){1000}, 1);
    checked_trim(false);
    checked_alloc(300 * HZ3_PAGE_SIZE, 16);
    assert_int_equal(hz3_mapping_trim(false), 700);
    cache_remove(0);
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

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_EPOCH_TICK_MS=0", NULL}); // an epoch trims the cache, too
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(refused_table_loses_nothing, set_up), // first: the table is still small
        cmocka_unit_test_setup(walks_match_the_model, set_up),
        cmocka_unit_test_setup(thousands_are_found_and_removed, set_up),
        cmocka_unit_test_setup(cache_gives_the_best_fit, set_up),
        cmocka_unit_test_setup(cache_splits_and_merges, set_up),
        cmocka_unit_test_setup(the_rest_of_a_split_is_as_old_as_the_whole, set_up),
        cmocka_unit_test_setup(trim_takes_what_was_unused_since_the_last, set_up),
        cmocka_unit_test_setup(refused_map_loses_nothing, set_up),
        cmocka_unit_test_setup(refused_map_is_tried_again_without_the_cache, set_up),
        cmocka_unit_test_setup(refused_resize_keeps_the_old, set_up),
        cmocka_unit_test_setup(resize_of_no_mapping_aborts, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
