// Single calls on a full arena of 8 MiB with the mmap fallback off: what they still get, and what they cost.
#include <errno.h>
#include <stdlib.h>

#include "support.h"

static void *blocks[8 * MIB / 100];
static size_t n_blocks;

static size_t exhaust(size_t size)
{
    size_t before = n_blocks;
    while (n_blocks < COUNT_OF(blocks) && (blocks[n_blocks] = malloc(size)))
        n_blocks++;
    EXPECT(n_blocks < COUNT_OF(blocks) && errno == ENOMEM, "%zu blocks, errno %d", n_blocks, errno);
    return n_blocks - before;
}

static void free_all(void)
{
    while (n_blocks > 0)
        free(blocks[--n_blocks]);
}

// Where there is no smaller block to move to, the old one serves.
static void a_block_shrinks(const void *arg)
{
    (void)arg;
    unsigned char *block = malloc(30000);
    pattern_fill(block, 30000, 1);
    exhaust(3000);
    exhaust(100);
    errno = 77;
    EXPECT(realloc(opaque(block), 100) == opaque(block) && errno == 77, "realloc of 30000 bytes to 100");
    EXPECT(pattern_mismatch(opaque(block), 100, 1) == 100, "the content changed");
    free_all();
    free(opaque(block));
}

// The other CPU's depot alone holds a quarter of the arena.
static void what_another_cpu_freed_serves_another_size(const void *arg)
{
    (void)arg;
    NEEDS(run_on_cpu(1) && run_on_cpu(0), "one CPU, or threads cannot be kept on one");
    size_t first = exhaust(30000);
    free_all();
    exhaust(20000);
    run_on_cpu(1);
    free_all();
    run_on_cpu(0);
    size_t again = exhaust(30000);
    EXPECT(again >= first - first / 20, "%zu blocks of 30000 bytes, %zu at first", again, first);
    free_all();
}

// While nothing moves, another reclaim would be in vain too.
static void a_reclaim_in_vain_is_not_repeated(const void *arg)
{
    (void)arg;
    exhaust(3000);
    EXPECT(malloc(30000) == NULL, "30000 bytes");
    uint64_t before = counter("reclaim_calls");
    for (int i = 0; i < 100; i++)
        EXPECT(malloc(30000) == NULL, "30000 bytes");
    uint64_t more = counter("reclaim_calls") - before;
    EXPECT(more <= 1, "%lu reclaims for 100 failures", (unsigned long)more);
    free_all();
}

// Nor is a search for as much.
static void a_search_in_vain_is_not_repeated(const void *arg)
{
    (void)arg;
    static void *pages[8 * MIB / 4096];
    size_t n = 0;
    exhaust(30000);
    while (n < COUNT_OF(pages) && (pages[n] = malloc(4000)))
        n++;
    EXPECT(malloc(300000) == NULL && malloc(30000) == NULL, "the arena is full");
    free(pages[n / 2]);
    free(pages[n / 2 + 4]); // pages for a small block, and for no larger one
    uint64_t before = counter("arena_searches");
    for (size_t i = 0; i < 100; i++)
        EXPECT(malloc(30000 + 2000 * (i % 50)) == NULL, "a larger block");
    uint64_t more = counter("arena_searches") - before;
    EXPECT(more <= 4, "%lu searches for 100 failures", (unsigned long)more);
    pages[n / 2] = pages[n / 2 + 4] = NULL;
    while (n > 0)
        free(pages[--n]);
    free_all();
}

// Without the purger, whose thread would need a page of it.
static const char *const small_arena[] = {"HZ3_EPOCH_TICK_MS=0", "HZ3_ARENA_SIZE=8M", "HZ3_ARENA_FALLBACK_MMAP=0",
                                          NULL};

int main(int argc, char **argv)
{
#define CASE(function)                                                                                                 \
    {                                                                                                                  \
        .name = #function, .run = function, .child = {.env = small_arena }                                             \
    }
    const TestCase cases[] = {
        CASE(a_block_shrinks),
        CASE(what_another_cpu_freed_serves_another_size),
        CASE(a_reclaim_in_vain_is_not_repeated),
        CASE(a_search_in_vain_is_not_repeated),
    };
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
