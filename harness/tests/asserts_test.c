// A caller that breaks its promise ends hzb before a wrong figure is written; the build as it is made keeps that.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate/finding.h"
#include "plan/plan.h"
#include "process/outcome.h"
#include "stats/spread.h"
#include "stats/stats.h"

static void median_of_nothing(void)
{
    stats_median((double[]){1}, 0);
}

static void median_with_a_nan(void)
{
    stats_median((double[]){1, NAN, 2}, 3);
}

static void spread_with_infinity(void)
{
    spread_of((double[]){1, INFINITY}, 2);
}

static void quantile_of_unsorted_values(void)
{
    stats_quantile((double[]){2, 1}, 2, 0.5);
}

static void adjustment_of_what_is_no_p(void)
{
    stats_holm((double[]){0.1, 1.5}, 2);
}

static void slot_beyond_the_arms(void)
{
    plan_arm_of_slot(0, 0, 3, 3);
}

static void block_of_two_cells(void)
{
    RunRow rows[2] = {0};
    for (unsigned i = 0; i < 2; i++) {
        row_set(&rows[i], RUN_round, "1");
        row_set(&rows[i], RUN_cell_id, "cell_%u", i);
        row_set(&rows[i], RUN_status, "ok");
        row_set(&rows[i], RUN_checksum, "1");
    }
    outcome_judge_block(rows, 2);
}

static void number_that_no_finding_has(void)
{
    const Finding finding = {0};
    finding_number(&finding, FINDING_NUMBERS);
}

static void expect_abort(void (*broken)(void))
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL); // cmocka has a handler of its own
        assert_non_null(freopen("/dev/null", "w", stderr));
        broken();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_statistics(void **state)
{
    (void)state;
    expect_abort(median_of_nothing);
    expect_abort(median_with_a_nan);
    expect_abort(spread_with_infinity);
    expect_abort(quantile_of_unsorted_values);
    expect_abort(adjustment_of_what_is_no_p);
}

static void test_plan(void **state)
{
    (void)state;
    expect_abort(slot_beyond_the_arms);
}

static void test_record_and_gate(void **state)
{
    (void)state;
    expect_abort(block_of_two_cells);
    expect_abort(number_that_no_finding_has);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_record_and_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
