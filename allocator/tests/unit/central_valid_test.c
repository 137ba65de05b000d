// The validators of the middle layer: each field that they watch is made wrong once. The program's own mallocs stay on
// shard 0; the tests use shard 1.
#include "support.h"

#include "base/hz3_log.h"
#include "base/hz3_size_class.h"
#include "middle/hz3_central.h"
#include "middle/hz3_central_state.h"
#include "middle/hz3_small.h"
#include "pages/hz3_arena.h"
#include "policy/hz3_epoch.h"

#define SHARD 1
#define CLS HZ3_CLASS_1024

uint32_t __wrap_hz3_os_cpu(void);
uint32_t __wrap_hz3_os_cpu(void)
{
    return 0;
}

static Hz3Class class_was;
static Central *const c = &hz3_central[SHARD][CLS];
static void *objects[4 * 64];
static uint32_t n_objects;

static void take(uint32_t n)
{
    while (n_objects < n) {
        n_objects += hz3_central_take(SHARD, CLS, objects + n_objects, n - n_objects);
    }
}

static void give(uint32_t n)
{
    n_objects -= n;
    hz3_central_give(SHARD, CLS, objects + n_objects, n);
}

static uint32_t run_of(const void *object)
{
    return hz3_run_of_page(hz3_page_of(object));
}

// Three runs with one object in each of the first two, and four in the third.
static int set_up(void **state)
{
    (void)state;
    class_was = hz3_classes[CLS];
    hz3_epoch_trim_all();
    hz3_classes[CLS].depot_cap = 0;
    uint32_t objs = hz3_classes[CLS].objs;
    take(3 * objs);
    for (uint32_t i = 0; i < 2; i++) {
        hz3_central_give(SHARD, CLS, &objects[i * objs], 1);
        objects[i * objs] = NULL;
    }
    give(4);
    hz3_classes[CLS].depot_cap = class_was.depot_cap;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < n_objects; i++) {
        if (objects[i] != NULL) {
            hz3_central_give(SHARD, CLS, &objects[i], 1);
        }
    }
    n_objects = 0;
    hz3_epoch_trim_all();
    hz3_classes[CLS] = class_was;
    return 0;
}

static bool central_is_valid(Central *central)
{
    hz3_lock_acquire(&central->lock);
    bool is_valid = hz3_central_is_valid(central);
    hz3_lock_release(&central->lock);
    return is_valid;
}

static void central_validator_sees_a_wrong_depot(void **state)
{
    (void)state;
    Hz3Depot *depot = &c->depot;
    void *many[HZ3_MAGAZINE_OBJECTS];
    uint32_t n = 0;
    while (n < HZ3_MAGAZINE_OBJECTS) {
        n += hz3_central_take(SHARD + 1, CLS, many + n, HZ3_MAGAZINE_OBJECTS - n);
    }
    hz3_central_give(SHARD, CLS, many, n);
    give(2); // above a magazine that is full
    Hz3Magazine *top = depot->top;
    Hz3Magazine *bottom = depot->bottom;
    assert_ptr_not_equal(top, bottom);
    char foreign[16];
    static Hz3Magazine used = {.count = 1};
    UNIT_EXPECT_SEEN(depot->low, hz3_depot_count(depot) + 1, central_is_valid(c));
    UNIT_EXPECT_SEEN(depot->count, hz3_depot_count(depot) + 1, central_is_valid(c));
    UNIT_EXPECT_SEEN(c->has_news, false, central_is_valid(c));
    UNIT_EXPECT_SEEN(depot->top, NULL, central_is_valid(c));
    UNIT_EXPECT_SEEN(depot->bottom, top, central_is_valid(c));
    UNIT_EXPECT_SEEN(depot->spare, &used, central_is_valid(c));
    UNIT_EXPECT_SEEN(depot->spare, top, central_is_valid(c));
    UNIT_EXPECT_SEEN(top->above, bottom, central_is_valid(c));
    UNIT_EXPECT_SEEN(bottom->above, NULL, central_is_valid(c));
    UNIT_EXPECT_SEEN(top->count, 0, central_is_valid(c));
    UNIT_EXPECT_SEEN(top->count, HZ3_MAGAZINE_OBJECTS + 1, central_is_valid(c));
    UNIT_EXPECT_SEEN(top->object[top->count - 1], foreign, central_is_valid(c));
    UNIT_EXPECT_SEEN(bottom->object[bottom->count - 1], NULL, central_is_valid(c));
    assert_false(hz3_central_is_valid(c)); // without the lock
}

static void central_validator_sees_a_wrong_list_of_runs(void **state)
{
    (void)state;
    uint32_t first = c->partial;
    Hz3RunMeta *second = &hz3_arena.run[hz3_arena.run[first].next];
    uint32_t taken_run = run_of(objects[1]);
    assert_int_not_equal(second->next, HZ3_PAGE_NONE);
    UNIT_EXPECT_SEEN(c->partial, hz3_arena.run[first].next, central_is_valid(c));
    UNIT_EXPECT_SEEN(c->partial, UINT32_MAX - 1, central_is_valid(c));
    UNIT_EXPECT_SEEN(c->next_scanned, hz3_page_of(objects[1]) + 1, central_is_valid(c));
    UNIT_EXPECT_SEEN(second->next, first, central_is_valid(c));
    UNIT_EXPECT_SEEN(second->prev, HZ3_PAGE_NONE, central_is_valid(c));
    UNIT_EXPECT_SEEN(second->is_partial, 0, central_is_valid(c));
    UNIT_EXPECT_SEEN(second->shard, SHARD + 1, central_is_valid(c));
    assert_true(hz3_run_is_valid(taken_run, CLS));
}

// A second empty run on the list, which should have been retired.
static void central_validator_sees_an_empty_run_among_others(void **state)
{
    (void)state;
    uint32_t run = c->partial;
    Hz3RunMeta was = hz3_arena.run[run];
    uint64_t bits_were = hz3_arena.bits[run].word[0];
    hz3_arena.run[run].free_objs = (uint16_t)hz3_classes[CLS].objs;
    hz3_arena.bits[run].word[0] = (1ull << hz3_classes[CLS].objs) - 1;
    bool run_is_valid = hz3_run_is_valid(run, CLS);
    bool is_valid = central_is_valid(c);
    hz3_arena.run[run] = was;
    hz3_arena.bits[run].word[0] = bits_were;
    assert_true(run_is_valid);
    assert_false(is_valid);
    assert_true(central_is_valid(c));
}

static void central_validator_sees_runs_of_a_medium_class(void **state)
{
    (void)state;
    Central *medium = &hz3_central[SHARD][HZ3_CLASS_MEDIUM_FIRST];
    UNIT_EXPECT_SEEN(medium->partial, c->partial, central_is_valid(medium));
    UNIT_EXPECT_SEEN(medium->next_scanned, c->partial, central_is_valid(medium));
}

static void run_validator_sees_what_is_wrong(void **state)
{
    (void)state;
    uint32_t run = c->partial;
    Hz3RunMeta *meta = &hz3_arena.run[run];
    uint64_t *word = hz3_arena.bits[run].word;
    Hz3SegMeta *seg = &hz3_arena.seg[run / HZ3_PAGES_PER_SEG];
    uint32_t page_idx = run % HZ3_PAGES_PER_SEG;
    UNIT_EXPECT_SEEN(meta->free_objs, meta->free_objs + 1, hz3_run_is_valid(run, CLS));
    UNIT_EXPECT_SEEN(meta->purged, 1u << hz3_classes[CLS].pages, hz3_run_is_valid(run, CLS));
    UNIT_EXPECT_SEEN(meta->shard, hz3_shard_count(), hz3_run_is_valid(run, CLS));
    UNIT_EXPECT_SEEN(meta->is_partial, 2, hz3_run_is_valid(run, CLS));
    UNIT_EXPECT_SEEN(meta[1].head_delta, 0, hz3_run_is_valid(run, CLS));
    UNIT_EXPECT_SEEN(hz3_arena.sc_tag[run + 1], HZ3_TAG_NONE, hz3_run_is_valid(run, CLS));
    UNIT_EXPECT_SEEN(word[0], word[0] ^ 1, hz3_run_is_valid(run, CLS));
    UNIT_EXPECT_SEEN(seg->free_bits[page_idx / 64], 1ull << page_idx % 64, hz3_run_is_valid(run, CLS));
    // A bit that is no object's, in the place of an object's bit.
    uint64_t lowest = word[0] & -word[0];
    UNIT_EXPECT_SEEN(word[0], (word[0] & ~lowest) | 1ull << hz3_classes[CLS].objs, hz3_run_is_valid(run, CLS));
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_SHARDS=4", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(central_validator_sees_a_wrong_depot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(central_validator_sees_a_wrong_list_of_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(central_validator_sees_an_empty_run_among_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(central_validator_sees_runs_of_a_medium_class, set_up, tear_down),
        cmocka_unit_test_setup_teardown(run_validator_sees_what_is_wrong, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
