// Runs of small objects: how blocks go back that follow each other in memory, up, down, with gaps, over the words of
// the bitmap and from one run into the next.
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "base/hz3_size_class.h"
#include "middle/hz3_central.h"
#include "middle/hz3_central_state.h"
#include "middle/hz3_small.h"
#include "pages/hz3_arena.h"

#define SHARD 1u // the program's own mallocs are on shard 0
#define OBJECTS_MAX 2048u

uint32_t __wrap_hz3_os_cpu(void);
uint32_t __wrap_hz3_os_cpu(void)
{
    return 0;
}

static void *taken[OBJECTS_MAX];
static void *batch[OBJECTS_MAX];

// Two runs' worth, all of them: no run of this shard's is left with free objects.
static uint32_t take_two_runs(uint32_t cls)
{
    uint32_t n = 2 * hz3_classes[cls].objs;
    assert_true(n <= OBJECTS_MAX);
    for (uint32_t i = 0; i < n;) {
        uint32_t want = n - i < HZ3_BATCH_MAX ? n - i : HZ3_BATCH_MAX;
        i += hz3_central_take(SHARD, cls, taken + i, want);
    }
    return n;
}

static uint32_t run_of(const void *object)
{
    return hz3_run_of_page(hz3_page_of(object));
}

static void settle(uint32_t cls, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += HZ3_BATCH_MAX) {
        hz3_central_settle(cls, batch + i, n - i < HZ3_BATCH_MAX ? n - i : HZ3_BATCH_MAX);
    }
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (void *const *)a, y = (uintptr_t) * (void *const *)b;
    return (x > y) - (x < y);
}

// Each pattern puts taken[0..n) into batch in another order.
static void up(uint32_t n)
{
    memcpy(batch, taken, n * sizeof *batch);
}

static void down(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        batch[i] = taken[n - 1 - i];
    }
}

static void up_then_down(uint32_t n)
{
    up(n / 3);
    for (uint32_t i = n / 3; i < n; i++) {
        batch[i] = taken[n - 1 - (i - n / 3)];
    }
}

static void with_gaps(uint32_t n)
{
    uint32_t at = 0;
    for (uint32_t first = 0; first < 7; first++) {
        for (uint32_t i = first; i < n; i += 7) {
            batch[at++] = taken[i];
        }
    }
}

static void by_address_up(uint32_t n)
{
    up(n);
    qsort(batch, n, sizeof *batch, by_address);
}

static void by_address_up_in_pairs(uint32_t n)
{
    by_address_up(n);
    for (uint32_t i = 0; i + 1 < n; i += 2) {
        void *first = batch[i];
        batch[i] = batch[i + 1];
        batch[i + 1] = first;
    }
}

static void blocks_go_back_in_any_order(void **state)
{
    (void)state;
    void (*const patterns[])(uint32_t) = {up, down, up_then_down, with_gaps, by_address_up, by_address_up_in_pairs};
    for (uint32_t cls = HZ3_CLASS_FIRST; cls <= HZ3_CLASS_SMALL_LAST; cls++) {
        for (size_t pattern = 0; pattern < COUNT_OF(patterns); pattern++) {
            uint32_t n = take_two_runs(cls);
            patterns[pattern](n);
            uint32_t half = n / 2 + 5; // the rest keeps a run alive
            half = half < n ? half : n - 1;
            settle(cls, half);
            bool is_seen[OBJECTS_MAX] = {false};
            for (uint32_t i = 0; i < n; i++) {
                uint32_t remainder;
                uint32_t run = run_of(batch[n - 1]);
                if (run_of(batch[i]) != run) {
                    continue;
                }
                assert_true(hz3_run_is_valid(run, cls));
                uint32_t offset = (uint32_t)((char *)batch[i] - (char *)hz3_page_addr(run));
                uint32_t index = hz3_index_of(&hz3_classes[cls], offset, &remainder);
                assert_false(is_seen[index]);
                is_seen[index] = true;
                assert_int_equal(hz3_arena.bits[run].word[index / 64] >> (index % 64) & 1, i < half);
            }
            memmove(batch, batch + half, (n - half) * sizeof *batch);
            settle(cls, n - half);
            hz3_central_drain(HZ3_DRAIN_ALL, true, UINT64_MAX);
        }
    }
}

typedef struct TwiceFreed {
    uint32_t cls, first, again; // taken[again] goes back, then the ten from taken[first] on
    bool goes_down;             // the last of the ten first
} TwiceFreed;

static void settle_twice(void *arg)
{
    const TwiceFreed *twice = arg;
    batch[0] = taken[twice->again];
    settle(twice->cls, 1);
    for (uint32_t i = 0; i < 10; i++) {
        batch[i] = taken[twice->first + (twice->goes_down ? 9 - i : i)];
    }
    settle(twice->cls, 10);
}

static void settle_interior(void *arg)
{
    const TwiceFreed *twice = arg;
    for (uint32_t i = 0; i < 10; i++) {
        batch[i] = (char *)taken[twice->first + i] + 8;
    }
    settle(twice->cls, 10);
}

// The message has the address of the block that was freed twice, not that of the first in its batch.
static void a_double_free_among_neighbours_is_named(void **state)
{
    (void)state;
    const uint32_t classes[] = {HZ3_CLASS_16, HZ3_CLASS_32, HZ3_CLASS_64, HZ3_CLASS_256};
    char message[64];
    for (size_t i = 0; i < COUNT_OF(classes); i++) {
        uint32_t n = take_two_runs(classes[i]);
        for (uint32_t at = 0; at < 20; at++) {
            uint32_t first = at % 10 < 5 ? 20 : 59; // in one word or over its end, also of 16-byte objects, 16 a word
            TwiceFreed twice = {classes[i], first, first + at % 10, at >= 10};
            snprintf(message, sizeof message, "free(%p): double free", taken[twice.again]);
            unit_expect_abort(settle_twice, &twice, message);
        }
        TwiceFreed interior = {classes[i], 20, 20, false};
        snprintf(message, sizeof message, "free(%p): interior pointer", (void *)((char *)taken[20] + 8));
        unit_expect_abort(settle_interior, &interior, message);
        up(n);
        settle(classes[i], n);
        hz3_central_drain(HZ3_DRAIN_ALL, true, UINT64_MAX);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=64M", "HZ3_SHARDS=4", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_go_back_in_any_order),
        cmocka_unit_test(a_double_free_among_neighbours_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
