// When a machine is quiet, and waiting for it. What the machine does is told by this test.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "process/quiet.h"
#include "support.h"

// The linker puts these in the place of those of base/ and of the C library (harness.mk).
static double load_now;
static unsigned naps, quiet_after;

double __wrap_load1(void);
double __wrap_load1(void)
{
    return naps >= quiet_after ? load_now / 10 : load_now;
}

static uint64_t now_ns;

uint64_t __wrap_monotonic_ns(void);
uint64_t __wrap_monotonic_ns(void)
{
    return now_ns;
}

CpuTicks __wrap_cpu_ticks(void);
CpuTicks __wrap_cpu_ticks(void)
{
    return (CpuTicks){.total = now_ns / 5000000};
}

int64_t __wrap_psi_cpu_us(void);
int64_t __wrap_psi_cpu_us(void)
{
    return -1;
}

unsigned __wrap_sleep(unsigned seconds);
unsigned __wrap_sleep(unsigned seconds)
{
    now_ns += seconds * UINT64_C(1000000000);
    naps++;
    return 0;
}

static void expect_between(Bustle after, const char *why)
{
    const Bustle before = {.at_ns = 0, .ticks = {1000, 10}, .psi_cpu_us = 1000};
    after.at_ns = UINT64_C(5000000000);
    char *found = bustle_between(&before, &after);
    if (why)
        assert_string_equal(found, why);
    else
        assert_null(found);
    free(found);
}

static void test_each_kind_of_bustle_is_seen_and_named(void **state)
{
    (void)state;
    expect_between((Bustle){.load1 = 0.4, .ticks = {2000, 20}, .psi_cpu_us = 200000}, NULL);
    expect_between((Bustle){.load1 = 0.6, .ticks = {2000, 20}, .psi_cpu_us = 200000},
                   "load of the last minute is 0.60, limit 0.5");
    expect_between((Bustle){.load1 = 0.4, .ticks = {2000, 30}, .psi_cpu_us = 200000},
                   "2.0 % of CPU time goes to other guests, limit 1 %");
    expect_between((Bustle){.load1 = 0.4, .ticks = {2000, 20}, .psi_cpu_us = 501000},
                   "tasks wait for a CPU 10 % of the time, limit 5 %");
    expect_between((Bustle){.load1 = 0.4, .ticks = {2000, 20}, .psi_cpu_us = -1}, NULL);
}

static char *said_while_waiting(unsigned seconds, unsigned quiet_then, bool expected)
{
    load_now = 2;
    naps = 0;
    quiet_after = quiet_then;
    capture_begin();
    bool quiet = quiet_wait(seconds);
    char *said = capture_end();
    assert_int_equal(quiet, expected);
    return said;
}

static void test_waiting_ends_when_it_is_quiet_or_time_is_up(void **state)
{
    (void)state;
    assert_string_equal(said_while_waiting(60, 0, true), "the machine is quiet after 5 s\n");
    assert_string_equal(said_while_waiting(60, 3, true),
                        "waiting for a quiet machine, at most 60 s: load of the last minute is 2.00, limit 0.5\n"
                        "the machine is quiet after 15 s\n");
    assert_string_equal(said_while_waiting(12, 99, false),
                        "waiting for a quiet machine, at most 12 s: load of the last minute is 2.00, limit 0.5\n"
                        "not quiet after 12 s (load of the last minute is 2.00, limit 0.5); measuring all the "
                        "same\n");
    assert_int_equal(naps, 3); // the last one is the 2 s that are left
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_of_bustle_is_seen_and_named),
        cmocka_unit_test(test_waiting_ends_when_it_is_quiet_or_time_is_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
