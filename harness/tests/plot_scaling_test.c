#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "report/plot_scaling.h"

#define CELL(id, name, values)                                                                                         \
    {                                                                                                                  \
        .cell_id = (char *)(id), .workload = (char *)(name), .params = (char *)(values)                                \
    }

static Results results_of(PlanRow *cells, unsigned count)
{
    Results results = {.plan = {cells, count}};
    for (unsigned i = 0; i < count; i++)
        list_add(&results.cells, cells[i].cell_id);
    return results;
}

static void test_a_set_is_ordered_by_threads(void **state)
{
    (void)state;
    PlanRow cells[] = {CELL("a16", "w", "threads=16 iters=5 ws=4 option="), CELL("b2", "w", "threads=2 iters=9 ws=8"),
                       CELL("a2", "w", "threads=2 iters=40 ws=4 option="),  CELL("b1", "w", "threads=1 iters=9 ws=8"),
                       CELL("a8", "w", "threads=8 iters=10 ws=4 option="),  CELL("b3", "w", "threads=3 iters=9 ws=8")};
    static const char *const ids[] = {"a2", "a8", "a16", "b1", "b2", "b3"};
    static const uint64_t threads[] = {2, 8, 16, 1, 2, 3};
    Results results = results_of(cells, 6);
    ScalingPoints points = scaling_points(&results);
    assert_int_equal(points.count, 6);
    for (unsigned i = 0; i < 6; i++) {
        assert_string_equal(points.items[i].cell_id, ids[i]);
        assert_int_equal(points.items[i].threads, threads[i]);
        assert_string_equal(points.items[i].set, i < 3 ? "w: ws=4" : "w: ws=8");
    }
    scaling_free(&points);
}

static void test_three_numbers_of_threads_make_a_set(void **state)
{
    (void)state;
    PlanRow cells[] = {CELL("a1", "w", "threads=1 ws=4"),         CELL("a2", "w", "threads=2 ws=4"),
                       CELL("a3", "w", "threads=4 ws=5"),         CELL("a4", "other", "threads=4 ws=4"),
                       CELL("a5", "w", "threads=2 iters=7 ws=4"), CELL("a6", "w", "ws=4")};
    Results results = results_of(cells, 6);
    ScalingPoints points = scaling_points(&results);
    assert_int_equal(points.count, 0);
    scaling_free(&points);
    cells[2].params = (char *)"threads=4 ws=4";
    points = scaling_points(&results);
    assert_int_equal(points.count, 4); // two cells have two threads
    assert_string_equal(points.items[3].cell_id, "a3");
    scaling_free(&points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_set_is_ordered_by_threads),
        cmocka_unit_test(test_three_numbers_of_threads_make_a_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
