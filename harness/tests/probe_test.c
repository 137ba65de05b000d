// What probing may cost, over a clock that this test moves: probes are counted, nothing is timed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/util.h"
#include "process/probe.h"

enum { MS = 1000000, ASKED = 500, PROCESS_MS = 300 };

// Each look at the clock takes so long, and a probe looks at it some dozens of times.
static uint64_t clock_ns = MS, look_ns;

// The linker puts this in the place of the clock (harness.mk).
uint64_t __wrap_monotonic_ns(void);
uint64_t __wrap_monotonic_ns(void)
{
    return clock_ns += look_ns;
}

// Probes that were made of those that are asked for after so many processes.
static unsigned made_after_processes(uint64_t look)
{
    unsigned before = probe_cost().made;
    look_ns = look;
    for (unsigned i = 0; i < ASKED; i++) {
        clock_ns += PROCESS_MS * (uint64_t)MS;
        probe_recent(0);
    }
    return probe_cost().made - before;
}

static void test_the_cost_is_bounded(void **state)
{
    (void)state;
    const uint64_t credit = PROBE_CREDIT_MS * (uint64_t)MS, share = 100 * (uint64_t)MS * PROBE_SHARE_PCT;
    ProbeCost cost = {.since_ns = 5, .spent_ns = credit};
    assert_true(probe_is_affordable(&cost, 5));
    cost.spent_ns++;
    assert_false(probe_is_affordable(&cost, 5));
    cost.spent_ns = credit + share;
    assert_false(probe_is_affordable(&cost, 5 + 10000 * (uint64_t)MS - 100));
    assert_true(probe_is_affordable(&cost, 5 + 10000 * (uint64_t)MS));
    assert_true(probe_is_affordable(&(ProbeCost){0}, 5));
}

static void test_cheap_probes_are_all_made(void **state)
{
    (void)state;
    assert_int_equal(made_after_processes(MS / 1000), ASKED);
    assert_int_equal(probe_cost().left_out, 0);
}

// On a machine on which a probe has to wait for its CPUs, most are left out, and the share is kept.
static void test_dear_probes_are_left_out(void **state)
{
    (void)state;
    unsigned made = made_after_processes(10 * MS);
    ProbeCost cost = probe_cost();
    assert_true(made > 10 && made < ASKED / 2);
    assert_int_equal(cost.left_out, ASKED - made);
    uint64_t dearest = 2000 * (uint64_t)MS; // the last one, which was affordable when it began
    assert_true(cost.spent_ns <=
                (clock_ns - cost.since_ns) / 100 * PROBE_SHARE_PCT + PROBE_CREDIT_MS * (uint64_t)MS + dearest);
}

static void test_what_is_left_out_is_unknown(void **state)
{
    (void)state;
    look_ns = 10 * MS;
    Probe probe;
    unsigned left_out = probe_cost().left_out;
    do
        probe = probe_recent(0);
    while (probe_cost().left_out == left_out);
    assert_true(isnan(probe.pp_ns) && isnan(probe.cpu_ns) && isnan(probe.mem_ns));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_cost_is_bounded),
        cmocka_unit_test(test_cheap_probes_are_all_made),
        cmocka_unit_test(test_dear_probes_are_left_out),
        cmocka_unit_test(test_what_is_left_out_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
