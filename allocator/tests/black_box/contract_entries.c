#include "contract.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

// ---- every way to get a block, as one shape ----

static void *by_malloc(size_t alignment, size_t size)
{
    (void)alignment;
    return malloc(size);
}
static void *by_calloc_one(size_t alignment, size_t size)
{
    (void)alignment;
    return calloc(1, size);
}
static void *by_calloc_bytes(size_t alignment, size_t size)
{
    (void)alignment;
    return calloc(size, 1);
}
static void *by_realloc(size_t alignment, size_t size)
{
    (void)alignment;
    return realloc(NULL, size);
}
static void *by_reallocarray_one(size_t alignment, size_t size)
{
    (void)alignment;
    return reallocarray(NULL, 1, size);
}
static void *by_reallocarray_bytes(size_t alignment, size_t size)
{
    (void)alignment;
    return reallocarray(NULL, size, 1);
}
static void *by_valloc(size_t alignment, size_t size)
{
    (void)alignment;
    return valloc(size);
}
static void *by_pvalloc(size_t alignment, size_t size)
{
    (void)alignment;
    return pvalloc(size);
}
// errno from the return value, so that a failure is judged like the others'.
static void *by_posix_memalign(size_t alignment, size_t size)
{
    void *block = NULL;
    int error = posix_memalign(&block, alignment, size);
    if (error) errno = error;
    return block;
}

const Entry contract_plain[N_PLAIN] = {
    {"malloc(%zu)", by_malloc, 16},
    {"calloc(1, %zu)", by_calloc_one, 16},
    {"calloc(%zu, 1)", by_calloc_bytes, 16},
    {"realloc(NULL, %zu)", by_realloc, 16},
    {"reallocarray(NULL, 1, %zu)", by_reallocarray_one, 16},
    {"reallocarray(NULL, %zu, 1)", by_reallocarray_bytes, 16},
    {"valloc(%zu)", by_valloc, PAGE},
    {"pvalloc(%zu)", by_pvalloc, PAGE},
};
const Entry contract_aligned[N_ALIGNED] = {
    {"posix_memalign(&p, %zu, %zu)", by_posix_memalign, 0},
    {"aligned_alloc(%zu, %zu)", aligned_alloc, 0},
    {"memalign(%zu, %zu)", memalign, 0},
};

const size_t contract_sizes[N_SIZES] = {0,    1,    8,    15,    16,    17,    100,     1000, 3584,    3585,       4096,
                                        4097, 5000, 8192, 32768, 32769, 65536, MIB - 1, MIB,  MIB + 1, 3 * MIB + 5};
const size_t contract_few_sizes[N_FEW_SIZES] = {0, 24, 100, 4096, 20000, 100000, 2 * MIB};
const size_t contract_huge_sizes[N_HUGE_SIZES] = {
    PTRDIFF_MAX, TOO_LARGE, TOO_LARGE + PAGE, SIZE_MAX - 2 * PAGE, SIZE_MAX - PAGE + 1, SIZE_MAX - 15, SIZE_MAX};
const size_t contract_not_powers[N_NOT_POWERS] = {
    0, 3, 5, 6, 7, 9, 12, 15, 17, 24, 48, 4095, 4097, 3 * PAGE, SIZE_MAX, SIZE_MAX - 1, 3 * MIB, TOO_LARGE + 1};

// The text of an entry's call. The formats are the literals of the tables above.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
Call call_entry(const Entry *entry, size_t alignment, size_t size)
{
    return entry->alignment ? call_of(entry->call, size) : call_of(entry->call, alignment, size);
}
#pragma GCC diagnostic pop

void check_block(const Call *call, void *block, size_t size, size_t alignment, int errno_after)
{
    check_equal(call, "is NULL", false, block == NULL);
    check_equal(call, "errno after success", ERRNO_MARK, (size_t)errno_after);
    if (block == NULL) return;
    check_equal(call, "bytes beyond its alignment", 0, (uintptr_t)block % alignment);
    size_t usable = malloc_usable_size(block);
    check_at_least(call, "usable bytes", size, usable);
    pattern_fill(block, usable, alignment);
    check_equal(call, "usable bytes that keep what is written", usable, pattern_mismatch(block, usable, alignment));
    check_equal(call, "usable bytes asked again", usable, malloc_usable_size(block));
    errno = ERRNO_MARK;
    free(block);
    check_equal(call, "errno after its free", ERRNO_MARK, (size_t)errno);
}
