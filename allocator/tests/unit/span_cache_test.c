// The cache of freed spans: what comes out of it, how much it keeps, and who gives its pages back. The program's own
// mallocs stay below the lengths of spans.
#include "support.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena_support.h"
#include "base/hz3_shard.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"
#include "large/hz3_large.h"
#include "large/hz3_span_cache.h"
#include "policy/hz3_epoch.h"
#include "policy/hz3_mem_budget.h"

#define KIB ((size_t)1024)

uint32_t __wrap_hz3_os_cpu(void);
uint32_t __wrap_hz3_os_cpu(void)
{
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    hz3_epoch_trim_all();
    hz3_span_cache_drain(0, hz3_shard_count(), false); // the marks start anew
    assert_int_equal(hz3_span_cache_bytes(), 0);
    return 0;
}

static void *span(size_t bytes)
{
    bool is_zero;
    void *p = hz3_large_alloc(bytes, HZ3_MIN_ALIGN, &is_zero);
    assert_non_null(p);
    assert_true(hz3_arena_owns(p));
    return p;
}

static size_t next_length(size_t bytes)
{
    return (hz3_large_pages(bytes + 1)) << HZ3_PAGE_SHIFT;
}

static void newest_span_of_the_length_comes_back(void **state)
{
    (void)state;
    for (size_t bytes = HZ3_MEDIUM_MAX + HZ3_PAGE_SIZE; bytes <= HZ3_SPAN_MAX; bytes = next_length(bytes)) {
        void *older = span(bytes);
        void *newer = span(bytes);
        hz3_span_free(older);
        hz3_span_free(newer);
        uint64_t opened = hz3_stat_sum(spans_opened);
        bool is_zero = true;
        assert_ptr_equal(hz3_large_alloc(bytes, HZ3_MIN_ALIGN, &is_zero), newer);
        assert_false(is_zero);
        assert_ptr_equal(span(bytes - HZ3_PAGE_SIZE + 1), older);
        assert_int_equal(hz3_stat_sum(spans_opened), opened);
        assert_int_equal(hz3_span_usable_size(newer), bytes);
        hz3_span_free(newer);
        hz3_span_free(older);
        hz3_span_cache_drain_all();
    }
    assert_true(next_length(HZ3_SPAN_MAX) > HZ3_SPAN_MAX);
}

static void a_span_serves_what_is_up_to_a_quarter_less(void **state)
{
    (void)state;
    void *p = span(80 * KIB);
    void *longest = span(HZ3_SPAN_MAX);
    hz3_span_free(p);
    void *longer = span(next_length(80 * KIB));
    void *shorter = span(60 * KIB);
    assert_ptr_not_equal(longer, p);
    assert_ptr_not_equal(shorter, p);
    assert_ptr_equal(span(64 * KIB), p);
    assert_int_equal(hz3_span_usable_size(p), 80 * KIB);
    void *exact = span(64 * KIB);
    hz3_span_free(exact);
    hz3_span_free(p);
    assert_ptr_equal(span(64 * KIB), exact);
    assert_ptr_equal(span(72 * KIB), p);
    hz3_span_free(longest);
    assert_ptr_equal(span(HZ3_SPAN_MAX - 64 * KIB), longest);
    void *all[] = {p, longest, longer, shorter, exact};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        hz3_span_free(all[i]);
    }
}

static void spans_keep_their_lengths_in_a_scarce_arena(void **state)
{
    (void)state;
    void *p = span(80 * KIB);
    hz3_span_free(p);
    uint32_t left = atomic_exchange(&hz3_arena.slots_left, hz3_arena.slots / 16);
    void *other = span(72 * KIB);
    void *same = span(80 * KIB);
    atomic_store(&hz3_arena.slots_left, left);
    assert_ptr_not_equal(other, p);
    assert_ptr_equal(same, p);
    hz3_span_free(other);
    hz3_span_free(same);
}

// A request with an alignment takes no cached span, and one that was shorter than a span for its alignment's sake is
// none that is cached.
static void aligned_spans_come_from_the_page_map(void **state)
{
    (void)state;
    void *p = span(128 * KIB);
    hz3_span_free(p);
    bool is_zero;
    void *aligned = hz3_large_alloc(128 * KIB, 64 * KIB, &is_zero);
    assert_ptr_not_equal(aligned, p);
    assert_int_equal((uintptr_t)aligned % (64 * KIB), 0);
    void *narrow = hz3_large_alloc(100, 64 * KIB, &is_zero);
    size_t cached = hz3_span_cache_bytes();
    hz3_span_free(narrow);
    assert_int_equal(hz3_span_cache_bytes(), cached);
    hz3_span_free(aligned);
}

#define SPANS 60u // of 1 MiB, more than the arena's quarter and 16 MiB for all shards

static void cache_keeps_its_share_only(void **state)
{
    (void)state;
    void *p[SPANS];
    for (uint32_t i = 0; i < SPANS; i++) {
        p[i] = span(HZ3_SPAN_MAX);
    }
    uint32_t taken = taken_pages();
    for (uint32_t i = 0; i < SPANS; i++) {
        hz3_span_free(p[i]);
    }
    size_t part = (16 << 20) / hz3_shard_count();
    assert_int_equal(hz3_span_cache_bytes(), part);
    assert_int_equal(taken - taken_pages(), (SPANS * HZ3_SPAN_MAX - part) >> HZ3_PAGE_SHIFT);
}

static void epoch_takes_what_was_not_needed(void **state)
{
    (void)state;
    void *p[8];
    for (uint32_t i = 0; i < 8; i++) {
        p[i] = span(100 * KIB);
    }
    for (uint32_t i = 0; i < 8; i++) {
        hz3_span_free(p[i]);
    }
    size_t bytes = hz3_span_cache_bytes() / 8;
    uint32_t taken = taken_pages();
    assert_int_equal(hz3_span_cache_drain(0, hz3_shard_count(), false), 0); // they came since the last one
    for (uint32_t i = 0; i < 3; i++) {
        assert_ptr_equal(span(100 * KIB), p[7 - i]);
    }
    hz3_span_free(p[7]);
    assert_int_equal(hz3_span_cache_drain(0, hz3_shard_count(), false), 5 * bytes >> HZ3_PAGE_SHIFT);
    assert_int_equal(taken_pages(), taken - (5 * bytes >> HZ3_PAGE_SHIFT));
    assert_int_equal(hz3_span_cache_bytes(), bytes);
    assert_ptr_equal(span(100 * KIB), p[7]); // the oldest went
    hz3_span_free(p[7]);
    hz3_epoch_tick();
    hz3_epoch_tick();
    assert_int_equal(hz3_span_cache_bytes(), 0);
    hz3_span_free(p[6]);
    hz3_span_free(p[5]);
}

// Spans that go round through the cache alone are work all the same.
static void program_that_lives_on_the_cache_is_busy(void **state)
{
    (void)state;
    uint64_t idle = hz3_stat_sum(idle_ticks);
    for (uint32_t i = 0; i < 8; i++) {
        hz3_span_free(span(64 * KIB));
        hz3_epoch_tick();
    }
    assert_int_equal(hz3_stat_sum(idle_ticks), idle);
    assert_int_not_equal(hz3_span_cache_bytes(), 0);
    for (uint32_t i = 0; i < 8; i++) {
        hz3_epoch_tick();
    }
    assert_true(hz3_stat_sum(idle_ticks) > idle);
    assert_int_equal(hz3_span_cache_bytes(), 0);
}

#define FILL_MAX 1024u // spans of 64 KiB in 64 MiB

static void full_arena_finds_cached_spans(void **state)
{
    (void)state;
    static void *p[FILL_MAX + 1];
    hz3_span_free(span(HZ3_SPAN_MAX));
    assert_int_not_equal(hz3_span_cache_bytes(), 0);
    uint32_t n = 0;
    bool is_zero;
    while (n <= FILL_MAX && (p[n] = hz3_large_alloc(64 * KIB, HZ3_MIN_ALIGN, &is_zero)) != NULL) {
        n++;
    }
    assert_int_equal(hz3_span_cache_bytes(), 0);
    assert_in_range(n, FILL_MAX - 16, FILL_MAX); // up to a MiB is the program's own
    hz3_span_free(p[--n]);
    void *other = span(40 * KIB); // although the last reclaim was in vain
    hz3_span_free(other);
    while (n != 0) {
        hz3_span_free(p[--n]);
    }
}

static void *take_again(void *freed)
{
    void *p = span(64 * KIB);
    hz3_span_free(p);
    return p == freed ? freed : NULL;
}

static void threads_of_a_forked_child_use_the_cache(void **state)
{
    (void)state;
    void *p = span(64 * KIB);
    hz3_span_free(p);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        unit_watchdog(20); // a lock that the fork has left behind
        pthread_t thread;
        void *taken = NULL;
        bool has_run =
            pthread_create(&thread, NULL, take_again, p) == 0 && pthread_join(thread, &taken) == 0 && taken == p;
        _exit(has_run ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_ptr_equal(take_again(p), p);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=64M", "HZ3_SHARDS=4", "HZ3_EPOCH_TICK_MS=0",
                                              "HZ3_ARENA_FALLBACK_MMAP=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(newest_span_of_the_length_comes_back, set_up),
        cmocka_unit_test_setup(a_span_serves_what_is_up_to_a_quarter_less, set_up),
        cmocka_unit_test_setup(spans_keep_their_lengths_in_a_scarce_arena, set_up),
        cmocka_unit_test_setup(aligned_spans_come_from_the_page_map, set_up),
        cmocka_unit_test_setup(cache_keeps_its_share_only, set_up),
        cmocka_unit_test_setup(epoch_takes_what_was_not_needed, set_up),
        cmocka_unit_test_setup(program_that_lives_on_the_cache_is_busy, set_up),
        cmocka_unit_test_setup(full_arena_finds_cached_spans, set_up),
        cmocka_unit_test_setup(threads_of_a_forked_child_use_the_cache, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
