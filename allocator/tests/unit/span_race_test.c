// Threads on the cache of freed spans, with drains beside them. Every span holds its owner's word at both ends.
#include "support.h"

#include <stdio.h>

#include "arena_support.h"
#include "base/hz3_shard.h"
#include "base/hz3_stats.h"
#include "large/hz3_large.h"
#include "large/hz3_span_cache.h"

#define KIB ((size_t)1024)
#define THREADS 6
#define HELD_MAX 12
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define STEPS 3000
#else
#define STEPS 30000
#endif

typedef struct Span {
    uint64_t *p;
    size_t bytes;
} Span;

static uint64_t *last_word(const Span *s)
{
    return s->p + s->bytes / sizeof *s->p - 1;
}

static void check(const Span *s, uint32_t self)
{
    UNIT_REQUIRE(*s->p == self && *last_word(s) == self, "%p of thread %u: %lu and %lu", (void *)s->p, self, *s->p,
                 *last_word(s));
    UNIT_REQUIRE(hz3_span_usable_size(s->p) == s->bytes, "%p has %zu bytes, not %zu", (void *)s->p,
                 hz3_span_usable_size(s->p), s->bytes);
}

static void step_one(Span *s, uint32_t self, uint64_t *rng)
{
    if (s->p == NULL) {
        bool is_zero;
        size_t asked = (40 + 4 * unit_random_below(rng, 5)) * KIB;
        s->p = hz3_large_alloc(asked, HZ3_MIN_ALIGN, &is_zero);
        UNIT_REQUIRE(s->p != NULL && hz3_arena_owns(s->p), "no span of %zu bytes", asked);
        s->bytes = hz3_span_usable_size(s->p);
        UNIT_REQUIRE(s->bytes >= asked && s->bytes <= asked + asked / 4, "%zu bytes for %zu", s->bytes, asked);
        *s->p = self;
        *last_word(s) = self;
        return;
    }
    check(s, self);
    hz3_span_free(s->p);
    s->p = NULL;
}

static void work(uint32_t index, void *arg)
{
    (void)arg;
    uint32_t self = index + 1;
    uint64_t rng = self;
    Span held[HELD_MAX] = {{NULL, 0}};
    for (int step = 0; step < STEPS && !unit_has_failed(); step++) {
        step_one(&held[unit_random_below(&rng, HELD_MAX)], self, &rng);
        if (unit_random_below(&rng, 50) == 0) {
            hz3_span_cache_drain(unit_random_below(&rng, hz3_shard_count()), 1, unit_random_below(&rng, 2) != 0);
        }
    }
    for (uint32_t i = 0; i < HELD_MAX && !unit_has_failed(); i++) {
        if (held[i].p != NULL) {
            step_one(&held[i], self, &rng);
        }
    }
}

static void spans_keep_their_owner(void **state)
{
    (void)state;
    unit_run_threads(THREADS, work, NULL);
    printf("# opened %lu, cached %lu\n", hz3_stat_sum(spans_opened), hz3_stat_sum(spans_cached));
    assert_true(hz3_stat_sum(spans_opened) < THREADS * STEPS / 4); // about half of the steps take a span
    hz3_span_cache_drain_all();
    assert_int_equal(hz3_span_cache_bytes(), 0);
    assert_int_equal(taken_pages(), 0);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=64M", "HZ3_SHARDS=2", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_keep_their_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
