#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "process/outcome.h"
#include "stats/spread.h"

static Arm arms[] = {{.name = "a", .role = "cand", .sha256 = "5a"}};
static Workload workloads[] = {{.name = "w", .sha256 = "b1"}};
static Experiment experiment = {.run_id = "r",
                                .arms = arms,
                                .arm_count = 1,
                                .workloads = workloads,
                                .workload_count = 1,
                                .limits = {.steal_max_pct = 2, .fallback_max_pct = 0.1}};
static const PlanRow plan = {.seq = 3, .cell_id = "c", .workload = "w", .params = "", .allocator = "a", .role = "cand"};

static Observed good(void)
{
    return (Observed){.has_final = true,
                      .final = {.ops = 1000, .work_ns = 500000000, .checksum = "0123456789abcdef"},
                      .peak_kib = 2048,
                      .post_kib = 1024,
                      .idle_kib = -1,
                      .majflt_before_work = 7,
                      .usage = {.ru_majflt = 7, .ru_utime = {9, 800000}},
                      .before = probe_none(),
                      .after = probe_none(),
                      .psi_cpu_us = -1,
                      .load1 = -1};
}

static RunRow fill(const Observed *seen)
{
    RunRow row = {0};
    outcome_fill(&experiment, &plan, seen, false, &row);
    return row;
}

static void expect(const Observed *seen, const char *status, const char *reason)
{
    RunRow row = fill(seen);
    assert_string_equal(row.field[RUN_status], status);
    assert_string_equal(row.field[RUN_invalid_reason], reason);
    row_clear(&row);
}

static void test_good_sample(void **state)
{
    (void)state;
    Observed seen = good();
    RunRow row = fill(&seen);
    assert_string_equal(row.field[RUN_status], "ok");
    assert_string_equal(row.field[RUN_ops_per_s], "2000");
    assert_string_equal(row.field[RUN_work_s], "0.500000");
    assert_string_equal(row.field[RUN_exit_code], "0");
    assert_string_equal(row.field[RUN_peak_rss_kib], "2048");
    assert_null(row.field[RUN_idle_rss_kib]);
    assert_null(row.field[RUN_psi_cpu_us]);
    assert_null(row.field[RUN_live_at_fail_kib]);
    assert_null(row.field[RUN_fallback_pct]);
    assert_null(row.field[RUN_reclaim_pages]);
    seen.final.ops = 1;
    seen.final.work_ns = 800000000;
    assert_string_equal(fill(&seen).field[RUN_ops_per_s], "1.25");
}

static void test_processes_that_end_badly(void **state)
{
    (void)state;
    Observed seen = good();
    seen.has_final = false;
    expect(&seen, "failed", "protocol: no final line");
    seen.wait_status = 70 << 8;
    expect(&seen, "failed", "exit: code 70, see logs");
    seen.wait_status = SIGSEGV;
    expect(&seen, "signal", "signal: Segmentation fault");
    seen.wait_status = SIGKILL;
    seen.killed_as = "timeout";
    seen.fault = xstrdup("timeout: x");
    expect(&seen, "timeout", "timeout: x");
}

static void test_disturbances(void **state)
{
    (void)state;
    Observed seen = good();
    seen.usage.ru_majflt = 9;
    expect(&seen, "invalid", "majflt: 2 pages were read from disk");
    seen = good();
    seen.swap_kib = 4;
    expect(&seen, "invalid", "swap: 4 KiB were swapped out");
    seen = good();
    seen.steal_ticks = 20;
    expect(&seen, "ok", "");
    seen.steal_ticks = 21;
    expect(&seen, "invalid", "steal: other guests took 2.1 % of the time of the process, limit 2 %");
    seen.usage.ru_utime.tv_sec = 0;
    seen.steal_ticks = 2;
    expect(&seen, "ok", ""); // 2.4 %, but two ticks are rounding
}

// Five seconds of which it slept nine tenths: 40 ms of steal are nothing to what its memory is, and much to its speed.
static void test_a_sleeper_is_held_to_the_time_it_lives(void **state)
{
    (void)state;
    static CfgMetric memory[] = {{"peak_rss_kib", DIRECTION_DOWN}, {"idle_return_ms", DIRECTION_DOWN}};
    static CfgMetric speed[] = {{"peak_rss_kib", DIRECTION_DOWN}, {"ops_per_s", DIRECTION_UP}};
    Observed seen = good();
    seen.wall_s = 5;
    seen.usage.ru_utime = (struct timeval){0, 500000};
    seen.steal_ticks = 4;
    workloads[0].metrics_count = 2;
    workloads[0].metrics = memory;
    expect(&seen, "ok", "");
    seen.steal_ticks = 11;
    expect(&seen, "invalid", "steal: other guests took 2.2 % of the time of the process, limit 2 %");
    seen.steal_ticks = 4;
    workloads[0].metrics = speed;
    expect(&seen, "invalid", "steal: other guests took 7.4 % of the time of the process, limit 2 %");
    workloads[0].metrics = memory; // on several CPUs it needs more than passes
    seen.usage.ru_utime.tv_sec = 20;
    seen.steal_ticks = 30;
    expect(&seen, "ok", "");
    workloads[0].metrics_count = 0;
    workloads[0].metrics = NULL;
}

static void test_fallback(void **state)
{
    (void)state;
    Observed seen = good();
    seen.final.has_fallback = true;
    seen.final.fallback_pct = 0.1;
    expect(&seen, "ok", "");
    seen.final.fallback_pct = 0.2;
    expect(&seen, "invalid", "fallback: 0.2000 % of remote frees were local, limit 0.1 %");
    workloads[0].allow_fallback = true;
    expect(&seen, "ok", "");
    workloads[0].allow_fallback = false;
}

static RunRow block_row(const char *allocator, const char *status, const char *reason, const char *checksum)
{
    RunRow row = {0};
    row_set(&row, RUN_round, "1");
    row_set(&row, RUN_cell_id, "c");
    row_set(&row, RUN_allocator, "%s", allocator);
    row_set(&row, RUN_status, "%s", status);
    row_set(&row, RUN_invalid_reason, "%s", reason);
    row_set(&row, RUN_checksum, "%s", checksum);
    return row;
}

static void test_equal_block_stays(void **state)
{
    (void)state;
    RunRow rows[] = {block_row("a", "ok", "", "1"), block_row("b", "failed", "exit: code 1", ""),
                     block_row("c", "invalid", "proof: x", "2"), block_row("d", "invalid", "fallback: x", "2"),
                     block_row("e", "ok", "", "1")};
    assert_false(outcome_judge_block(rows, 5));
    assert_string_equal(rows[0].field[RUN_status], "ok");
}

static void test_checksums_must_agree(void **state)
{
    (void)state;
    RunRow rows[] = {block_row("a", "ok", "", "1"), block_row("b", "ok", "", "1"), block_row("c", "ok", "", "2")};
    assert_true(outcome_judge_block(rows, 3));
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(rows[i].field[RUN_status], "invalid");
        assert_string_equal(rows[i].field[RUN_invalid_reason], "block: checksum: a has 1, c has 2");
    }
    assert_false(outcome_judge_block(rows, 3)); // judging again changes nothing
}

static void test_a_disturbed_arm_costs_its_own_pairs(void **state)
{
    (void)state;
    RunRow rows[] = {block_row("a", "ok", "", "1"), block_row("b", "invalid", "steal: 9 %", "1"),
                     block_row("c", "timeout", "timeout: x", "")};
    assert_true(outcome_is_disturbed(&rows[1]));
    assert_false(outcome_is_disturbed(&rows[2]));
    assert_false(outcome_judge_block(rows, 3));
    assert_string_equal(rows[0].field[RUN_status], "ok");
}

static void test_medians(void **state)
{
    (void)state;
    double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2}, one[] = {5};
    Spread spread = spread_of(odd, 3);
    assert_true(spread.median == 2 && spread.min == 1 && spread.max == 3 && spread.n == 3);
    assert_true(spread_of(even, 4).median == 2.5);
    assert_true(spread_of(one, 1).median == 5);
    assert_int_equal(spread_of(NULL, 0).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_sample),
        cmocka_unit_test(test_processes_that_end_badly),
        cmocka_unit_test(test_disturbances),
        cmocka_unit_test(test_a_sleeper_is_held_to_the_time_it_lives),
        cmocka_unit_test(test_fallback),
        cmocka_unit_test(test_equal_block_stays),
        cmocka_unit_test(test_checksums_must_agree),
        cmocka_unit_test(test_a_disturbed_arm_costs_its_own_pairs),
        cmocka_unit_test(test_medians),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
