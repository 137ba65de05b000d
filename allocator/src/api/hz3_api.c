// The malloc family. Policy where the standards leave a choice: hz3's man page, "Semantics".
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hz3_log.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"
#include "front/hz3_front.h"
#include "hardened/hz3_harden.h"
#include "large/hz3_large.h"
#include "large/hz3_mapping.h"
#include "middle/hz3_small.h"
#include "policy/hz3_mem_budget.h"
#include "process/hz3_init.h"

// The first call of all may come by here.
static HZ3_NOINLINE void *alloc_large(size_t size, size_t align, bool *is_zero)
{
    void *p = NULL;
    if (size <= HZ3_REQUEST_MAX && align <= HZ3_REQUEST_MAX) {
        hz3_init();
        p = hz3_large_alloc(size, align, is_zero);
    }
    return p != NULL ? p : hz3_alloc_failed();
}

static HZ3_NOINLINE void *alloc_beyond_medium(size_t size)
{
    if (size <= HZ3_MEDIUM_MAX) { // the first call of all
        hz3_init();
        return malloc(size);
    }
    bool is_zero;
    return alloc_large(size != 0 ? size : 1, HZ3_MIN_ALIGN, &is_zero);
}

// A mapping, what a full arena falls back to, stays where it is.
static HZ3_NOINLINE void *refill_beyond_small(size_t size)
{
    uint32_t cls = hz3_class_beyond_small(size);
    void *object = hz3_front_refill(cls);
    return hz3_class_is_medium(cls) && hz3_arena_owns(object) ? hz3_medium_place(object, size) : object;
}

static HZ3_NOINLINE void *alloc_beyond_small(size_t size)
{
    if (HZ3_UNLIKELY(size - 1 >= hz3_limits.medium_max)) {
        return alloc_beyond_medium(size);
    }
    uint32_t cls = hz3_class_beyond_small(size);
    void *object = hz3_front_pop(cls);
    if (HZ3_UNLIKELY(object == NULL)) {
        return refill_beyond_small(size);
    }
    return hz3_class_is_medium(cls) ? hz3_medium_place(object, size) : object;
}

HZ3_EXPORT HZ3_AT_CACHE_LINE void *malloc(size_t size)
{
    if (HZ3_HARDENED) {
        return hz3_harden_alloc(size, HZ3_MIN_ALIGN, false);
    }
    if (HZ3_UNLIKELY(size >= hz3_limits.small_end)) {
        return alloc_beyond_small(size);
    }
    return hz3_front_alloc(hz3_class_of_small(size));
}

static HZ3_NOINLINE void free_foreign(void *p)
{
    if (p == NULL || hz3_mapping_free(p)) {
        return;
    }
    hz3_require(!hz3_mapping_is_freed(p), "free", p, "double free: this block is free already");
    hz3_die("free", p, "foreign pointer: not allocated by hz3, or unmapped since");
}

HZ3_EXPORT HZ3_AT_CACHE_LINE void free(void *p)
{
    if (HZ3_HARDENED) {
        hz3_harden_free(p);
        return;
    }
    if (HZ3_UNLIKELY(!hz3_arena_owns(p))) {
        free_foreign(p);
        return;
    }
    hz3_front_free(p);
}

// Of a live block.
static size_t bytes_of(const void *p)
{
    if (!hz3_arena_owns(p)) {
        return hz3_mapping_size(p);
    }
    Hz3Tag tag = hz3_tag_of(hz3_page_of(p));
    if (tag == HZ3_TAG_SPAN) {
        return hz3_span_usable_size(p);
    }
    size_t colour = hz3_class_is_medium(tag) ? (uintptr_t)p & (HZ3_PAGE_SIZE - 1) : 0;
    return hz3_classes[tag].size - colour;
}

// All of it: programs write, and read, as much as malloc_usable_size says.
static void clear(void *p)
{
    size_t bytes = bytes_of(p);
    if (hz3_arena_owns(p) || !hz3_mapping_zero(p, bytes)) {
        memset(p, 0, bytes);
    }
}

HZ3_EXPORT void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        return hz3_alloc_failed();
    }
    if (HZ3_HARDENED) {
        return hz3_harden_alloc(bytes, HZ3_MIN_ALIGN, true);
    }
    bool is_zero = false;
    void *p = bytes <= HZ3_MEDIUM_MAX ? malloc(bytes) : alloc_large(bytes, HZ3_MIN_ALIGN, &is_zero);
    if (p != NULL && !is_zero) {
        clear(p);
    }
    return p;
}

// Aborts with a message in the caller's name when no live object can begin at p.
static size_t usable_size(const void *p, const char *function)
{
    if (!hz3_arena_owns(p)) {
        size_t bytes = hz3_mapping_size(p);
        hz3_require(bytes != 0 || !hz3_mapping_is_freed(p), function, p, "use after free: this block is free already");
        hz3_require(bytes != 0, function, p, "foreign pointer: not allocated by hz3, or unmapped since");
        return bytes;
    }
    Hz3Tag tag = hz3_tag_of(hz3_page_of(p));
    hz3_require(tag != HZ3_TAG_NONE, function, p, "use after free or wild pointer: this page is not allocated");
    if (tag == HZ3_TAG_SPAN) {
        hz3_require(((uintptr_t)p & (HZ3_PAGE_SIZE - 1)) == 0, function, p,
                    "interior pointer: not the start of its block");
        return hz3_span_usable_size(p);
    }
    hz3_require(tag <= HZ3_TAG_CLASS_LAST && hz3_object_starts_at(tag, p), function, p,
                "interior pointer: not the start of its block");
    hz3_require(!hz3_front_holds(tag, p), function, p, "use after free: this block is free already");
    return bytes_of(p);
}

// What malloc would give for this size, at most HZ3_REQUEST_MAX.
static size_t block_size(size_t size)
{
    return size <= HZ3_MEDIUM_MAX ? hz3_classes[hz3_class_of(size)].size : hz3_large_pages(size) << HZ3_PAGE_SHIFT;
}

// A block that had to move because it grows will often grow on, and each move copies all of it. So it gets a quarter
// more than it had. What it does not use of that costs little: pages that nobody touches are not resident. From 1 MiB
// on the kernel moves mappings without a copy.
#define ROOM_FROM HZ3_PAGE_SIZE

static size_t with_room_to_grow(size_t old_usable, size_t size)
{
    size_t roomy = old_usable + old_usable / 4;
    bool is_worth_it = size > old_usable && old_usable >= ROOM_FROM && roomy <= HZ3_SPAN_MAX;
    return is_worth_it && roomy > size ? roomy : size;
}

// A block that shrinks stays where it is when there is no memory for a smaller one.
static void *move_object(void *p, size_t old_usable, size_t size)
{
    int saved_errno = errno;
    size_t roomy = with_room_to_grow(old_usable, size);
    void *moved = malloc(roomy);
    if (HZ3_UNLIKELY(moved == NULL) && roomy != size) {
        errno = saved_errno;
        moved = malloc(size);
    }
    if (moved == NULL && size <= old_usable) {
        errno = saved_errno;
        return p;
    }
    if (moved != NULL) {
        memcpy(moved, p, size < old_usable ? size : old_usable);
        free(p);
    }
    return moved;
}

static bool is_large(const void *p)
{
    return !hz3_arena_owns(p) || hz3_tag_of(hz3_page_of(p)) == HZ3_TAG_SPAN;
}

// The block if it serves as it is, or could be made to where it is; a mapping may also be moved without a copy. NULL:
// it takes another block. One that would be left with half of what it has or less is not worth keeping, unless it is
// above 32 KiB: more than a quarter too much goes back.
static void *resize(void *p, size_t usable, size_t size)
{
    size_t bytes = block_size(size);
    if (bytes <= usable && bytes >= usable - usable / 4) {
        return p;
    }
    if (size <= HZ3_MEDIUM_MAX || !is_large(p)) {
        return size <= usable && bytes > usable / 2 ? p : NULL;
    }
    if (hz3_arena_owns(p)) {
        return size <= HZ3_SPAN_MAX && hz3_span_resize(p, size) ? p : NULL;
    }
    if (size <= HZ3_SPAN_MAX / 2 || (size <= HZ3_SPAN_MAX && size > usable)) {
        return size <= usable && bytes > usable / 2 ? p : NULL; // back into the arena
    }
    if (bytes > usable) {
        hz3_mem_budget_charge((bytes - usable) >> HZ3_PAGE_SHIFT);
    }
    void *resized = hz3_mapping_resize(p, bytes > usable ? bytes : hz3_page_round_up(size));
    return resized == NULL && size <= usable ? p : resized;
}

HZ3_EXPORT void *realloc(void *p, size_t size)
{
    if (p == NULL) {
        return malloc(size);
    }
    if (HZ3_HARDENED) {
        return hz3_harden_realloc(p, size);
    }
    size_t usable = usable_size(p, "realloc");
    if (size == 0) {
        free(p);
        return NULL;
    }
    void *resized = size <= HZ3_REQUEST_MAX ? resize(p, usable, size) : NULL;
    return resized != NULL ? resized : move_object(p, usable, size);
}

HZ3_EXPORT void *reallocarray(void *p, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        return hz3_alloc_failed();
    }
    return realloc(p, bytes);
}

// align: a power of two.
static void *alloc_aligned(size_t align, size_t size)
{
    if (HZ3_HARDENED) {
        return hz3_harden_alloc(size, align, false);
    }
    if (align <= HZ3_MIN_ALIGN) {
        return malloc(size);
    }
    hz3_init();
    uint32_t cls = size <= HZ3_MEDIUM_MAX && align <= HZ3_PAGE_SIZE ? hz3_class_of_aligned(size, align) : 0;
    if (cls != 0) {
        void *object = hz3_front_alloc(cls); // the fallback of a full arena is page-aligned, as much as classes promise
        return hz3_class_is_medium(cls) ? hz3_medium_base(object) : object;
    }
    bool is_zero;
    return alloc_large(size != 0 ? size : 1, align, &is_zero);
}

static bool is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

HZ3_EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
    if (!is_power_of_two(align) || align % sizeof(void *) != 0) {
        return EINVAL;
    }
    int saved_errno = errno;
    void *p = alloc_aligned(align, size);
    errno = saved_errno;
    if (p == NULL) {
        return ENOMEM;
    }
    *out = p;
    return 0;
}

HZ3_EXPORT void *aligned_alloc(size_t align, size_t size)
{
    if (!is_power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    return alloc_aligned(align, size);
}

HZ3_EXPORT void *memalign(size_t align, size_t size)
{
    if (align > SIZE_MAX / 2 + 1) { // cannot be rounded up
        errno = EINVAL;
        return NULL;
    }
    if (align > HZ3_REQUEST_MAX) {
        return hz3_alloc_failed();
    }
    if (!is_power_of_two(align)) {
        align = align <= 1 ? 1 : (size_t)1 << (64 - __builtin_clzl(align - 1));
    }
    return alloc_aligned(align, size);
}

HZ3_EXPORT void *valloc(size_t size)
{
    return alloc_aligned(HZ3_PAGE_SIZE, size);
}

HZ3_EXPORT void *pvalloc(size_t size)
{
    size_t rounded;
    if (__builtin_add_overflow(size, HZ3_PAGE_SIZE - 1, &rounded)) {
        return hz3_alloc_failed();
    }
    return alloc_aligned(HZ3_PAGE_SIZE, rounded & ~(HZ3_PAGE_SIZE - 1));
}

HZ3_EXPORT size_t malloc_usable_size(void *p)
{
    if (p == NULL) {
        return 0;
    }
    return HZ3_HARDENED ? hz3_harden_usable_size(p) : usable_size(p, "malloc_usable_size");
}
