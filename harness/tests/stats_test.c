// Against vectors that scipy, numpy and R computed (stats_vectors.py), and against counting all signs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
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

static void test_bootstrap_agrees_with_numpy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        Interval ci = stats_bootstrap(golden[i].d, golden[i].n, GOLDEN_RESAMPLES, i + 1, golden_level);
        assert_close(ci.lo, golden[i].lo);
        assert_close(ci.hi, golden[i].hi);
    }
}

static void test_bootstrap_depends_on_its_seed_alone(void **state)
{
    (void)state;
    const double *d = golden[12].d;
    Interval a = stats_bootstrap(d, golden[12].n, 200, 7, 0.95), b = stats_bootstrap(d, golden[12].n, 200, 7, 0.95);
    Interval c = stats_bootstrap(d, golden[12].n, 200, 8, 0.95);
    assert_true(!(a.lo < b.lo || a.lo > b.lo) && !(a.hi < b.hi || a.hi > b.hi));
    assert_true(a.lo < c.lo || a.lo > c.lo);
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
        cmocka_unit_test(test_bootstrap_agrees_with_numpy),
        cmocka_unit_test(test_bootstrap_depends_on_its_seed_alone),
        cmocka_unit_test(test_holm_agrees_with_r),
        cmocka_unit_test(test_wilcoxon_keeps_its_level),
        cmocka_unit_test(test_many_rounds_stay_exact_or_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
