// A machine with two memory nodes: shards 0 and 1 are of one, 2 and 3 of the other.
#include "central_support.h"

#include "arena_support.h"
#include "base/hz3_knobs.h"
#include "base/hz3_node.h"
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
    return hz3_pack_is_far(HERE, hz3_page_of(object)) ? 1 : 0;
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
    assert_int_equal(hz3_shard_count(), SHARD_COUNT);
    assert_int_equal(hz3_nodes, 2);
    for (uint32_t shard = 0; shard < SHARD_COUNT; shard++) {
        assert_int_equal(hz3_node_of_shard(shard), shard / 2);
        assert_int_equal(hz3_shards_for(shard), shard < 2 ? 0x3 : 0xC);
    }
    for (uint32_t cpu = 0; cpu < 8; cpu++) {
        assert_int_equal(hz3_node_of_shard(hz3_shard_of_cpu(cpu)), cpu % 2);
    }
}

static void init_as_if(uint64_t nodes, uint64_t shards)
{
    hz3_knobs.NODES = nodes;
    hz3_knobs.SHARDS = shards;
    hz3_shard_init();
}

// A node's part is a power of two. More nodes than shards count as one, and its CPUs share the shards evenly.
static void nodes_need_no_power_of_two(void **state)
{
    (void)state;
    init_as_if(3, 32);
    assert_int_equal(hz3_nodes, 3);
    assert_int_equal(hz3_shards_per_node(), 8);
    assert_int_equal(hz3_shards_for(17), 0xFF0000);
    assert_int_equal(hz3_shard_on_node(17, 0), 1);
    init_as_if(16, 64);
    assert_int_equal(hz3_shards_for(63), 0xFull << 60);
    init_as_if(4, 2);
    assert_int_equal(hz3_nodes, 1);
    assert_int_equal(hz3_shards_for(0), 3);
    assert_int_not_equal(hz3_shard_of_cpu(0), hz3_shard_of_cpu(1));
    init_as_if(1, 64);
    assert_int_equal(hz3_shards_for(63), UINT64_MAX);
    init_as_if(2, SHARD_COUNT);
}

// A segment serves the node that opened it, whichever of its shards asks.
static void fresh_pages_are_of_the_own_node(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 200; i++) {
        take(i % SHARD_COUNT, MEDIUM, 5);
        expect_all_of(i % SHARD_COUNT / 2, n_objects - 5);
    }
    while (n_objects != 0) {
        give(HERE, MEDIUM, 5);
    }
    drain_all();
    uint32_t slots = hz3_arena_slots_left();
    for (uint32_t i = 0; i < 200; i++) { // their segments have room
        take(i % SHARD_COUNT, MEDIUM, 5);
        expect_all_of(i % SHARD_COUNT / 2, n_objects - 5);
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

static void take_on_cpu(uint32_t cpu, uint32_t shard, uint32_t n)
{
    cpu_now = cpu;
    take(shard, SMALL, n);
    cpu_now = 0;
}

// What a process leaves on a node that it has left serves it where it is now.
static void a_node_at_rest_lends_what_it_has(void **state)
{
    (void)state;
    const uint32_t n = 2 * HZ3_MAGAZINE_OBJECTS;
    take_on_cpu(1, THERE, n);
    give(THERE, SMALL, n);
    for (uint32_t epoch = 0; epoch <= HZ3_NODE_REST_EPOCHS; epoch++) {
        assert_int_equal(hz3_shards_for(HERE), 0x3);
        take_on_cpu(0, HERE, 1);
        expect_all_of(0, 0);
        hz3_nodes_note_epoch();
    }
    assert_int_equal(hz3_shards_for(HERE), 0xF);
    take(HERE, SMALL, 400);
    uint32_t lent = 0;
    for (uint32_t i = 0; i < n_objects; i++) {
        lent += node_of(objects[i]);
    }
    assert_int_equal(lent, n);
    take_on_cpu(1, THERE, 1);
    hz3_nodes_note_epoch();
    assert_int_equal(hz3_shards_for(HERE), 0x3);
    give(HERE, SMALL, n_objects);
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

static void empty_arena_of(uint32_t page)
{
    uint32_t slot = page / HZ3_PAGES_PER_SEG;
    uint32_t idx = page % HZ3_PAGES_PER_SEG;
    hz3_segment_publish(&hz3_arena.seg[slot], idx, HALF);
    hz3_pack_on_free(slot, idx, HALF);
}

static void empty_arena(uint32_t n)
{
    while (n-- > 0) {
        empty_arena_of(claimed[n]);
    }
}

static bool is_refused;

uint32_t __real_hz3_arena_slot_open(uint32_t shard);
uint32_t __wrap_hz3_arena_slot_open(uint32_t shard);
uint32_t __wrap_hz3_arena_slot_open(uint32_t shard)
{
    return is_refused ? HZ3_PAGE_NONE : __real_hz3_arena_slot_open(shard);
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
    assert_int_equal(hz3_pack_shards_for(HERE), UINT64_MAX);
    claimed[claims++] = hz3_pack_claim(HERE, HALF, 1); // a slot
    assert_int_equal(hz3_pack_shards_for(HERE), 0x3);
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
    assert_int_equal(hz3_central_waiting_objects(false), n - 1); // one of these, and no fresh page
    give(HERE, SMALL, 1);
    empty_arena(claims);
}

// What there is, to the last one.
static void take_all(uint32_t shard, uint32_t cls)
{
    void *object;
    while (n_objects < OBJECTS_MAX && hz3_central_take(shard, cls, &object, 1) == 1) {
        objects[n_objects++] = object;
    }
    assert_in_range(n_objects, 1, OBJECTS_MAX - 1);
}

// Then an object stays where it was freed, or each malloc would have to reclaim it.
static void what_a_full_arena_gave_is_used_again(void **state)
{
    (void)state;
    uint32_t claims = fill_arena(0);
    take_all(HERE, MEDIUM);
    uint32_t held = n_objects;
    empty_arena_of(claimed[0]);
    uint64_t reclaims = hz3_stat_sum(reclaim_calls);
    for (uint32_t i = 0; i < 100; i++) {
        bool is_zero;
        take(HERE, MEDIUM, 1);
        expect_all_of(1, held);
        give(HERE, MEDIUM, 1);
        void *span = hz3_large_alloc(200 * HZ3_PAGE_SIZE, 16, &is_zero);
        assert_int_equal(node_of(span), 1);
        hz3_span_free(span);
    }
    assert_int_equal(hz3_stat_sum(reclaim_calls), reclaims);
    give(HERE, MEDIUM, held);
    drain_all();
    hz3_span_cache_drain_all();
    claimed[0] = claimed[claims - 1];
    empty_arena(claims - 1);
}

// All that node 1 has in its depots, down to the last object.
static void a_full_arena_has_no_nodes(void **state)
{
    (void)state;
    uint32_t claims = fill_arena(0);
    take_all(THERE, MEDIUM);
    const uint32_t all = n_objects;
    give(THERE, MEDIUM, all);
    take_all(HERE, MEDIUM);
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
        cmocka_unit_test_setup(nodes_need_no_power_of_two, central_set_up),
        cmocka_unit_test_setup(fresh_pages_are_of_the_own_node, central_set_up),
        cmocka_unit_test_setup(a_slot_is_of_the_node_that_opened_it_last, central_set_up),
        cmocka_unit_test_setup(a_refill_looks_at_its_own_nodes_depots, central_set_up),
        cmocka_unit_test_setup(objects_go_back_to_their_node, central_set_up),
        cmocka_unit_test_setup(a_node_at_rest_lends_what_it_has, central_set_up),
        cmocka_unit_test_setup(spans_go_back_to_their_node, central_set_up),
        cmocka_unit_test_setup(where_the_kernel_gives_no_memory_are_no_nodes, central_set_up),
        cmocka_unit_test_setup(an_arena_that_is_nearly_full_has_no_nodes, central_set_up),
        cmocka_unit_test_setup(what_a_full_arena_gave_is_used_again, central_set_up),
        cmocka_unit_test_setup(a_full_arena_has_no_nodes, central_set_up),
    };
    return cmocka_run_group_tests(tests, central_remember_classes, NULL);
}
