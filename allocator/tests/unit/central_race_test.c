// Threads on the middle layer, with a drainer beside them. Every object carries an ownership word (0 → thread when it
// is taken) and a plain payload; half of the objects are passed on and given back by another thread.
#include "support.h"

#include <stdio.h>

#include "arena_support.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"
#include "middle/hz3_central.h"
#include "middle/hz3_magazine.h"
#include "middle/hz3_small.h"
#include "pages/hz3_in_purging.h"
#include "pages/hz3_ledger_list.h"
#include "policy/hz3_partial_purge.h"
#include "release/hz3_release_boundary.h"
#include "release/hz3_release_ledger.h"

#define SLOTS 32
#define ARENA_UNITS (SLOTS * HZ3_PAGES_PER_SEG * 256) // of 16 bytes
#define SHARDS 4
#define WORKERS 8
#define HELD_MAX 400
#define BATCH 64
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define STEPS 3000
#else
#define STEPS 30000
#endif

static const uint32_t classes[] = {HZ3_CLASS_FIRST,      HZ3_CLASS_64,           HZ3_CLASS_1024,
                                   HZ3_CLASS_SMALL_LAST, HZ3_CLASS_MEDIUM_FIRST, HZ3_CLASS_16384};
#define CLASSES COUNT_OF(classes)

static _Atomic uint32_t owner[ARENA_UNITS];
static _Atomic uint32_t workers_left;
static _Atomic uint32_t passed_on;

// Objects on their way to another thread, by class.
static _Atomic(void *) mailbox[CLASSES][64];

typedef struct Held {
    void *object[HELD_MAX];
    uint32_t count;
} Held;

static _Atomic uint32_t *owner_of(const void *object)
{
    return &owner[((uintptr_t)object - hz3_arena.base) / 16];
}

static void own(void *object, uint32_t self)
{
    uint32_t nobody = 0;
    bool is_mine = atomic_compare_exchange_strong_explicit(owner_of(object), &nobody, self, memory_order_relaxed,
                                                           memory_order_relaxed);
    UNIT_REQUIRE(is_mine, "%p was given to thread %u while thread %u has it", object, self, nobody);
    *(uint64_t *)object = (uint64_t)self << 32 | (uint32_t)(uintptr_t)object;
}

static void disown(void *object, uint32_t self)
{
    uint64_t payload = *(uint64_t *)object;
    UNIT_REQUIRE(payload == ((uint64_t)self << 32 | (uint32_t)(uintptr_t)object), "%p of thread %u lost its content",
                 object, self);
    uint32_t was = atomic_exchange_explicit(owner_of(object), 0, memory_order_relaxed);
    UNIT_REQUIRE(was == self, "%p of thread %u belongs to %u", object, self, was);
}

static void take(Held *held, uint32_t cls, uint32_t self, uint64_t *rng)
{
    void **out = held->object + held->count;
    uint32_t want = 1 + unit_random_below(rng, BATCH);
    uint32_t n = hz3_central_take(unit_random_below(rng, SHARDS), cls, out, want);
    UNIT_REQUIRE(n >= 1 && n <= want, "%u objects of class %u instead of 1..%u", n, cls, want);
    for (uint32_t i = 0; i < n; i++) {
        UNIT_REQUIRE(hz3_tag_of(hz3_page_of(out[i])) == cls && hz3_object_starts_at(cls, out[i]),
                     "%p is no object of class %u", out[i], cls);
        own(out[i], self);
    }
    held->count += n;
}

static void give(Held *held, uint32_t n, uint32_t cls, uint32_t self, uint64_t *rng)
{
    n = n < held->count ? n : held->count;
    held->count -= n;
    for (uint32_t i = 0; i < n; i++) {
        disown(held->object[held->count + i], self);
    }
    if (n > 0) {
        hz3_central_give(unit_random_below(rng, SHARDS), cls, held->object + held->count, n);
    }
}

// Leaves an object for another thread and takes what lay there.
static void exchange(Held *held, uint32_t class_index, uint32_t self, uint64_t *rng)
{
    for (uint32_t n = held->count / 2; n > 0; n--) {
        void *mine = held->object[--held->count];
        disown(mine, self);
        void *other = atomic_exchange(&mailbox[class_index][unit_random_below(rng, 64)], mine);
        if (other != NULL) {
            own(other, self);
            held->object[held->count++] = other;
            atomic_fetch_add(&passed_on, 1);
        }
    }
}

static void work(uint32_t index)
{
    uint32_t self = index + 1;
    uint64_t rng = self;
    Held held[CLASSES];
    for (uint32_t c = 0; c < CLASSES; c++) {
        held[c].count = 0;
    }
    for (int step = 0; step < STEPS && !unit_has_failed(); step++) {
        uint32_t c = unit_random_below(&rng, CLASSES);
        if (held[c].count + BATCH <= HELD_MAX && unit_random_below(&rng, 2) == 0) {
            take(&held[c], classes[c], self, &rng);
        } else {
            exchange(&held[c], c, self, &rng);
            give(&held[c], 1 + unit_random_below(&rng, BATCH), classes[c], self, &rng);
        }
    }
    for (uint32_t c = 0; c < CLASSES; c++) {
        while (held[c].count > 0 && !unit_has_failed()) {
            give(&held[c], BATCH, classes[c], self, &rng);
        }
    }
}

static void worker_or_drainer(uint32_t index, void *arg)
{
    (void)arg;
    if (index < WORKERS) {
        work(index);
        atomic_fetch_sub(&workers_left, 1);
        return;
    }
    uint64_t rng = 99;
    while (atomic_load(&workers_left) > 0 && !unit_has_failed()) {
        hz3_central_drain(unit_random_below(&rng, 4) == 0 ? HZ3_DRAIN_ALL : HZ3_DRAIN_SURPLUS, true, 200);
        if (unit_random_below(&rng, 2) == 0) {
            hz3_release_purge_all();
        } else {
            hz3_ledger_purge(&(Hz3PurgeLimits){.pages = UINT64_MAX, .us = UINT64_MAX});
        }
        hz3_partial_purge(unit_random_below(&rng, 2), 1 + unit_random_below(&rng, 100));
        hz3_magazine_trim(unit_random_below(&rng, 2) == 0);
        hz3_central_cached_bytes();
        give_cpu_away();
    }
}

static void empty_mailboxes(void)
{
    for (uint32_t c = 0; c < CLASSES; c++) {
        for (uint32_t i = 0; i < 64; i++) {
            void *object = atomic_exchange(&mailbox[c][i], NULL);
            if (object != NULL) {
                hz3_central_give(0, classes[c], &object, 1);
            }
        }
    }
}

static void hammer(void)
{
    atomic_store(&workers_left, WORKERS);
    unit_run_threads(WORKERS + 1, worker_or_drainer, NULL);
    empty_mailboxes();
    printf("# passed on %u, runs opened %lu, retired %lu, medium runs returned %lu\n", passed_on,
           hz3_stat_sum(small_runs_opened), hz3_stat_sum(small_runs_retired), hz3_stat_sum(reclaim_runs));
    hz3_central_drain(HZ3_DRAIN_ALL, true, UINT64_MAX);
    hz3_magazine_trim(true);
    assert_int_equal(hz3_magazine_block_bytes(), 0);
    assert_int_equal(hz3_ledger_drops(), 0);
    hz3_release_purge_all();
    assert_int_equal(hz3_in_purging_pages(), 0);
    assert_int_equal(taken_pages(), 0);
    assert_int_equal(hz3_central_cached_bytes(), 0);
    assert_int_equal(hz3_stat_sum(small_runs_opened), hz3_stat_sum(small_runs_retired));
}

static void no_object_has_two_owners(void **state)
{
    (void)state;
    hammer();
    assert_true(atomic_load(&passed_on) > 0);
    assert_true(hz3_stat_sum(reclaim_runs) > 0);
    assert_true(hz3_stat_sum(partial_pages) > 0);
}

// Small depots: the runs do the work.
static void no_object_has_two_owners_with_small_depots(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < CLASSES; c++) {
        hz3_classes[classes[c]].depot_cap = 16;
    }
    uint64_t retired = hz3_stat_sum(small_runs_retired);
    hammer();
    assert_true(hz3_stat_sum(small_runs_retired) > retired);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=64M", "HZ3_SHARDS=4", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(100);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_object_has_two_owners),
        cmocka_unit_test(no_object_has_two_owners_with_small_depots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
