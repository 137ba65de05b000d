#include "mapping_model.h"

#include "base/hz3_knobs.h"
#include "base/hz3_os.h"

#define FAKE_PAGES (UINT64_C(1) << 26) // never used twice
#define FAKE_BASE ((uintptr_t)1 << 40)

// --- the kernel ---

// A bit a page.
typedef struct PageSet {
    uint64_t word[FAKE_PAGES / 64];
} PageSet;

static PageSet mapped;
static PageSet resident; // has content
static PageSet owned;    // of a live block
static uint64_t kernel_rng = 1;

MappingKernel mapping_kernel = {.memory_limit = SIZE_MAX};

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
    mapping_kernel.next += unit_random_below(&kernel_rng, 2);
    mapping_kernel.next = (mapping_kernel.next + align_pages - 1) / align_pages * align_pages;
    void *p = (void *)(FAKE_BASE + mapping_kernel.next * HZ3_PAGE_SIZE);
    mapping_kernel.next += bytes / HZ3_PAGE_SIZE;
    assert_true(mapping_kernel.next < FAKE_PAGES);
    set_pages(&mapped, p, bytes, true);
    mapping_kernel.pages += bytes / HZ3_PAGE_SIZE;
    mapping_kernel.maps++;
    return p;
}

static void kernel_unmap(void *addr, size_t bytes)
{
    expect_pages(&mapped, addr, bytes, true);
    set_pages(&mapped, addr, bytes, false);
    set_pages(&resident, addr, bytes, false);
    mapping_kernel.pages -= bytes / HZ3_PAGE_SIZE;
    mapping_kernel.unmaps++;
}

void *__real_hz3_os_map(size_t bytes);
void *__wrap_hz3_os_map(size_t bytes);
void *__wrap_hz3_os_map(size_t bytes)
{
    mapping_kernel.tables_mapped++;
    return mapping_kernel.refuse_tables ? NULL : __real_hz3_os_map(bytes);
}

void *__real_hz3_os_map_aligned(size_t bytes, size_t align);
void *__wrap_hz3_os_map_aligned(size_t bytes, size_t align);
void *__wrap_hz3_os_map_aligned(size_t bytes, size_t align)
{
    if (bytes < MIB) {
        return __real_hz3_os_map_aligned(bytes, align); // it is no mapping of ours
    }
    if (mapping_kernel.refuse_maps > 0) {
        mapping_kernel.refuse_maps--;
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
    if (mapping_kernel.refuse_purges) {
        return false;
    }
    expect_pages(&mapped, addr, bytes, true);
    set_pages(&resident, addr, bytes, false);
    return true;
}

void *__wrap_hz3_os_remap(void *addr, size_t old_bytes, size_t new_bytes);
void *__wrap_hz3_os_remap(void *addr, size_t old_bytes, size_t new_bytes)
{
    if (mapping_kernel.refuse_remaps) {
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
    return mapping_kernel.memory_limit;
}

// --- the model ---

Block live[LIVE_MAX];
uint32_t n_live;
static size_t live_bytes;

size_t cached_bytes(void)
{
    return hz3_mapping_figures().cached_bytes;
}

void check_figures(void)
{
    Hz3MappingFigures f = hz3_mapping_figures();
    assert_int_equal(f.live_count, n_live);
    assert_int_equal(f.live_bytes, live_bytes);
    assert_true(f.cached_bytes <= hz3_knobs.MAPPED_CACHE_BYTES);
    assert_int_equal(mapping_kernel.pages, (live_bytes + f.cached_bytes + f.kept_bytes) / HZ3_PAGE_SIZE);
}

void enter(void *p)
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

void *checked_alloc(size_t bytes, size_t align)
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

void checked_free(uint32_t i)
{
    Block b = leave(i);
    assert_true(hz3_mapping_free(b.p));
    assert_int_equal(hz3_mapping_size(b.p), 0);
    assert_int_equal(hz3_mapping_is_freed(b.p), has_page(&mapped, page_of(b.p)));
    assert_int_equal(hz3_mapping_is_freed((char *)b.p + b.bytes - 1), has_page(&mapped, page_of(b.p)));
    assert_false(hz3_mapping_free(b.p));
}

void *checked_resize(uint32_t i, size_t bytes)
{
    Block old = leave(i);
    void *moved = hz3_mapping_resize(old.p, bytes);
    assert_non_null(moved);
    assert_int_equal(hz3_mapping_size(moved), bytes);
    assert_int_equal(hz3_mapping_size(old.p), moved == old.p ? bytes : 0);
    enter(moved);
    return moved;
}

void checked_trim(bool all)
{
    size_t before = cached_bytes();
    size_t pages = hz3_mapping_trim(all);
    assert_int_equal(pages, (before - cached_bytes()) / HZ3_PAGE_SIZE);
    assert_true(!all || cached_bytes() == 0);
}

int mapping_set_up(void **state)
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

uint32_t holes_after_a_trim(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        checked_alloc(MIB, 16);
    }
    uint32_t unmaps = mapping_kernel.unmaps;
    for (uint32_t i = 0; i < n / 2; i++) {
        checked_free(i);
    }
    checked_trim(true);
    check_figures();
    return mapping_kernel.unmaps - unmaps;
}
