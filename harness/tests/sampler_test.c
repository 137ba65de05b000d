// What is read off a curve afterwards.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "process/sampler.h"
#include "support.h"

enum { MS = 1000000, SAMPLES = 30 };

// Phases work, idle, post in ten samples each, 10 ms apart; `idle` gives the idle ones.
static Sampler make(Sample *samples, const int64_t *idle_kib)
{
    static char *names[] = {"work", "idle", "post"};
    for (unsigned i = 0; i < SAMPLES; i++)
        samples[i] =
            (Sample){.t_ns = (i + 1) * 10 * MS, .phase = i / 10, .rss_kib = i / 10 == 1 ? idle_kib[i - 10] : 1000};
    return (Sampler){.samples = samples, .count = SAMPLES, .phases = {names, 3}};
}

static void test_return_is_timed_until_a_tenth_is_left(void **state)
{
    (void)state;
    static const int64_t falling[] = {1000, 900, 700, 400, 195, 180, 100, 100, 100, 100};
    Sample samples[SAMPLES];
    Sampler sampler = make(samples, falling);
    assert_int_equal(sampler_settled_rss_kib(&sampler, "idle"), 100);
    assert_int_equal((int)sampler_return_ms(&sampler, "idle"), 50);
}

static void test_waking_up_is_no_return(void **state)
{
    (void)state;
    static const int64_t waking[] = {1000, 500, 100, 100, 100, 100, 100, 100, 100, 800};
    Sample samples[SAMPLES];
    Sampler sampler = make(samples, waking);
    assert_int_equal((int)sampler_return_ms(&sampler, "idle"), 20);
}

static void test_what_does_not_fall_has_no_return(void **state)
{
    (void)state;
    static const int64_t flat[] = {1000, 1000, 1000, 1000, 1000, 950, 950, 950, 950, 950};
    Sample samples[SAMPLES];
    Sampler sampler = make(samples, flat);
    assert_true(sampler_return_ms(&sampler, "idle") < 0);
    assert_true(sampler_return_ms(&sampler, "nap") < 0);
}

static void test_a_curve_is_on_the_disk_or_an_error(void **state)
{
    (void)state;
    static const int64_t flat[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    Sample samples[SAMPLES];
    CounterFile none = {0};
    Sampler sampler = make(samples, flat);
    sampler.counters = &none;
    assert_true(sampler_write(&sampler, test_path("curve.csv")));
    capture_begin();
    bool ok = sampler_write(&sampler, "/dev/null"); // takes it, but does not promise to keep it
    char *said = capture_end();
    assert_false(ok);
    assert_string_equal(said, "hzb: /dev/null: Invalid argument\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_return_is_timed_until_a_tenth_is_left),
        cmocka_unit_test(test_waking_up_is_no_return),
        cmocka_unit_test(test_what_does_not_fall_has_no_return),
        cmocka_unit_test(test_a_curve_is_on_the_disk_or_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
