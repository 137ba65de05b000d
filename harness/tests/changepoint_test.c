#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "stats/changepoint.h"

enum { N = 40 };

// Noise between -1 and 1 that is the same in every run.
static double noise(unsigned i)
{
    return (double)(mix64(i + 77) >> 11) / (double)(UINT64_C(1) << 52) - 1;
}

static void fill(double *values, double step, unsigned at)
{
    for (unsigned i = 0; i < N; i++)
        values[i] = 100 + noise(i) + (i >= at ? step : 0);
}

static void test_one_step_is_found_where_it_is(void **state)
{
    (void)state;
    double values[N];
    ChangePoint points[N];
    for (unsigned at = 6; at <= N - 4; at += 3) {
        fill(values, -4, at);
        assert_int_equal(change_points(values, N, 0.02, points), 1);
        assert_int_equal(points[0].at, at);
        assert_true(points[0].p <= 0.001 && points[0].p > 0);
        assert_float_equal(points[0].before, 100, 1);
        assert_float_equal(points[0].after, 96, 1);
    }
}

static void test_three_bad_nights_after_a_long_calm_suffice(void **state)
{
    (void)state;
    double values[N];
    ChangePoint points[N];
    fill(values, 5, N - 3);
    assert_int_equal(change_points(values, N, 0.02, points), 1);
    assert_int_equal(points[0].at, N - 3);
}

static void test_two_steps_come_in_order(void **state)
{
    (void)state;
    double values[N];
    ChangePoint points[N];
    fill(values, -6, 12);
    for (unsigned i = 27; i < N; i++)
        values[i] += 9;
    assert_int_equal(change_points(values, N, 0.02, points), 2);
    assert_int_equal(points[0].at, 12);
    assert_int_equal(points[1].at, 27);
}

// At one in a thousand a series: with p <= 0.01 there would be about four.
static void test_noise_has_no_levels(void **state)
{
    (void)state;
    double values[N];
    ChangePoint points[N];
    unsigned found = 0;
    for (unsigned k = 0; k < 400; k++) {
        for (unsigned i = 0; i < N; i++)
            values[i] = noise(1000 * k + i);
        found += change_points(values, N, 0, points);
    }
    assert_true(found <= 1);
}

static void test_six_nights_on_either_side_are_not_enough(void **state)
{
    (void)state;
    double values[14];
    ChangePoint points[14];
    for (unsigned i = 0; i < 14; i++)
        values[i] = i < 6 ? 100 : 90;
    assert_int_equal(change_points(values, 12, 0.02, points), 0); // 2 of 924 orders are as broken
    for (unsigned i = 0; i < 14; i++)
        values[i] = i < 7 ? 100 : 90;
    assert_int_equal(change_points(values, 14, 0.02, points), 1); // 2 of 3432
}

static void test_levels_that_are_close_are_one(void **state)
{
    (void)state;
    double values[N];
    ChangePoint points[N];
    fill(values, -6, 20);
    assert_int_equal(change_points(values, N, 0.04, points), 1);
    assert_int_equal(change_points(values, N, 0.08, points), 0);
    for (unsigned i = 0; i < N; i++) // four levels, 3 % apart: a drift
        values[i] = 100 + noise(i) / 10 - 3 * (i / 10);
    assert_int_equal(change_points(values, N, 0.02, points), 3);
    unsigned left = change_points(values, N, 0.05, points);
    assert_true(left >= 1 && left <= 2);
    assert_float_equal(points[0].before, left == 1 ? 98.5 : 100, 1);
}

static void test_a_single_outlier_and_a_constant_are_no_change(void **state)
{
    (void)state;
    double values[N];
    ChangePoint points[N];
    fill(values, 0, N);
    values[20] = 200;
    assert_int_equal(change_points(values, N, 0.02, points), 0);
    for (unsigned i = 0; i < N; i++)
        values[i] = 3;
    assert_int_equal(change_points(values, N, 0.02, points), 0);
    assert_int_equal(change_points(values, 2, 0, points), 0);
    assert_int_equal(change_points(values, 0, 0, points), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_step_is_found_where_it_is),
        cmocka_unit_test(test_three_bad_nights_after_a_long_calm_suffice),
        cmocka_unit_test(test_two_steps_come_in_order),
        cmocka_unit_test(test_noise_has_no_levels),
        cmocka_unit_test(test_six_nights_on_either_side_are_not_enough),
        cmocka_unit_test(test_levels_that_are_close_are_one),
        cmocka_unit_test(test_a_single_outlier_and_a_constant_are_no_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
