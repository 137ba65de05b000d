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
        assert_int_equal(change_points(values, N, points), 1);
        assert_int_equal(points[0].at, at);
        assert_true(points[0].p <= 0.01 && points[0].p > 0);
    }
}

static void test_three_bad_nights_after_a_long_calm_suffice(void **state)
{
    (void)state;
    double values[N];
    ChangePoint points[N];
    fill(values, 5, N - 3);
    assert_int_equal(change_points(values, N, points), 1);
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
    assert_int_equal(change_points(values, N, points), 2);
    assert_int_equal(points[0].at, 12);
    assert_int_equal(points[1].at, 27);
}

// At one per cent a test: a dozen series of noise may show a change once.
static void test_noise_has_no_levels(void **state)
{
    (void)state;
    double values[N];
    ChangePoint points[N];
    unsigned found = 0;
    for (unsigned k = 0; k < 12; k++) {
        for (unsigned i = 0; i < N; i++)
            values[i] = noise(1000 * k + i);
        found += change_points(values, N, points);
    }
    assert_true(found <= 1);
}

static void test_a_single_outlier_and_a_constant_are_no_change(void **state)
{
    (void)state;
    double values[N];
    ChangePoint points[N];
    fill(values, 0, N);
    values[20] = 200;
    assert_int_equal(change_points(values, N, points), 0);
    for (unsigned i = 0; i < N; i++)
        values[i] = 3;
    assert_int_equal(change_points(values, N, points), 0);
    assert_int_equal(change_points(values, 2, points), 0);
    assert_int_equal(change_points(values, 0, points), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_step_is_found_where_it_is),
        cmocka_unit_test(test_three_bad_nights_after_a_long_calm_suffice),
        cmocka_unit_test(test_two_steps_come_in_order),
        cmocka_unit_test(test_noise_has_no_levels),
        cmocka_unit_test(test_a_single_outlier_and_a_constant_are_no_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
