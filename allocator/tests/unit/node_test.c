// A machine with two memory nodes: shards 0 and 1 are of one, 2 and 3 of the other.
#include "central_support.h"

#include "arena_support.h"
#include "base/hz3_shard.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"
#include "large/hz3_large.h"
#include "large/hz3_span_cache.h"
#include "middle/hz3_depot.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_segment.h"
#include "pages/hz3_segment_packing.h"
#include "policy/hz3_epoch.h"

enum { SMALL = 12, MEDIUM = HZ3_CLASS_16384, HERE = 1, BESIDE = 0, THERE = 3 };

static uint32_t node_of(const void *object)
{
    return hz3_node_of_shard(hz3_pack_home(HERE, hz3_page_of(object)));
}

static void expect_all_of(uint32_t node, uint32_t from)
{
    for (uint32_t i = from; i < n_objects; i++) {
        assert_int_equal(node_of(objects[i]), node);
    }
}

static void shards_have_nodes(void **state)
{
    (void)state;
    assert_int_equal(hz3_shard_count(), SHARDS);
    assert_int_equal(hz3_node_count(), 2);
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        assert_int_equal(hz3_node_of_shard(shard), shard / 2);
        assert_int_equal(hz3_shards_near(shard), shard < 2 ? 0x3 : 0xC);
    }
    for (uint32_t cpu = 0; cpu < 8; cpu++) { // dealt to the nodes in turn
        assert_int_equal(hz3_node_of_shard(hz3_shard_of_cpu(cpu)), cpu % 2);
    }
}

// A segment serves the node that opened it, whichever of its shards asks.
static void fresh_pages_are_of_the_own_node(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 200; i++) {
        take(i % SHARDS, MEDIUM, 5);
        expect_all_of(i % SHARDS / 2, n_objects - 5);
    }
    while (n_objects != 0) {
        give(HERE, MEDIUM, 5);
    }
    drain_all();
    uint32_t slots = hz3_arena_slots_left();
    for (uint32_t i = 0; i < 200; i++) { // their segments have room
        take(i % SHARDS, MEDIUM, 5);
        expect_all_of(i % SHARDS / 2, n_objects - 5);
    }
    assert_int_equal(hz3_arena_slots_left(), slots);
    give(HERE, MEDIUM, n_objects);
}

static uint32_t slot_of(const void *object)
{
    return hz3_page_of(object) / HZ3_PAGES_PER_SEG;
}

static void a_slot_is_of_the_node_that_opened_it_last(void **state)
{
    (void)state;
    take(THERE, MEDIUM, 1);
    uint32_t slot = slot_of(objects[0]);
    give(THERE, MEDIUM, 1);
    hz3_epoch_trim_all();
    assert_false(hz3_arena_slot_is_open(slot));
    do { // node 0 opens it
        take(HERE, MEDIUM, 100);
    } while (slot_of(objects[n_objects - 1]) != slot && n_objects < OBJECTS_MAX - 100);
    assert_int_equal(slot_of(objects[n_objects - 1]), slot);
    expect_all_of(0, 0);
    uint32_t from = n_objects;
    take(THERE, MEDIUM, 100);
    expect_all_of(1, from);
    for (uint32_t i = from; i < n_objects; i++) {
        assert_int_not_equal(slot_of(objects[i]), slot);
    }
    give(HERE, MEDIUM, n_objects);
}

static void a_refill_looks_at_its_own_nodes_depots(void **state)
{
    (void)state;
    const uint32_t n = 2 * HZ3_MAGAZINE_OBJECTS;
    take(THERE, SMALL, n);
    take(BESIDE, SMALL, n);
    give(BESIDE, SMALL, n);
    give(THERE, SMALL, n);
    uint64_t far = hz3_stat_sum(refills_far);
    take(HERE, SMALL, 3 * n);
    expect_all_of(0, 0);
    assert_int_equal(hz3_stat_sum(refills_far), far);
    assert_int_equal(hz3_central_waiting_objects(false), n);
    give(HERE, SMALL, 3 * n);
}

static void objects_go_back_to_their_node(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        take(THERE, SMALL, 10);
        take(BESIDE, SMALL, 10);
    }
    uint64_t sent = hz3_stat_sum(sent_home);
    give(HERE, SMALL, 400);
    assert_int_equal(hz3_stat_sum(sent_home), sent + 200);
    take(THERE, SMALL, 200);
    expect_all_of(1, 0);
    assert_int_equal(hz3_central_waiting_objects(false), 200);
    take(HERE, SMALL, 200);
    expect_all_of(0, 200);
    for (uint32_t i = 0; i < 400; i++) { // each came back once
        for (uint32_t j = 0; j < i; j++) {
            assert_ptr_not_equal(objects[i], objects[j]);
        }
    }
    give(THERE, SMALL, 400);
}

static void spans_go_back_to_their_node(void **state)
{
    (void)state;
    bool is_zero;
    cpu_now = 1;
    void *span = hz3_large_alloc(100000, 16, &is_zero);
    assert_int_equal(node_of(span), 1);
    cpu_now = 0;
    hz3_span_free(span);
    void *other = hz3_large_alloc(100000, 16, &is_zero);
    assert_int_equal(node_of(other), 0);
    cpu_now = 1;
    assert_ptr_equal(hz3_large_alloc(100000, 16, &is_zero), span);
    hz3_span_free(span);
    cpu_now = 0;
    hz3_span_free(other);
    hz3_span_cache_drain_all();
}

enum { HALF = HZ3_PAGES_PER_SEG / 2 };
static uint32_t claimed[256];

// Claims pages for the other node until so many slots are left; returns how many claims.
static uint32_t fill_arena(uint32_t slots_left)
{
    uint32_t n = 0;
    while (hz3_arena_slots_left() > slots_left) {
        claimed[n] = hz3_pack_claim(THERE, HALF, 1);
        assert_true(claimed[n] != HZ3_PAGE_NONE && n + 1 < COUNT_OF(claimed));
        n++;
    }
    return n;
}

static void empty_arena(uint32_t n)
{
    while (n-- > 0) {
        uint32_t slot = claimed[n] / HZ3_PAGES_PER_SEG;
        uint32_t idx = claimed[n] % HZ3_PAGES_PER_SEG;
        hz3_segment_publish(&hz3_arena.seg[slot], idx, HALF);
        hz3_pack_on_free(slot, idx, HALF);
    }
}

static bool is_refused;

uint32_t __real_hz3_arena_slot_open(void);
uint32_t __wrap_hz3_arena_slot_open(void);
uint32_t __wrap_hz3_arena_slot_open(void)
{
    return is_refused ? HZ3_PAGE_NONE : __real_hz3_arena_slot_open();
}

static void where_the_kernel_gives_no_memory_are_no_nodes(void **state)
{
    (void)state;
    uint32_t page = hz3_pack_claim(THERE, HALF, 1);
    is_refused = true;
    uint32_t claims = 0;
    bool is_far = false;
    for (; (claimed[claims] = hz3_pack_claim(HERE, HALF, 1)) != HZ3_PAGE_NONE; claims++) {
        is_far = is_far || claimed[claims] / HZ3_PAGES_PER_SEG == page / HZ3_PAGES_PER_SEG;
    }
    is_refused = false;
    assert_true(is_far);
    claimed[claims++] = page;
    empty_arena(claims);
}

static void an_arena_that_is_nearly_full_has_no_nodes(void **state)
{
    (void)state;
    const uint32_t n = 2 * HZ3_MAGAZINE_OBJECTS;
    take(THERE, SMALL, n);
    give(THERE, SMALL, n);
    uint32_t claims = fill_arena(hz3_arena.slots / 16);
    uint64_t far = hz3_stat_sum(refills_far);
    take(HERE, SMALL, 1);
    assert_int_equal(node_of(objects[0]), 1);
    assert_int_equal(hz3_stat_sum(refills_far), far + 1);
    give(HERE, SMALL, 1);
    empty_arena(claims);
}

// All that node 1 has in its depots, down to the last object.
static void a_full_arena_has_no_nodes(void **state)
{
    (void)state;
    uint32_t claims = fill_arena(0);
    void *object;
    while (n_objects < OBJECTS_MAX && hz3_central_take(THERE, MEDIUM, &object, 1) == 1) {
        objects[n_objects++] = object;
    }
    const uint32_t all = n_objects;
    assert_in_range(all, 1, OBJECTS_MAX - 1);
    give(THERE, MEDIUM, all);
    while (n_objects < all && hz3_central_take(HERE, MEDIUM, &object, 1) == 1) {
        objects[n_objects++] = object;
    }
    assert_int_equal(n_objects, all);
    give(HERE, MEDIUM, all);
    empty_arena(claims);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(
        argv, (const char *const[]){"HZ3_ARENA_SIZE=128M", "HZ3_SHARDS=4", "HZ3_NODES=2", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(shards_have_nodes, central_set_up),
        cmocka_unit_test_setup(fresh_pages_are_of_the_own_node, central_set_up),
        cmocka_unit_test_setup(a_slot_is_of_the_node_that_opened_it_last, central_set_up),
        cmocka_unit_test_setup(a_refill_looks_at_its_own_nodes_depots, central_set_up),
        cmocka_unit_test_setup(objects_go_back_to_their_node, central_set_up),
        cmocka_unit_test_setup(spans_go_back_to_their_node, central_set_up),
        cmocka_unit_test_setup(where_the_kernel_gives_no_memory_are_no_nodes, central_set_up),
        cmocka_unit_test_setup(an_arena_that_is_nearly_full_has_no_nodes, central_set_up),
        cmocka_unit_test_setup(a_full_arena_has_no_nodes, central_set_up),
    };
    return cmocka_run_group_tests(tests, central_remember_classes, NULL);
}
