#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "stats/spread.h"

// The ranks are those of tables of the sign test's interval for the median: n, lower and upper rank from 1.
static void test_interval_has_the_ranks_of_the_tables(void **state)
{
    (void)state;
    static const unsigned table[][3] = {{6, 1, 6},   {7, 1, 7},   {8, 1, 8},    {9, 2, 8},    {10, 2, 9},
                                        {15, 4, 12}, {20, 6, 15}, {30, 10, 21}, {100, 40, 61}};
    double values[100];
    for (unsigned t = 0; t < sizeof table / sizeof *table; t++) {
        for (unsigned i = 0; i < table[t][0]; i++)
            values[i] = table[t][0] - i;
        Spread spread = spread_of(values, table[t][0]);
        assert_true(spread.ci_lo == table[t][1]);
        assert_true(spread.ci_hi == table[t][2]);
    }
}

static void test_fewer_than_six_have_no_interval(void **state)
{
    (void)state;
    double values[] = {3, 1, 2, 5, 4};
    Spread spread = spread_of(values, 5);
    assert_true(isinf(spread.ci_lo) && isinf(spread.ci_hi));
    assert_true(spread.median == 3 && spread.min == 1 && spread.max == 5);
    assert_int_equal(spread_of(values, 0).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interval_has_the_ranks_of_the_tables),
        cmocka_unit_test(test_fewer_than_six_have_no_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
