// Threads on the registry of mappings. Every mapping holds its owner's word at both ends.
#include "support.h"

#include <stdio.h>

#include "base/hz3_knobs.h"
#include "base/hz3_stats.h"
#include "large/hz3_mapping.h"

#define MIB ((size_t)1 << 20)
#define THREADS 6
#define HELD_MAX 60 // more than the first table holds, over all threads
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define STEPS 1500
#else
#define STEPS 8000
#endif

typedef struct Block {
    uint64_t *p;
    size_t bytes;
} Block;

static uint64_t *last_word(const Block *b)
{
    return b->p + b->bytes / sizeof *b->p - 1;
}

static void sign(const Block *b, uint32_t self)
{
    *b->p = self;
    *last_word(b) = self;
}

static void check(const Block *b, uint32_t self)
{
    UNIT_REQUIRE(*b->p == self && *last_word(b) == self, "%p of thread %u: %lu and %lu", (void *)b->p, self, *b->p,
                 *last_word(b));
    UNIT_REQUIRE(hz3_mapping_size(b->p) >= b->bytes, "%p is not known", (void *)b->p);
}

static void step_one(Block *b, uint32_t self, uint64_t *rng)
{
    if (b->p == NULL) {
        bool is_zero;
        b->bytes = MIB + unit_random_below(rng, 64) * HZ3_PAGE_SIZE;
        b->p = hz3_mapping_alloc(b->bytes, HZ3_PAGE_SIZE, &is_zero);
        UNIT_REQUIRE(b->p != NULL, "no mapping of %zu bytes", b->bytes);
        UNIT_REQUIRE(!is_zero || (*b->p | *last_word(b)) == 0, "fresh mapping %p is not zero", (void *)b->p);
        sign(b, self);
        return;
    }
    check(b, self);
    if (unit_random_below(rng, 4) == 0) {
        size_t bytes = MIB + unit_random_below(rng, 64) * HZ3_PAGE_SIZE;
        uint64_t *moved = hz3_mapping_resize(b->p, bytes);
        if (moved != NULL) { // else it was merged of mappings that the kernel keeps apart
            UNIT_REQUIRE(*moved == self, "resize of %p to %zu", (void *)b->p, bytes);
            *b = (Block){moved, bytes};
            sign(b, self);
        }
    } else {
        UNIT_REQUIRE(hz3_mapping_free(b->p), "%p of thread %u is not known", (void *)b->p, self);
        b->p = NULL;
    }
}

static void work(uint32_t index, void *arg)
{
    (void)arg;
    uint32_t self = index + 1;
    uint64_t rng = self;
    Block held[HELD_MAX] = {{NULL, 0}};
    for (int step = 0; step < STEPS && !unit_has_failed(); step++) {
        step_one(&held[unit_random_below(&rng, HELD_MAX)], self, &rng);
        if (unit_random_below(&rng, 200) == 0) {
            hz3_mapping_trim(unit_random_below(&rng, 2) != 0);
        }
    }
    for (uint32_t i = 0; i < HELD_MAX && !unit_has_failed(); i++) {
        if (held[i].p != NULL) {
            check(&held[i], self);
            UNIT_REQUIRE(hz3_mapping_free(held[i].p), "%p of thread %u is not known", (void *)held[i].p, self);
        }
    }
}

static void mappings_keep_their_owner(void **state)
{
    (void)state;
    unit_run_threads(THREADS, work, NULL);
    printf("# opened %lu, reused %lu\n", hz3_stat_sum(mappings_opened), hz3_stat_sum(mappings_reused));
    assert_true(hz3_stat_sum(mappings_reused) > 0);
    Hz3MappingFigures f = hz3_mapping_figures();
    assert_int_equal(f.live_count, 0);
    assert_int_equal(f.live_bytes, 0);
    assert_true(f.cached_bytes <= hz3_knobs.MAPPED_CACHE_BYTES);
    hz3_mapping_trim(true);
    assert_int_equal(hz3_mapping_figures().cached_bytes, 0);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=16M", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mappings_keep_their_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
