// The policy of each entry point: what it returns, where it sets errno and where it leaves it alone.
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "support.h"

// ---- every way to get a block, as one shape ----

static void *by_malloc(size_t size)
{
    return malloc(size);
}
static void *by_calloc_one(size_t size)
{
    return calloc(1, size);
}
static void *by_calloc_bytes(size_t size)
{
    return calloc(size, 1);
}
static void *by_realloc_null(size_t size)
{
    return realloc(NULL, size);
}
static void *by_reallocarray_one(size_t size)
{
    return reallocarray(NULL, 1, size);
}
static void *by_reallocarray_bytes(size_t size)
{
    return reallocarray(NULL, size, 1);
}
static void *by_aligned_alloc(size_t size)
{
    return aligned_alloc(64, size);
}
static void *by_memalign(size_t size)
{
    return memalign(64, size);
}
static void *by_memalign_page(size_t size)
{
    return memalign(PAGE, size);
}
static void *by_valloc(size_t size)
{
    return valloc(size);
}
static void *by_pvalloc(size_t size)
{
    return pvalloc(size);
}
// errno from the return value, so that it is judged like the others.
static void *by_posix_memalign(size_t size)
{
    void *block = NULL;
    int error = posix_memalign(&block, 64, size);
    if (error) errno = error;
    return block;
}

static const struct Entry {
    const char *name;
    void *(*allocate)(size_t size);
    size_t alignment;
} entries[] = {
    {"malloc", by_malloc, 16},
    {"calloc(1,n)", by_calloc_one, 16},
    {"calloc(n,1)", by_calloc_bytes, 16},
    {"realloc(NULL,n)", by_realloc_null, 16},
    {"reallocarray(NULL,1,n)", by_reallocarray_one, 16},
    {"reallocarray(NULL,n,1)", by_reallocarray_bytes, 16},
    {"posix_memalign", by_posix_memalign, 64},
    {"aligned_alloc", by_aligned_alloc, 64},
    {"memalign", by_memalign, 64},
    {"memalign(4096,n)", by_memalign_page, PAGE},
    {"valloc", by_valloc, PAGE},
    {"pvalloc", by_pvalloc, PAGE},
};

static void zero_size_gives_a_unique_block(const void *arg)
{
    (void)arg;
    enum { BLOCKS = 200 };
    for (size_t e = 0; e < COUNT_OF(entries); e++) {
        char *blocks[BLOCKS];
        for (size_t i = 0; i < BLOCKS; i++) {
            blocks[i] = entries[e].allocate(0);
            EXPECT(blocks[i] != NULL, "%s of 0 bytes", entries[e].name);
            EXPECT(malloc_usable_size(blocks[i]) >= 16, "%s of 0 bytes at %p", entries[e].name, (void *)blocks[i]);
            memset(blocks[i], (int)i, 16);
        }
        for (size_t i = 0; i < BLOCKS; i++) {
            EXPECT(blocks[i][0] == (char)i && blocks[i][15] == (char)i, "%s: block %zu shared", entries[e].name, i);
            free(blocks[i]);
        }
    }
}

static void too_large_is_enomem(const void *arg)
{
    (void)arg;
    static const size_t sizes[] = {(size_t)PTRDIFF_MAX + 1, (size_t)PTRDIFF_MAX + 2, (size_t)PTRDIFF_MAX + 4097,
                                   SIZE_MAX - ((size_t)1 << 32), SIZE_MAX - 2 * MIB, SIZE_MAX - 8192, SIZE_MAX - 4096,
                                   SIZE_MAX - 4095, SIZE_MAX - 4094, SIZE_MAX - 64, SIZE_MAX - 63, SIZE_MAX - 16,
                                   SIZE_MAX - 15, SIZE_MAX - 1, SIZE_MAX,
                                   // Legal sizes that no kernel can give.
                                   PTRDIFF_MAX, PTRDIFF_MAX - 15, PTRDIFF_MAX - 4096, (size_t)1 << 62};
    for (size_t e = 0; e < COUNT_OF(entries); e++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            errno = ERRNO_MARK;
            void *block = entries[e].allocate(sizes[i]);
            EXPECT(block == NULL && errno == ENOMEM, "%s(%zu) = %p", entries[e].name, sizes[i], block);
        }
    }
}

static void product_overflow_is_enomem(const void *arg)
{
    (void)arg;
    static const size_t factors[][2] = {
        {SIZE_MAX, 2},
        {2, SIZE_MAX},
        {SIZE_MAX, SIZE_MAX},
        {SIZE_MAX / 2 + 1, 2},
        {SIZE_MAX / 3 + 1, 3},
        {3, SIZE_MAX / 3 + 1},
        {(size_t)1 << 32, (size_t)1 << 32},
        {((size_t)1 << 32) + 1, ((size_t)1 << 32) + 1},
        {(size_t)1 << 63, 2},
        {(size_t)1 << 60, 16},
        // wraps to a small size
        {((size_t)1 << 60) + 1, 16},
        {((size_t)1 << 63) + 8, 2},
        // no overflow, but above PTRDIFF_MAX
        {(size_t)PTRDIFF_MAX / 2 + 1, 2},
        {(size_t)1 << 31, (size_t)1 << 32},
    };
    void *block = malloc(100);
    pattern_fill(block, 100, 1);
    for (size_t i = 0; i < COUNT_OF(factors); i++) {
        size_t n = factors[i][0], size = factors[i][1];
        errno = ERRNO_MARK;
        EXPECT(opaque(calloc(n, size)) == NULL && errno == ENOMEM, "calloc(%zu, %zu)", n, size);
        errno = ERRNO_MARK;
        EXPECT(opaque(reallocarray(NULL, n, size)) == NULL && errno == ENOMEM, "reallocarray(NULL, %zu, %zu)", n, size);
        errno = ERRNO_MARK;
        EXPECT(opaque(reallocarray(opaque(block), n, size)) == NULL && errno == ENOMEM, "reallocarray(p, %zu, %zu)", n,
               size);
        EXPECT(pattern_mismatch(opaque(block), 100, 1) == 100, "block changed by a failed reallocarray");
    }
    free(block);
}

static void product_of_zero_is_a_block(const void *arg)
{
    (void)arg;
    static const size_t factors[] = {0, 1, 100, (size_t)1 << 40, SIZE_MAX};
    for (size_t i = 0; i < COUNT_OF(factors); i++) {
        void *blocks[] = {calloc(0, factors[i]), calloc(factors[i], 0), reallocarray(NULL, 0, factors[i]),
                          reallocarray(NULL, factors[i], 0)};
        for (size_t j = 0; j < COUNT_OF(blocks); j++) {
            EXPECT(blocks[j] != NULL && malloc_usable_size(blocks[j]) >= 16, "0 x %zu, form %zu", factors[i], j);
            free(blocks[j]);
        }
    }
}

// ---- alignment ----

static const size_t edge_sizes[] = {0,     1,     15,    16,    17,    100,     4095, 4096,    4097,       5000,
                                    32767, 32768, 32769, 50000, 65536, MIB - 1, MIB,  MIB + 1, 3 * MIB + 5};

static void check_block(void *block, size_t size, size_t alignment, const char *name)
{
    EXPECT(block != NULL, "%s: %zu bytes aligned to %zu", name, size, alignment);
    EXPECT(is_aligned(block, alignment), "%s: %p for alignment %zu", name, block, alignment);
    size_t usable = malloc_usable_size(block);
    EXPECT(usable >= size, "%s: usable %zu of %zu", name, usable, size);
    pattern_fill(block, usable, alignment);
    EXPECT(pattern_mismatch(block, usable, alignment) == usable, "%s: pattern lost in %p", name, block);
}

static void powers_of_two_align(const void *arg)
{
    (void)arg;
    for (size_t alignment = 8; alignment <= 64 * MIB; alignment *= 2) {
        size_t expected = alignment < 16 ? 16 : alignment;
        for (size_t i = 0; i < COUNT_OF(edge_sizes); i++) {
            size_t size = edge_sizes[i];
            void *blocks[3] = {NULL, aligned_alloc(alignment, size), memalign(alignment, size)};
            errno = ERRNO_MARK;
            EXPECT(posix_memalign(&blocks[0], alignment, size) == 0, "posix_memalign(%zu, %zu)", alignment, size);
            EXPECT(errno == ERRNO_MARK, "errno kept by posix_memalign(%zu, %zu)", alignment, size);
            static const char *const names[] = {"posix_memalign", "aligned_alloc", "memalign"};
            for (size_t j = 0; j < 3; j++)
                check_block(blocks[j], size, expected, names[j]);
            for (size_t j = 0; j < 3; j++) {
                EXPECT(pattern_mismatch(blocks[j], size, expected) == size, "%s overlaps", names[j]);
                free(blocks[j]);
            }
        }
    }
    for (size_t alignment = 1; alignment <= 4; alignment *= 2) {
        void *block = aligned_alloc(alignment, 100);
        check_block(block, 100, 16, "aligned_alloc");
        free(block);
    }
}

static void posix_memalign_bad_alignment_is_einval(const void *arg)
{
    (void)arg;
    static const size_t alignments[] = {0,  1,  2,  3,  4,    5,    7,        9,        12,           15,
                                        17, 24, 40, 48, 4095, 4097, 3 * 4096, SIZE_MAX, SIZE_MAX - 7, SIZE_MAX / 2};
    static const size_t sizes[] = {0, 1, 100, 10000, MIB, (size_t)PTRDIFF_MAX + 1, SIZE_MAX};
    char sentinel;
    for (size_t a = 0; a < COUNT_OF(alignments); a++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            void *block = &sentinel;
            errno = ERRNO_MARK;
            int error = posix_memalign(&block, alignments[a], sizes[i]);
            EXPECT(error == EINVAL, "posix_memalign(%zu, %zu) = %d", alignments[a], sizes[i], error);
            EXPECT(block == &sentinel, "pointer kept by posix_memalign(%zu, %zu)", alignments[a], sizes[i]);
            EXPECT(errno == ERRNO_MARK, "errno kept by posix_memalign(%zu, %zu)", alignments[a], sizes[i]);
        }
    }
}

static void posix_memalign_enomem_keeps_pointer(const void *arg)
{
    (void)arg;
    static const size_t sizes[] = {(size_t)PTRDIFF_MAX + 1, SIZE_MAX, SIZE_MAX - 4095, PTRDIFF_MAX};
    char sentinel;
    for (size_t alignment = 8; alignment <= (size_t)1 << 62; alignment *= 2) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            void *block = &sentinel;
            errno = ERRNO_MARK;
            int error = posix_memalign(&block, alignment, sizes[i]);
            EXPECT(errno == ERRNO_MARK, "errno kept by posix_memalign(%zu, %zu)", alignment, sizes[i]);
            EXPECT(error == ENOMEM, "posix_memalign(%zu, %zu) = %d", alignment, sizes[i], error);
            EXPECT(block == &sentinel, "pointer kept by posix_memalign(%zu, %zu)", alignment, sizes[i]);
        }
    }
}

static void aligned_alloc_non_power_of_two_is_einval(const void *arg)
{
    (void)arg;
    static const size_t alignments[] = {
        0,  3,  5,    6,    7,        9,        12,           15,      17,
        24, 48, 4095, 4097, 3 * 4096, SIZE_MAX, SIZE_MAX - 1, 3 * MIB, ((size_t)1 << 63) + 1};
    static const size_t sizes[] = {0, 1, 96, 12288, MIB};
    for (size_t a = 0; a < COUNT_OF(alignments); a++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            errno = ERRNO_MARK;
            void *block = aligned_alloc(alignments[a], sizes[i]);
            EXPECT(block == NULL && errno == EINVAL, "aligned_alloc(%zu, %zu) = %p", alignments[a], sizes[i], block);
        }
    }
}

static void memalign_rounds_its_alignment_up(const void *arg)
{
    (void)arg;
    static const size_t alignments[] = {0,   1,   2,   3,    4,    5,    7,    8,    9,      12,
                                        15,  17,  24,  31,   33,   48,   63,   65,   96,     100,
                                        129, 255, 257, 1000, 3000, 4095, 4097, 5000, 100000, 3 * MIB};
    for (size_t a = 0; a < COUNT_OF(alignments); a++) {
        size_t rounded = 16;
        while (rounded < alignments[a])
            rounded *= 2;
        for (size_t i = 0; i < COUNT_OF(edge_sizes); i++) {
            void *block = memalign(alignments[a], edge_sizes[i]);
            check_block(block, edge_sizes[i], rounded, "memalign");
            free(block);
        }
    }
}

static void memalign_overflow_is_enomem(const void *arg)
{
    (void)arg;
    static const size_t cases[][2] = {
        {PAGE, SIZE_MAX - PAGE + 2}, {(size_t)1 << 62, 1},        {(size_t)1 << 62, (size_t)1 << 62},
        {(size_t)1 << 63, 1},        {(size_t)1 << 63, SIZE_MAX}, {((size_t)1 << 62) + 1, 100},
        {MIB, PTRDIFF_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        errno = ERRNO_MARK;
        void *block = memalign(cases[i][0], cases[i][1]);
        EXPECT(block == NULL && errno == ENOMEM, "memalign(%zu, %zu) = %p", cases[i][0], cases[i][1], block);
    }
}

// As in glibc: there is no greater power of two.
static void memalign_that_cannot_be_rounded_up_is_einval(const void *arg)
{
    (void)arg;
    static const size_t alignments[] = {((size_t)1 << 63) + 1, SIZE_MAX - 1, SIZE_MAX};
    for (size_t i = 0; i < COUNT_OF(alignments); i++) {
        errno = 0;
        EXPECT(memalign(alignments[i], 100) == NULL, "memalign(%zu, 100)", alignments[i]);
        EXPECT(errno == EINVAL, "memalign(%zu, 100): errno %d", alignments[i], errno);
    }
}

static void valloc_and_pvalloc_give_whole_pages(const void *arg)
{
    (void)arg;
    for (size_t i = 0; i < COUNT_OF(edge_sizes); i++) {
        void *block = valloc(edge_sizes[i]);
        check_block(block, edge_sizes[i], PAGE, "valloc");
        void *pages = pvalloc(edge_sizes[i]);
        check_block(pages, (edge_sizes[i] + PAGE - 1) & ~(PAGE - 1), PAGE, "pvalloc");
        free(block);
        free(pages);
    }
}

// ---- realloc, free and errno ----

static void realloc_to_zero_frees(const void *arg)
{
    (void)arg;
    static const size_t sizes[] = {0, 1, 100, 4000, 20000, 100000, 2 * MIB, 8 * MIB};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (int round = 0; round < 300; round++) {
            void *block = malloc(sizes[i]);
            memset(block, 1, sizes[i]);
            errno = ERRNO_MARK;
            EXPECT(opaque(realloc(block, 0)) == NULL, "realloc(p of %zu, 0)", sizes[i]);
            EXPECT(errno == ERRNO_MARK, "errno kept by realloc(p of %zu, 0)", sizes[i]);
        }
    }
    // A leak would have kept 300 x 10 MiB.
    EXPECT(rss_bytes() < 512 * MIB, "RSS %zu after 2400 realloc(p, 0)", rss_bytes());
}

// Step by step to 512 KiB, with a neighbour in the way after each move. Each move copies the whole block: without room
// to grow there were 34.
static void a_block_that_grows_moves_seldom(const void *arg)
{
    (void)arg;
    enum { STEP = 500, END = 512 * KIB, MOVES_MAX = 26 };
    static void *neighbours[10000];
    size_t moves = 0;
    char *block = malloc(4096);
    for (size_t size = 4096 + STEP; size < END; size += STEP) {
        const uintptr_t before = (uintptr_t)block;
        block = realloc(opaque(block), size);
        EXPECT(block != NULL, "realloc to %zu", size);
        if ((uintptr_t)block == before) continue;
        EXPECT(moves < COUNT_OF(neighbours), "%zu moves until %zu bytes", moves, size);
        neighbours[moves++] = malloc(size);
    }
    child_note("info=%zu moves from 4 to 512 KiB", moves);
    EXPECT(moves <= MOVES_MAX, "%zu moves, at most %d", moves, MOVES_MAX);
    for (size_t i = 0; i < moves; i++)
        free(neighbours[i]);
    free(block);
}

static void failed_realloc_keeps_the_block(const void *arg)
{
    (void)arg;
    static const size_t huge[] = {PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX, SIZE_MAX - 4095, (size_t)1 << 62};
    for (size_t i = 0; i < COUNT_OF(edge_sizes); i++) {
        void *block = malloc(edge_sizes[i]);
        pattern_fill(block, edge_sizes[i], i);
        for (size_t j = 0; j < COUNT_OF(huge); j++) {
            errno = ERRNO_MARK;
            EXPECT(opaque(realloc(opaque(block), huge[j])) == NULL && errno == ENOMEM, "realloc(p of %zu, %zu)",
                   edge_sizes[i], huge[j]);
            EXPECT(pattern_mismatch(opaque(block), edge_sizes[i], i) == edge_sizes[i], "block of %zu changed",
                   edge_sizes[i]);
        }
        free(opaque(block));
    }
}

static void free_keeps_errno(const void *arg)
{
    (void)arg;
    for (size_t i = 0; i < COUNT_OF(edge_sizes); i++) {
        void *blocks[64];
        for (size_t j = 0; j < COUNT_OF(blocks); j++) {
            blocks[j] = j % 2 ? malloc(edge_sizes[i]) : memalign(PAGE, edge_sizes[i]);
            EXPECT(blocks[j] != NULL, "block of %zu", edge_sizes[i]);
        }
        for (size_t j = 0; j < COUNT_OF(blocks); j++) {
            errno = ERRNO_MARK;
            free(blocks[j]);
            EXPECT(errno == ERRNO_MARK, "free of %zu bytes set errno", edge_sizes[i]);
        }
    }
    void *mapped = malloc(512 * MIB);
    EXPECT(mapped != NULL, "512 MiB");
    errno = ERRNO_MARK;
    free(mapped);
    EXPECT(errno == ERRNO_MARK, "free of 512 MiB set errno");
    free(NULL);
    EXPECT(errno == ERRNO_MARK, "free(NULL) set errno");
}

// A program that is not C++ can get there by plugins of its own making; nobody can throw for it.
static void operator_new_without_a_cxx_library(const void *arg)
{
    (void)arg;
    void *(*new_nothrow)(size_t, const void *) =
        (void *(*)(size_t, const void *))dlsym(RTLD_DEFAULT, "_ZnwmRKSt9nothrow_t");
    void (*delete_sized)(void *, size_t) = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "_ZdlPvm");
    EXPECT(new_nothrow != NULL && delete_sized != NULL, "operators are not exported");
    void *block = new_nothrow(100, NULL);
    EXPECT(block != NULL, "100 bytes");
    delete_sized(block, 100);
    errno = 0;
    EXPECT(new_nothrow(SIZE_MAX / 2, NULL) == NULL && errno == ENOMEM, "errno %d", errno);
}

static void operator_new_that_cannot_throw(const void *arg)
{
    (void)arg;
    void *(*new)(size_t) = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "_Znwm");
    EXPECT(new != NULL, "operator new is not exported");
    new (SIZE_MAX / 2);
}

static void judge_cannot_throw(const ChildResult *result, const void *arg, char *why, size_t why_bytes)
{
    (void)arg;
    if (!WIFSIGNALED(result->status) || WTERMSIG(result->status) != SIGABRT ||
        strstr(result->err, "hz3: operator new(") == NULL || strstr(result->err, "no C++ library") == NULL) {
        snprintf(why, why_bytes, "wait status 0x%x, message: %s", (unsigned)result->status, result->err);
    }
}

// C23's: the size is what was asked for. A wrong one is lane hardened's to find.
static void free_with_a_size(const void *arg)
{
    (void)arg;
    void (*sized)(void *, size_t) = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
    void (*aligned)(void *, size_t, size_t) =
        (void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");
    EXPECT(sized != NULL && aligned != NULL, "C23's forms of free are not exported");
    for (size_t i = 0; i < COUNT_OF(edge_sizes); i++) {
        void *block = malloc(edge_sizes[i]);
        EXPECT(block != NULL, "block of %zu", edge_sizes[i]);
        errno = ERRNO_MARK;
        sized(block, edge_sizes[i]);
        EXPECT(errno == ERRNO_MARK, "free_sized of %zu bytes set errno", edge_sizes[i]);
        block = aligned_alloc(64, edge_sizes[i]);
        EXPECT(block != NULL, "aligned block of %zu", edge_sizes[i]);
        aligned(block, 64, edge_sizes[i]);
    }
    sized(NULL, 0);
    aligned(NULL, 64, 0);
}

static const TestCase cases[] = {
    {.name = "zero_size_gives_a_unique_block", .run = zero_size_gives_a_unique_block},
    {.name = "too_large_is_enomem_at_every_entry_point", .run = too_large_is_enomem},
    {.name = "calloc_and_reallocarray_overflow_is_enomem", .run = product_overflow_is_enomem},
    {.name = "calloc_and_reallocarray_of_zero_is_a_block", .run = product_of_zero_is_a_block},
    {.name = "powers_of_two_align_at_every_size", .run = powers_of_two_align},
    {.name = "posix_memalign_bad_alignment_is_einval", .run = posix_memalign_bad_alignment_is_einval},
    {.name = "posix_memalign_enomem_keeps_pointer", .run = posix_memalign_enomem_keeps_pointer},
    {.name = "aligned_alloc_non_power_of_two_is_einval", .run = aligned_alloc_non_power_of_two_is_einval},
    {.name = "memalign_rounds_its_alignment_up", .run = memalign_rounds_its_alignment_up},
    {.name = "memalign_overflow_is_enomem", .run = memalign_overflow_is_enomem},
    {.name = "memalign_that_cannot_be_rounded_up_is_einval", .run = memalign_that_cannot_be_rounded_up_is_einval},
    {.name = "valloc_and_pvalloc_give_whole_pages", .run = valloc_and_pvalloc_give_whole_pages},
    {.name = "realloc_to_zero_frees", .run = realloc_to_zero_frees},
    {.name = "a_block_that_grows_moves_seldom", .run = a_block_that_grows_moves_seldom},
    {.name = "failed_realloc_keeps_the_block", .run = failed_realloc_keeps_the_block},
    {.name = "free_keeps_errno", .run = free_keeps_errno},
    {.name = "free_with_a_size", .run = free_with_a_size},
    {.name = "operator_new_without_a_cxx_library", .run = operator_new_without_a_cxx_library},
    {.name = "operator_new_that_cannot_throw", .run = operator_new_that_cannot_throw, .judge = judge_cannot_throw},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
