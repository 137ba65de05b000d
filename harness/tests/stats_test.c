// Against vectors that scipy, numpy and R computed (stats_vectors.py), and against counting all signs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/util.h"
#include "stats/stats.h"
#include "stats_vectors.h"

static void assert_close(double is, double expected)
{
    if (isnan(is) || fabs(is - expected) > 1e-12) fail_msg("is %.17g, expected %.17g", is, expected);
}

static void test_location_agrees_with_r_and_numpy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        assert_close(stats_median(golden[i].d, golden[i].n), golden[i].median);
        assert_close(stats_hodges_lehmann(golden[i].d, golden[i].n), golden[i].hl);
    }
}

static void test_wilcoxon_agrees_with_scipy(void **state)
{
    (void)state;
    unsigned known = 0;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        if (isnan(golden[i].p)) continue;
        assert_close(stats_wilcoxon(golden[i].d, golden[i].n), golden[i].p);
        known++;
    }
    assert_true(known >= 14);
}

static void test_interval_agrees_with_r(void **state)
{
    (void)state;
    unsigned known = 0;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        Interval ci = stats_interval(golden[i].d, golden[i].n, golden_level);
        assert_int_equal(isnan(ci.lo), golden[i].n < INTERVAL_N_MIN);
        if (isnan(golden[i].lo)) continue;
        assert_close(ci.lo, golden[i].lo);
        assert_close(ci.hi, golden[i].hi);
        known++;
    }
    assert_true(known >= 9);
}

static uint64_t random_state = 20240901;

static double random_normal(void)
{
    double sum = 0; // of twelve uniform ones
    for (unsigned i = 0; i < 12; i++)
        sum += (double)(mix64(random_state++) >> 11) / 9007199254740992.0;
    return sum - 6;
}

// What is rejected lies outside, what is not lies inside: the interval and p are one test.
static void test_interval_and_p_agree(void **state)
{
    (void)state;
    for (unsigned n = INTERVAL_N_MIN; n <= 40; n += n < 12 ? 1 : 7) {
        for (unsigned times = 0; times < 50; times++) {
            double d[40];
            for (unsigned i = 0; i < n; i++)
                d[i] = 0.4 * random_normal() + 0.2;
            Interval ci = stats_interval(d, n, 0.95);
            bool inside = ci.lo <= 0 && ci.hi >= 0;
            assert_int_equal(inside, stats_wilcoxon(d, n) > 0.05);
            for (unsigned i = 0; i < n; i++)
                d[i] -= ci.lo - 1e-9; // a little less than the lower end is rejected as the median
            assert_true(stats_wilcoxon(d, n) <= 0.05);
        }
    }
}

static void test_interval_covers_what_it_promises(void **state)
{
    (void)state;
    enum { TIMES = 2000 };
    for (unsigned n = 6; n <= 24; n *= 2) {
        unsigned covered = 0;
        for (unsigned times = 0; times < TIMES; times++) {
            double d[24];
            for (unsigned i = 0; i < n; i++)
                d[i] = random_normal();
            Interval ci = stats_interval(d, n, 0.95);
            covered += ci.lo <= 0 && ci.hi >= 0;
        }
        assert_in_range(covered, TIMES * 94 / 100, TIMES * 98 / 100);
    }
}

static void test_holm_agrees_with_r(void **state)
{
    (void)state;
    const struct {
        const double *p, *adjusted;
        unsigned n;
    } cases[] = {{golden_p0, golden_holm0, sizeof golden_p0 / sizeof *golden_p0},
                 {golden_p1, golden_holm1, sizeof golden_p1 / sizeof *golden_p1},
                 {golden_p2, golden_holm2, sizeof golden_p2 / sizeof *golden_p2},
                 {golden_p3, golden_holm3, sizeof golden_p3 / sizeof *golden_p3},
                 {golden_p4, golden_holm4, sizeof golden_p4 / sizeof *golden_p4}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        double *p = xcalloc(cases[c].n, sizeof *p);
        for (unsigned i = 0; i < cases[c].n; i++)
            p[i] = cases[c].p[i];
        stats_holm(p, cases[c].n);
        for (unsigned i = 0; i < cases[c].n; i++) {
            if (isnan(cases[c].adjusted[i]))
                assert_true(isnan(p[i]));
            else
                assert_close(p[i], cases[c].adjusted[i]);
        }
        free(p);
    }
}

// Every p of the null distribution of n untied ranks occurs as often as it must: P(p <= alpha) <= alpha.
static void test_wilcoxon_keeps_its_level(void **state)
{
    (void)state;
    enum { N = 8 };
    for (unsigned tied = 0; tied < 2; tied++) {
        unsigned rejected = 0;
        for (unsigned signs = 0; signs < 1u << N; signs++) {
            double d[N];
            for (unsigned i = 0; i < N; i++)
                d[i] = (signs >> i & 1 ? 1 : -1) * (double)(tied ? i / 2 + 1 : i + 1);
            rejected += stats_wilcoxon(d, N) <= 0.05;
        }
        assert_in_range(rejected, 4, (1u << N) / 20);
    }
}

static void test_many_rounds_stay_exact_or_unknown(void **state)
{
    (void)state;
    double *d = xcalloc(WILCOXON_N_MAX + 1, sizeof *d);
    for (unsigned i = 0; i <= WILCOXON_N_MAX; i++)
        d[i] = i % 2 ? i + 1 : -(double)(i + 1);
    double p = stats_wilcoxon(d, 300);
    assert_true(p > 0.5 && p <= 1);
    assert_true(isnan(stats_wilcoxon(d, WILCOXON_N_MAX + 1)));
    free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_location_agrees_with_r_and_numpy),
        cmocka_unit_test(test_wilcoxon_agrees_with_scipy),
        cmocka_unit_test(test_interval_agrees_with_r),
        cmocka_unit_test(test_interval_and_p_agree),
        cmocka_unit_test(test_interval_covers_what_it_promises),
        cmocka_unit_test(test_holm_agrees_with_r),
        cmocka_unit_test(test_wilcoxon_keeps_its_level),
        cmocka_unit_test(test_many_rounds_stay_exact_or_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
