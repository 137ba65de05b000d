// Groups of figures with gaps between them, and the probe that the figures come from.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <sched.h>
#include <string.h>

#include "process/probe.h"
#include "stats/modes.h"

enum { COUNT = 12 };
// As a machine with two virtual CPUs was seen: one core, one socket, two sockets; unsorted, one unknown.
static const double seen[COUNT] = {471, 55, 142, 58, 600, 530, 160, NAN, 57, 121, 0, 500};

static void test_gaps_make_modes(void **state)
{
    (void)state;
    Modes modes = modes_find(seen, COUNT);
    assert_int_equal(modes.count, 3);
    assert_int_equal(modes.items[0].n, 3);
    assert_int_equal(modes.items[1].n, 3);
    assert_int_equal(modes.items[2].n, 4);
    assert_true(fabs(modes.items[0].median - 57) < 1e-9);
    assert_true(fabs(modes.items[1].lo - 121) < 1e-9 && fabs(modes.items[1].hi - 160) < 1e-9);
    modes_free(&modes);
}

static void test_a_quiet_machine_has_one_mode(void **state)
{
    (void)state;
    double figures[100];
    for (unsigned i = 0; i < 100; i++)
        figures[i] = 400 + i % 13;
    Modes modes = modes_find(figures, 100);
    assert_int_equal(modes.count, 1);
    assert_int_equal(modes_index(&modes, 410), 0);
    modes_free(&modes);
}

static void test_a_figure_belongs_to_the_nearest_mode(void **state)
{
    (void)state;
    Modes modes = modes_find(seen, COUNT);
    assert_int_equal(modes_index(&modes, 130), 1);
    assert_int_equal(modes_index(&modes, 175), 1); // not farther than a gap
    assert_int_equal(modes_index(&modes, 250), -1);
    assert_int_equal(modes_index(&modes, 970), -1);
    assert_int_equal(modes_index(&modes, NAN), -1);
    modes_free(&modes);
    const double close[] = {100, 130};
    modes = modes_find(close, 2);
    assert_int_equal(modes.count, 2);
    assert_int_equal(modes_index(&modes, 112), 0);
    assert_int_equal(modes_index(&modes, 116), 1);
    modes_free(&modes);
}

static void test_no_figure_has_no_mode(void **state)
{
    (void)state;
    Modes modes = modes_find(NULL, 0);
    assert_int_equal(modes.count, 0);
    assert_int_equal(modes_index(&modes, 100), -1);
    modes_free(&modes);
}

// Whatever machine this is: figures are above 0 or unknown, and the caller keeps its CPUs.
static void test_a_probe_leaves_the_affinity_alone(void **state)
{
    (void)state;
    cpu_set_t before, after;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    Probe probe = probe_machine();
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
    assert_true(probe.cpu_ns > 0 && probe.mem_ns > 0);
    assert_true(isnan(probe.pp_ns) || probe.pp_ns > 0);
}

static void test_one_cpu_has_no_distance(void **state)
{
    (void)state;
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    Probe probe = probe_machine();
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_true(isnan(probe.pp_ns));
    assert_true(probe.cpu_ns > 0);
}

static void test_a_fresh_probe_is_used_again(void **state)
{
    (void)state;
    Probe first = probe_machine(), again = probe_recent(60000);
    assert_memory_equal(&first, &again, sizeof first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gaps_make_modes),
        cmocka_unit_test(test_a_quiet_machine_has_one_mode),
        cmocka_unit_test(test_a_figure_belongs_to_the_nearest_mode),
        cmocka_unit_test(test_no_figure_has_no_mode),
        cmocka_unit_test(test_a_probe_leaves_the_affinity_alone),
        cmocka_unit_test(test_one_cpu_has_no_distance),
        cmocka_unit_test(test_a_fresh_probe_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
