// Curves on one axis of time: phases aligned, and no more points than a figure shows.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "report/curves.h"
#include "support.h"

static CsvTable table_of(const char *name, const char *text)
{
    CsvTable table;
    char *whole = xfmt("t_ms,phase,rss_kib,live_kib\n%s", text);
    test_write_text(name, whole);
    assert_true(csv_load(test_path(name), &table));
    free(whole);
    return table;
}

static void expect(const double *aligned, const double *expected, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_true(fabs(aligned[i] - expected[i]) < 1e-9);
}

// The second process takes twice as long for its burst and half as long for the rest.
static void test_phases_are_as_long_as_on_average(void **state)
{
    (void)state;
    CsvTable a = table_of("a.csv", "0,burst,1,\n50,burst,1,\n100,idle,1,\n300,idle,1,\n");
    CsvTable b = table_of("b.csv", "0,burst,1,\n100,burst,1,\n200,idle,1,\n300,idle,1,\n");
    const CsvTable *tables[] = {&a, &b};
    double **aligned = curves_align(tables, 2);
    const double expected[] = {0, 75, 150, 300};
    expect(aligned[0], expected, 4);
    expect(aligned[1], expected, 4);
    // What lies between two samples, and before and behind all of them.
    const double between[] = {curve_aligned_ms(&a, aligned[0], 25), curve_aligned_ms(&a, aligned[0], 200),
                              curve_aligned_ms(&a, aligned[0], -1), curve_aligned_ms(&a, aligned[0], 900)};
    expect(between, (const double[]){37.5, 225, 0, 300}, 4);
}

static void test_other_phases_keep_their_time(void **state)
{
    (void)state;
    CsvTable a = table_of("a.csv", "0,burst,1,\n100,idle,1,\n300,idle,1,\n");
    CsvTable b = table_of("b.csv", "0,burst,1,\n200,post,1,\n300,post,1,\n");
    const CsvTable *tables[] = {&a, &b};
    double **aligned = curves_align(tables, 2);
    expect(aligned[0], (const double[]){0, 100, 300}, 3);
    expect(aligned[1], (const double[]){0, 200, 300}, 3);
}

static void test_a_phase_without_length_is_a_point(void **state)
{
    (void)state;
    CsvTable a = table_of("a.csv", "0,burst,1,\n10,free,1,\n10,idle,1,\n20,idle,1,\n");
    CsvTable b = table_of("b.csv", "0,burst,1,\n10,free,1,\n30,idle,1,\n40,idle,1,\n");
    const CsvTable *tables[] = {&a, &b};
    double **aligned = curves_align(tables, 2);
    expect(aligned[0], (const double[]){0, 10, 20, 30}, 4);
    expect(aligned[1], (const double[]){0, 10, 20, 30}, 4);
}

static void test_a_long_curve_keeps_its_peak_and_its_phases(void **state)
{
    (void)state;
    enum { ROWS = 5000, PEAK = 3333, DIP = 3335, BEGIN = 1234 };
    char *text = malloc(ROWS * 24), *at = text;
    for (unsigned r = 0; r < ROWS; r++)
        at += sprintf(at, "%u,%s,%u,\n", r, r < BEGIN ? "burst" : "idle", r == PEAK ? 900u : r == DIP ? 1u : 100u);
    CsvTable table = table_of("long.csv", text);
    bool *keep = curve_thin(&table);
    unsigned kept = 0;
    for (unsigned r = 0; r < ROWS; r++)
        kept += keep[r];
    assert_true(kept > CURVE_POINTS / 4 && kept <= CURVE_POINTS + 4);
    assert_true(keep[0] && keep[ROWS - 1] && keep[PEAK] && keep[DIP] && keep[BEGIN]);
    free(text);
}

static void test_a_short_curve_stays_whole(void **state)
{
    (void)state;
    CsvTable table = table_of("short.csv", "0,burst,1,\n1,burst,2,\n2,idle,3,\n");
    bool *keep = curve_thin(&table);
    assert_true(keep[0] && keep[1] && keep[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phases_are_as_long_as_on_average),
        cmocka_unit_test(test_other_phases_keep_their_time),
        cmocka_unit_test(test_a_phase_without_length_is_a_point),
        cmocka_unit_test(test_a_long_curve_keeps_its_peak_and_its_phases),
        cmocka_unit_test(test_a_short_curve_stays_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
