// A class that a program freed in bulk goes back to its runs when the program needs pages for another one.
#include "central_support.h"

#include "arena_support.h"
#include "base/hz3_size_class.h"

enum { BULK = 3000, FREED = 12, NEXT = 20, SHARD = 1 };

static void free_in_bulk(uint32_t n)
{
    hz3_classes[FREED].depot_cap = BULK;
    take(SHARD, FREED, n);
    give(SHARD, FREED, n);
}

// Fresh pages, too: nothing of it is there.
static void take_next(void)
{
    take(SHARD, NEXT, 1);
}

static uint32_t waiting(void)
{
    return (uint32_t)hz3_central_waiting_objects(false);
}

static void a_class_freed_in_bulk_is_settled_piece_by_piece(void **state)
{
    (void)state;
    free_in_bulk(BULK);
    assert_int_equal(hz3_bulk_class(SHARD), 0); // nobody needs pages
    take_next();
    assert_int_equal(waiting(), BULK);
    for (uint32_t left = BULK; left > 0; left = waiting()) {
        assert_int_equal(hz3_bulk_class(SHARD), FREED);
        assert_int_equal(hz3_bulk_class(SHARD + 1), 0);
        hz3_bulk_settle_waiting(SHARD, FREED);
        assert_true(waiting() < left && waiting() + 1100 > left);
    }
    assert_int_equal(hz3_bulk_class(SHARD), 0);
    give(SHARD, NEXT, 1);
}

static void what_the_front_has_of_it_is_settled_too(void **state)
{
    (void)state;
    take(SHARD, FREED, 100);
    free_in_bulk(BULK);
    take_next();
    assert_int_equal(hz3_bulk_class(SHARD), FREED);
    hz3_bulk_settle_cached(FREED, objects, 100);
    hz3_bulk_settle_waiting(SHARD, FREED);
    objects[0] = objects[n_objects - 1];
    n_objects = 1;
    give(SHARD, NEXT, 1);
    drain_all();
    assert_int_equal(taken_pages(), taken_before); // none of the hundred is lost
}

static void a_class_in_use_is_not_settled(void **state)
{
    (void)state;
    free_in_bulk(BULK);
    take(SHARD, FREED, 1);
    take_next();
    assert_int_equal(hz3_bulk_class(SHARD), 0);
    give(SHARD, NEXT, 1);
    give(SHARD, FREED, 1);
}

static void a_class_that_is_used_again_is_left_alone(void **state)
{
    (void)state;
    free_in_bulk(BULK);
    take_next();
    assert_int_equal(hz3_bulk_class(SHARD), FREED);
    take(SHARD, FREED, 1);
    assert_int_equal(hz3_bulk_class(SHARD), 0);
    give(SHARD, FREED, 1);
    give(SHARD, NEXT, 1);
}

static void few_frees_are_no_bulk(void **state)
{
    (void)state;
    free_in_bulk(500);
    take_next();
    assert_int_equal(hz3_bulk_class(SHARD), 0);
    give(SHARD, NEXT, 1);
}

int main(int argc, char **argv)
{
    (void)argc;
    unit_need_env(argv, (const char *const[]){"HZ3_ARENA_SIZE=128M", "HZ3_SHARDS=4", "HZ3_EPOCH_TICK_MS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_class_freed_in_bulk_is_settled_piece_by_piece, central_set_up),
        cmocka_unit_test_setup(what_the_front_has_of_it_is_settled_too, central_set_up),
        cmocka_unit_test_setup(a_class_in_use_is_not_settled, central_set_up),
        cmocka_unit_test_setup(a_class_that_is_used_again_is_left_alone, central_set_up),
        cmocka_unit_test_setup(few_frees_are_no_bulk, central_set_up),
    };
    return cmocka_run_group_tests(tests, central_remember_classes, NULL);
}
