// What blocks hold: zeroed, kept, writable to the last usable byte, aligned, never overlapping; and what the
// introspection calls say about them.
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

#define SIZES_MAX 512

static size_t sizes[SIZES_MAX];
static size_t n_sizes;

static void load_sizes(size_t max)
{
    n_sizes = boundary_sizes(sizes, SIZES_MAX, max);
}

static void all_blocks_are_16_aligned(const void *arg)
{
    (void)arg;
    for (size_t size = 0; size <= 66000; size += size < 5000 ? 1 : 61) {
        void *blocks[3] = {malloc(size), calloc(size, 1), realloc(malloc(1), size + 1)};
        for (size_t i = 0; i < 3; i++) {
            EXPECT(blocks[i] && is_aligned(blocks[i], 16), "%zu bytes at %p, form %zu", size, blocks[i], i);
        }
        for (size_t i = 0; i < 3; i++)
            free(blocks[i]);
    }
}

static void all_usable_bytes_are_writable(const void *arg)
{
    (void)arg;
    EXPECT(malloc_usable_size(NULL) == 0, "usable size of NULL");
    load_sizes(16 * MIB);
    for (size_t i = 0; i < n_sizes; i++) {
        void *blocks[4];
        size_t usable[4];
        for (size_t j = 0; j < 4; j++) {
            blocks[j] = malloc(sizes[i]);
            EXPECT(blocks[j] != NULL, "malloc(%zu)", sizes[i]);
            usable[j] = malloc_usable_size(blocks[j]);
            EXPECT(usable[j] >= sizes[i], "usable %zu of %zu", usable[j], sizes[i]);
            pattern_fill(blocks[j], usable[j], j);
        }
        for (size_t j = 0; j < 4; j++) {
            EXPECT(pattern_mismatch(blocks[j], usable[j], j) == usable[j], "size %zu, block %zu", sizes[i], j);
            EXPECT(malloc_usable_size(blocks[j]) == usable[j], "usable size of %zu changed", sizes[i]);
            free(blocks[j]);
        }
    }
}

static void calloc_is_zero_after_dirty_reuse(const void *arg)
{
    (void)arg;
    enum { BLOCKS = 12 };
    load_sizes(8 * MIB);
    for (size_t i = 0; i < n_sizes; i++) {
        size_t n_blocks = sizes[i] <= MIB ? BLOCKS : 3;
        for (int round = 0; round < 3; round++) {
            void *blocks[BLOCKS];
            for (size_t j = 0; j < n_blocks; j++) {
                blocks[j] = malloc(sizes[i]);
                EXPECT(blocks[j] != NULL, "malloc(%zu)", sizes[i]);
                memset(blocks[j], 0xa5, malloc_usable_size(blocks[j]));
            }
            for (size_t j = 0; j < n_blocks; j++)
                free(blocks[j]);
            for (size_t j = 0; j < n_blocks; j++) {
                blocks[j] = j % 2 ? calloc(1, sizes[i]) : calloc(sizes[i], 1);
                size_t offset = nonzero_offset(blocks[j], sizes[i]);
                EXPECT(offset == sizes[i], "calloc of %zu, round %d: byte %zu is not 0", sizes[i], round, offset);
                memset(blocks[j], 0x5a, sizes[i]);
            }
            for (size_t j = 0; j < n_blocks; j++)
                free(blocks[j]);
            if (round == 1) malloc_trim(0);
        }
    }
}

static void realloc_once(size_t from, size_t to)
{
    void *block = malloc(from);
    EXPECT(block != NULL, "malloc(%zu)", from);
    pattern_fill(block, from, from);
    void *moved = realloc(block, to);
    EXPECT(moved && is_aligned(moved, 16) && malloc_usable_size(moved) >= to, "realloc %zu to %zu: %p", from, to,
           moved);
    size_t kept = from < to ? from : to;
    size_t mismatch = pattern_mismatch(moved, kept, from);
    EXPECT(mismatch == kept, "realloc %zu to %zu: byte %zu changed", from, to, mismatch);
    pattern_fill(moved, to, to);
    EXPECT(pattern_mismatch(moved, to, to) == to, "realloc %zu to %zu: not writable", from, to);
    free(moved);
}

static void realloc_keeps_content_between_all_classes(const void *arg)
{
    (void)arg;
    load_sizes(40 * KIB);
    for (size_t i = 0; i < n_sizes; i++) {
        for (size_t j = 0; j < n_sizes; j += 2)
            realloc_once(sizes[i], sizes[j + (i & (j + 1 < n_sizes))]);
    }
}

static void realloc_keeps_content_to_and_from_large(const void *arg)
{
    (void)arg;
    static const size_t large[] = {40000, 65536, 200000, 600001, MIB - 1, MIB, MIB + 1, 3 * MIB, 5 * MIB + 4097};
    load_sizes(40 * KIB);
    for (size_t i = 0; i < COUNT_OF(large); i++) {
        for (size_t j = 0; j < n_sizes; j += 3) {
            realloc_once(sizes[j], large[i]);
            realloc_once(large[i], sizes[j]);
        }
        for (size_t j = 0; j < COUNT_OF(large); j++)
            realloc_once(large[i], large[j]);
    }
}

// One block through every boundary, up and then down; its first bytes are never written again, and what a step writes
// near its end is there after the next.
static void realloc_chain_keeps_content(const void *arg)
{
    (void)arg;
    load_sizes(12 * MIB);
    unsigned char *block = calloc(1, 16);
    pattern_fill(block, 8, 7);
    size_t tail = 0;
    for (size_t step = 1; step < 2 * n_sizes; step++) {
        size_t at = step < n_sizes ? step : 2 * n_sizes - 1 - step;
        size_t size = sizes[at] < 16 ? 16 : sizes[at];
        block = realloc(block, size);
        EXPECT(block != NULL, "realloc to %zu", size);
        EXPECT(pattern_mismatch(block, 8, 7) == 8, "content lost at %zu", size);
        bool had_tail = tail != 0 && tail + 8 <= size;
        EXPECT(!had_tail || pattern_mismatch(block + tail, 8, step - 1) == 8, "tail lost at %zu", size);
        tail = size < 64 ? 8 : size / 2;
        pattern_fill(block + tail, 8, step);
    }
    free(block);
}

static void realloc_of_aligned_blocks_keeps_content(const void *arg)
{
    (void)arg;
    for (size_t alignment = 16; alignment <= 4 * MIB; alignment *= 4) {
        for (size_t size = 1; size <= 3 * MIB; size = size * 3 + 1) {
            void *block = memalign(alignment, size);
            EXPECT(block != NULL, "memalign(%zu, %zu)", alignment, size);
            pattern_fill(block, size, alignment);
            void *grown = realloc(block, 2 * size);
            EXPECT(grown && pattern_mismatch(grown, size, alignment) == size, "grown from memalign(%zu, %zu)",
                   alignment, size);
            void *shrunk = realloc(grown, size / 2 + 1);
            size_t kept = size / 2 + 1;
            EXPECT(shrunk && pattern_mismatch(shrunk, kept, alignment) == kept, "shrunk from memalign(%zu, %zu)",
                   alignment, size);
            free(shrunk);
        }
    }
}

// ---- no overlap ----

typedef struct Span {
    char *start;
    size_t bytes;
} Span;

static int span_compare(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const Span *)a)->start, y = (uintptr_t)((const Span *)b)->start;
    return (x > y) - (x < y);
}

static void blocks_never_overlap(const void *arg)
{
    (void)arg;
    enum { BLOCKS = 20000 };
    Span *spans = map_pages(BLOCKS * sizeof *spans);
    uint64_t random = 42;
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = random_size(&random, i % 50 ? 40 * KIB : 3 * MIB);
        char *block = i % 7 == 0 ? memalign((size_t)16 << (i % 13), size) : malloc(size);
        EXPECT(block != NULL, "block %zu of %zu", i, size);
        spans[i] = (Span){block, malloc_usable_size(block)};
        // Holes, so that later blocks reuse earlier memory.
        if (i % 3 == 2) {
            free(spans[i - 1].start);
            spans[i - 1] = (Span){malloc(spans[i].bytes / 2 + 1), 0};
            spans[i - 1].bytes = malloc_usable_size(spans[i - 1].start);
        }
    }
    qsort(spans, BLOCKS, sizeof *spans, span_compare);
    for (size_t i = 1; i < BLOCKS; i++) {
        EXPECT(spans[i - 1].start + spans[i - 1].bytes <= spans[i].start, "%p+%zu and %p overlap",
               (void *)spans[i - 1].start, spans[i - 1].bytes, (void *)spans[i].start);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(spans[i].start);
    unmap_pages(spans, BLOCKS * sizeof *spans);
}

typedef struct Slot {
    void *block;
    size_t size;
    uint64_t seed;
} Slot;

static void slot_verify(const Slot *slot, size_t bytes, const char *when)
{
    size_t mismatch = pattern_mismatch(slot->block, bytes, slot->seed);
    EXPECT(mismatch == bytes, "%s: byte %zu of %p (%zu bytes) changed", when, mismatch, slot->block, slot->size);
}

static void slot_allocate(Slot *slot, uint64_t *random, size_t size)
{
    size_t alignment = (size_t)16 << (random_next(random) % 10);
    switch (random_next(random) % 6) {
    case 0:
        slot->block = calloc(1, size);
        EXPECT(slot->block && nonzero_offset(slot->block, size) == size, "calloc of %zu is not zero", size);
        break;
    case 1:
        slot->block = memalign(alignment, size);
        EXPECT(slot->block && is_aligned(slot->block, alignment), "memalign(%zu, %zu)", alignment, size);
        break;
    case 2:
        EXPECT(posix_memalign(&slot->block, alignment, size) == 0 && is_aligned(slot->block, alignment),
               "posix_memalign(%zu, %zu)", alignment, size);
        break;
    default:
        slot->block = malloc(size);
    }
    EXPECT(slot->block && malloc_usable_size(slot->block) >= size, "block of %zu", size);
}

// A random program against a model that knows what every live block must hold.
static void random_program_matches_its_model(const void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    enum { SLOTS = 3000, STEPS = 150000 };
    Slot *slots = map_pages(SLOTS * sizeof *slots);
    for (size_t step = 0; step < STEPS; step++) {
        Slot *slot = &slots[random_next(&random) % SLOTS];
        size_t size = random_size(&random, step % 64 ? 40 * KIB : 2 * MIB);
        if (!slot->block) {
            slot_allocate(slot, &random, size);
        } else if (random_next(&random) % 3 == 0) {
            slot_verify(slot, slot->size, "before realloc");
            slot->block = realloc(slot->block, size);
            size_t kept = slot->size < size ? slot->size : size;
            EXPECT(slot->block != NULL, "realloc of %zu to %zu", slot->size, size);
            slot_verify(slot, kept, "after realloc");
        } else {
            slot_verify(slot, slot->size, "at free");
            free(slot->block);
            slot->block = NULL;
            continue;
        }
        slot->size = size;
        slot->seed = step;
        pattern_fill(slot->block, size, slot->seed);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        if (!slots[i].block) continue;
        slot_verify(&slots[i], slots[i].size, "at the end");
        free(slots[i].block);
    }
    unmap_pages(slots, SLOTS * sizeof *slots);
}

// ---- introspection ----

static void mallopt_of_known_keys_is_1(const void *arg)
{
    (void)arg;
    static const int settings[][2] = {{M_MXFAST, 64},     {M_TRIM_THRESHOLD, 128 * 1024},
                                      {M_TOP_PAD, 4096},  {M_MMAP_THRESHOLD, 256 * 1024},
                                      {M_MMAP_MAX, 1000}, {M_CHECK_ACTION, 3},
                                      {M_PERTURB, 0},     {M_ARENA_TEST, 8},
                                      {M_ARENA_MAX, 1}};
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        EXPECT(mallopt(settings[i][0], settings[i][1]) == 1, "mallopt(%d, %d)", settings[i][0], settings[i][1]);
    }
}

static size_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void mallinfo2_follows_allocation(const void *arg)
{
    (void)arg;
    static const size_t block_sizes[] = {16, 100, 1024, 5000, 20000, 100000, 900000, 2 * MIB};
    const size_t total = 32 * MIB;
    void **blocks = map_pages(total / 16 * sizeof *blocks);
    for (size_t i = 0; i < COUNT_OF(block_sizes); i++) {
        size_t n = total / block_sizes[i];
        size_t before = bytes_in_use();
        size_t usable = 0;
        for (size_t j = 0; j < n; j++) {
            blocks[j] = malloc(block_sizes[i]);
            EXPECT(blocks[j] != NULL, "block %zu of %zu", j, block_sizes[i]);
            usable += malloc_usable_size(blocks[j]);
        }
        size_t grown = bytes_in_use() - before;
        EXPECT(grown >= usable * 9 / 10 && grown <= usable * 2, "blocks of %zu: %zu more in use for %zu allocated",
               block_sizes[i], grown, usable);
        for (size_t j = 0; j < n; j++)
            free(blocks[j]);
        malloc_trim(0);
        size_t after = bytes_in_use();
        EXPECT(after <= before + 4 * MIB, "blocks of %zu: %zu in use before, %zu after free", block_sizes[i], before,
               after);
    }
    struct mallinfo2 info = mallinfo2();
    EXPECT(info.arena + info.hblkhd >= info.uordblks, "arena %zu + hblkhd %zu, uordblks %zu", info.arena, info.hblkhd,
           info.uordblks);
}

static void mallinfo_answers_like_mallinfo2(const void *arg)
{
    (void)arg;
    void *block = malloc(8 * MIB);
    struct mallinfo2 wide = mallinfo2();
    struct mallinfo narrow = mallinfo();
    EXPECT((size_t)(unsigned)(narrow.uordblks + narrow.hblkhd) == wide.uordblks + wide.hblkhd, "%d + %d, %zu + %zu",
           narrow.uordblks, narrow.hblkhd, wide.uordblks, wide.hblkhd);
    free(block);
}

static void malloc_info_writes_xml(const void *arg)
{
    (void)arg;
    char text[16384] = "";
    FILE *file = tmpfile();
    NEEDS(file != NULL, "no temporary file");
    void *block = malloc(5 * MIB);
    EXPECT(malloc_info(0, file) == 0, "malloc_info(0)");
    rewind(file);
    size_t n = fread(text, 1, sizeof text - 1, file);
    EXPECT(n > 0 && strncmp(text, "<malloc", 7) == 0 && strstr(text, "</malloc>"), "malloc_info wrote '%s'", text);
    EXPECT(malloc_info(1, file) != 0, "malloc_info(1) is not defined");
    free(block);
    fclose(file);
}

static void malloc_stats_writes_to_stderr_only(const void *arg)
{
    (void)arg;
    void *block = malloc(100);
    malloc_stats();
    free(block);
}

static void judge_malloc_stats(const ChildResult *result, const void *arg, char *why, size_t why_bytes)
{
    (void)arg;
    if (result->status != 0) snprintf(why, why_bytes, "wait status 0x%x", (unsigned)result->status);
    if (result->err[0] == '\0') snprintf(why, why_bytes, "nothing on stderr");
    if (result->out[0] != '\0') snprintf(why, why_bytes, "something on stdout");
}

static void malloc_trim_keeps_live_blocks(const void *arg)
{
    (void)arg;
    enum { BLOCKS = 20000 };
    void **blocks = map_pages(BLOCKS * sizeof *blocks);
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(16 + i % 4000);
        pattern_fill(blocks[i], 16 + i % 4000, i);
    }
    for (size_t round = 0; round < 4; round++) {
        for (size_t i = round; i < BLOCKS; i += 5) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
        int trimmed = malloc_trim(round * 100000);
        EXPECT(trimmed == 0 || trimmed == 1, "malloc_trim = %d", trimmed);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = 16 + i % 4000;
        EXPECT(!blocks[i] || pattern_mismatch(blocks[i], size, i) == size, "block of %zu changed by malloc_trim", size);
        free(blocks[i]);
    }
}

static void malloc_trim_gives_memory_back(const void *arg)
{
    (void)arg;
    static const size_t block_sizes[] = {64, 3000, 20000, 300000, 4 * MIB};
    const size_t total = 64 * MIB;
    void **blocks = map_pages(total / 64 * sizeof *blocks);
    memset(blocks, 0, total / 64 * sizeof *blocks);
    for (size_t i = 0; i < COUNT_OF(block_sizes); i++) {
        size_t before = rss_bytes();
        size_t n = total / block_sizes[i];
        for (size_t j = 0; j < n; j++) {
            blocks[j] = malloc(block_sizes[i]);
            memset(blocks[j], 1, block_sizes[i]);
        }
        EXPECT(rss_bytes() >= before + total * 8 / 10, "RSS %zu, then %zu with 64 MiB more", before, rss_bytes());
        for (size_t j = 0; j < n; j++)
            free(blocks[j]);
        malloc_trim(0);
        size_t after = rss_bytes();
        EXPECT(after <= before + 8 * MIB, "blocks of %zu: RSS %zu before, %zu after malloc_trim", block_sizes[i],
               before, after);
    }
}

static const TestCase cases[] = {
    {.name = "all_blocks_are_16_aligned", .run = all_blocks_are_16_aligned},
    {.name = "all_usable_bytes_are_writable", .run = all_usable_bytes_are_writable},
    {.name = "calloc_is_zero_after_dirty_reuse", .run = calloc_is_zero_after_dirty_reuse},
    {.name = "realloc_keeps_content_between_all_classes", .run = realloc_keeps_content_between_all_classes},
    {.name = "realloc_keeps_content_to_and_from_large", .run = realloc_keeps_content_to_and_from_large},
    {.name = "realloc_chain_keeps_content", .run = realloc_chain_keeps_content},
    {.name = "realloc_of_aligned_blocks_keeps_content", .run = realloc_of_aligned_blocks_keeps_content},
    {.name = "blocks_never_overlap", .run = blocks_never_overlap},
    {.name = "random_program_matches_its_model_1", .run = random_program_matches_its_model, .arg = (void *)1},
    {.name = "random_program_matches_its_model_2", .run = random_program_matches_its_model, .arg = (void *)2},
    {.name = "mallopt_of_known_keys_is_1", .run = mallopt_of_known_keys_is_1},
    {.name = "mallinfo2_follows_allocation", .run = mallinfo2_follows_allocation},
    {.name = "mallinfo_answers_like_mallinfo2", .run = mallinfo_answers_like_mallinfo2},
    {.name = "malloc_info_writes_xml", .run = malloc_info_writes_xml},
    {.name = "malloc_stats_writes_to_stderr_only",
     .run = malloc_stats_writes_to_stderr_only,
     .judge = judge_malloc_stats},
    {.name = "malloc_trim_keeps_live_blocks", .run = malloc_trim_keeps_live_blocks},
    {.name = "malloc_trim_gives_memory_back", .run = malloc_trim_gives_memory_back},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
