// Blocks above 32 KiB: what stays resident, which addresses a process keeps, and when a block is copied.
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "support.h"

static void touch(char *block, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += PAGE)
        block[at] = 1;
}

static void *touched(size_t bytes)
{
    char *block = malloc(bytes);
    EXPECT(block != NULL, "%zu bytes", bytes);
    touch(block, bytes);
    return block;
}

static size_t peak_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_maxrss * KIB;
}

static size_t page_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_minflt;
}

static size_t process_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    size_t lines = 0;
    NEEDS(maps != NULL, "no /proc");
    for (int c; (c = fgetc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

// --- realloc ---

static void a_shrunk_block_gives_its_rest_back(const void *arg)
{
    (void)arg;
    char *block = touched(64 * MIB);
    size_t before = rss_bytes();
    char *shrunk = realloc(block, 36 * MIB);
    EXPECT(shrunk == block, "moved");
    malloc_trim(0);
    size_t now = rss_bytes();
    EXPECT(now + 27 * MIB < before, "%zu MiB resident, before %zu", now / MIB, before / MIB);
    for (size_t at = 0; at < 36 * MIB; at += PAGE)
        EXPECT(shrunk[at] == 1, "byte %zu is lost", at);
    free(shrunk);
}

static void a_span_shrinks_where_it_is(const void *arg)
{
    (void)arg;
    char *block = touched(800 * KIB);
    uint64_t pages = counter("boundary_pages");
    EXPECT(realloc(block, 300 * KIB) == block, "moved");
    pages = counter("boundary_pages") - pages;
    EXPECT(pages * PAGE >= 480 * KIB, "%lu pages came back", pages);
    EXPECT(malloc_usable_size(block) >= 300 * KIB && malloc_usable_size(block) < 350 * KIB, "usable");
    free(block);
}

// In a fresh process the pages behind a span are free.
static void a_span_grows_where_it_is(const void *arg)
{
    (void)arg;
    char *block = touched(50 * KIB);
    pattern_fill(block, 50 * KIB, 1);
    size_t moves = 0;
    for (size_t bytes = 60 * KIB; bytes <= 800 * KIB; bytes += 20 * KIB) {
        char *grown = realloc(block, bytes);
        EXPECT(grown != NULL, "%zu bytes", bytes);
        moves += grown != block;
        block = grown;
        touch(block + 50 * KIB, bytes - 50 * KIB);
    }
    EXPECT(moves <= 2, "%zu moves", moves); // at the end of its segment
    EXPECT(pattern_mismatch(block, 50 * KIB, 1) == 50 * KIB, "content");
    free(block);
}

// What grew belongs to the block: others get other pages, and all of them come back.
static void what_grew_is_the_blocks(const void *arg)
{
    (void)arg;
    enum { BLOCKS = 40 };
    char *blocks[BLOCKS];
    size_t bytes[BLOCKS];
    uint64_t random = 5;
    for (size_t i = 0; i < BLOCKS; i++) {
        bytes[i] = 40 * KIB;
        blocks[i] = malloc(bytes[i]);
        pattern_fill(blocks[i], bytes[i], i);
    }
    for (int step = 0; step < 4000; step++) {
        size_t i = random_next(&random) % BLOCKS;
        size_t next = 33 * KIB + random_next(&random) % (1500 * KIB);
        EXPECT(pattern_mismatch(blocks[i], 33 * KIB, i) == 33 * KIB, "block %zu of %zu bytes", i, bytes[i]);
        char *moved = realloc(blocks[i], next);
        EXPECT(moved != NULL, "%zu bytes", next);
        EXPECT(pattern_mismatch(moved, 33 * KIB, i) == 33 * KIB, "block %zu from %zu to %zu", i, bytes[i], next);
        moved[next - 1] = (char)i;
        blocks[i] = moved;
        bytes[i] = next;
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

// --- calloc ---

static void a_sparse_table_stays_sparse(const void *arg)
{
    (void)arg;
    free(touched(64 * MIB));
    size_t before = rss_bytes();
    char *table = calloc(64, MIB);
    EXPECT(table != NULL, "64 MiB");
    for (size_t at = 0; at < 64 * MIB; at += MIB)
        EXPECT(table[at + 5000] == 0, "byte %zu", at + 5000);
    size_t now = rss_bytes();
    EXPECT(now < before - 50 * MIB || now < 16 * MIB, "%zu KiB resident", now / KIB);
    free(table);
}

static void calloc_clears_all_that_is_usable(const void *arg)
{
    (void)arg;
    static const size_t sizes[] = {1,    17,    100,   1000,  3000,   3585,    4500,
                                   9000, 20001, 32767, 40000, 500001, 1100000, 5000001};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (int round = 0; round < 50; round++) {
            char *block = malloc(sizes[i]);
            EXPECT(block != NULL, "%zu bytes", sizes[i]);
            memset(block, 0xa5, malloc_usable_size(block));
            free(block);
            block = calloc(1, sizes[i]);
            EXPECT(block != NULL, "%zu bytes", sizes[i]);
            size_t usable = malloc_usable_size(block);
            EXPECT(nonzero_offset(block, usable) == usable, "%zu bytes, usable %zu", sizes[i], usable);
            free(block);
            round += sizes[i] > 32768 ? 20 : 0;
        }
    }
}

// --- freed mappings ---

// Each hole would be a mapping of the process's more, of which Linux allows 65,530.
static void many_freed_blocks_leave_few_mappings(const void *arg)
{
    (void)arg;
    enum { BLOCKS = 4000 };
    static void *blocks[BLOCKS];
    size_t before = process_mappings();
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = touched(MIB + 200 * KIB);
    for (size_t i = 0; i < BLOCKS; i += 2)
        free(blocks[i]);
    malloc_trim(0);
    size_t now = process_mappings();
    EXPECT(now < before + 100, "%zu mappings, before %zu", now, before);
    for (size_t i = 1; i < BLOCKS; i += 2)
        free(blocks[i]);
    malloc_trim(0);
    EXPECT(address_space_bytes() != 0 && process_mappings() < before + 100, "at the end");
}

// A pool of buffers between blocks that stay.
static void buffers_that_come_and_go_stay_resident(const void *arg)
{
    (void)arg;
    enum { BUFFERS = 150, CYCLES = 4 };
    static void *live[BUFFERS];
    static void *buffers[BUFFERS];
    const size_t bytes = MIB + 200 * KIB;
    for (size_t i = 0; i < BUFFERS; i++) {
        buffers[i] = touched(bytes);
        live[i] = malloc(bytes);
        *(char *)live[i] = 1;
    }
    for (size_t i = 0; i < BUFFERS; i++)
        free(buffers[i]);
    size_t faults = page_faults();
    for (int cycle = 0; cycle < CYCLES; cycle++) {
        for (size_t i = 0; i < BUFFERS; i++)
            buffers[i] = touched(bytes);
        for (size_t i = 0; i < BUFFERS; i++)
            free(buffers[i]);
    }
    faults = page_faults() - faults;
    EXPECT(faults < BUFFERS * bytes / PAGE * CYCLES / 20, "%zu faults", faults);
    for (size_t i = 0; i < BUFFERS; i++)
        free(live[i]);
}

// One at a time, each of another size, and a block that stays after each: what cannot serve has to go, but for half of
// the 133 MiB that live at most.
static void temporaries_do_not_pile_up(const void *arg)
{
    (void)arg;
    uint64_t random = 7;
    for (int i = 0; i < 30; i++) {
        char *temporary = touched((50 + random_next(&random) % 50) * MIB);
        touched(MIB + 100 * KIB);
        free(temporary);
    }
    EXPECT(peak_bytes() < 205 * MIB, "peak %zu MiB", peak_bytes() / MIB);
}

// --- what one side has free serves the other ---

#define SHIFT_BYTES (200 * MIB)

static void fill_and_free(size_t block_bytes)
{
    size_t n = SHIFT_BYTES / block_bytes;
    void **blocks = map_pages(n * sizeof *blocks);
    for (size_t i = 0; i < n; i++)
        blocks[i] = touched(block_bytes);
    for (size_t i = 0; i < n; i++)
        free(blocks[i]);
    unmap_pages(blocks, n * sizeof *blocks);
}

static void a_change_of_sizes_does_not_double_the_peak(const void *arg)
{
    const size_t *sizes = arg;
    fill_and_free(sizes[0]);
    size_t before = peak_bytes();
    fill_and_free(sizes[1]);
    EXPECT(peak_bytes() < before + before / 5, "%zu MiB, before %zu", peak_bytes() / MIB, before / MIB);
}

static const size_t small_then_large[] = {4000, 2 * MIB};
static const size_t large_then_small[] = {2 * MIB, 4000};
// Without a clock: no epoch gives back what is needed next, however long the test has to wait for a CPU.
static const char *const without_epochs[] = {"HZ3_EPOCH_TICK_MS=0", NULL};

static const TestCase cases[] = {
    {.name = "a_shrunk_block_gives_its_rest_back", .run = a_shrunk_block_gives_its_rest_back},
    {.name = "a_span_shrinks_where_it_is", .run = a_span_shrinks_where_it_is},
    {.name = "a_span_grows_where_it_is", .run = a_span_grows_where_it_is},
    {.name = "what_grew_is_the_blocks", .run = what_grew_is_the_blocks},
    {.name = "a_sparse_table_stays_sparse", .run = a_sparse_table_stays_sparse},
    {.name = "calloc_clears_all_that_is_usable", .run = calloc_clears_all_that_is_usable},
    {.name = "many_freed_blocks_leave_few_mappings", .run = many_freed_blocks_leave_few_mappings},
    {.name = "buffers_that_come_and_go_stay_resident",
     .run = buffers_that_come_and_go_stay_resident,
     .child = {.env = without_epochs}},
    {.name = "temporaries_do_not_pile_up", .run = temporaries_do_not_pile_up},
    {.name = "from_small_to_large_the_peak_stays",
     .run = a_change_of_sizes_does_not_double_the_peak,
     .arg = small_then_large,
     .child = {.env = without_epochs}},
    {.name = "from_large_to_small_the_peak_stays",
     .run = a_change_of_sizes_does_not_double_the_peak,
     .arg = large_then_small,
     .child = {.env = without_epochs}},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
