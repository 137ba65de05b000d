// Rulings and the end of the rounds, over records made here: what no process can be told to do in time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate/gate.h"
#include "gate/stopping.h"
#include "support.h"

enum { ARMS = 3, ROUNDS_LEAST = 6, ROUNDS_MOST = 12 };

static Arm arms[ARMS] = {
    {.name = "base", .role = "base", .sha256 = "1"},
    {.name = "cand", .role = "cand", .sha256 = "2"},
    {.name = "aa:base", .role = "aa", .sha256 = "1"},
};
static CfgMetric metrics[] = {{"ops_per_s", DIRECTION_UP}};
static Workload workload = {.name = "w", .metrics = metrics, .metrics_count = 1};
static CfgGate gates[] = {{.metric = "ops_per_s", .threshold_pct = 3}};
static CellRounds rounds[] = {{"one", ROUNDS_LEAST, ROUNDS_MOST, 1}, {"two", ROUNDS_LEAST, ROUNDS_MOST, 1}};
static const char steal[] = "steal: 9.0 % of CPU time went to other guests";

static Plan plan_of(unsigned cells)
{
    Plan plan = {xcalloc(ROUNDS_MOST * cells * ARMS, sizeof(PlanRow)), 0};
    for (unsigned i = 0; i < ROUNDS_MOST * cells * ARMS; i++, plan.count++)
        plan.rows[i] = (PlanRow){.seq = i + 1,
                                 .round = i / ARMS / cells + 1,
                                 .cell_id = rounds[i / ARMS % cells].cell_id,
                                 .workload = "w",
                                 .params = "",
                                 .allocator = arms[i % ARMS].name,
                                 .role = arms[i % ARMS].role};
    return plan;
}

// Cell "one" of a matrix of two cells, nothing measured yet.
static Results nothing_measured(void)
{
    Results results = {.experiment = {.arms = arms,
                                      .arm_count = ARMS,
                                      .workloads = &workload,
                                      .workload_count = 1,
                                      .rule = {.gates = gates, .gates_count = 1, .cells = rounds, .cells_count = 2}},
                       .plan = plan_of(1)};
    results.cells = plan_cells(&results.plan);
    results.runs.rows = xcalloc(results.plan.count, sizeof(RunRow));
    return results;
}

// What becomes of the sample that is next in the plan; 0: no value.
static void record(Results *results, const char *status, const char *reason, double ops_per_s)
{
    const PlanRow *planned = &results->plan.rows[results->runs.count];
    RunRow *row = &results->runs.rows[results->runs.count++];
    row_set(row, RUN_seq, "%u", planned->seq);
    row_set(row, RUN_round, "%u", planned->round);
    row_set(row, RUN_cell_id, "%s", planned->cell_id);
    row_set(row, RUN_allocator, "%s", planned->allocator);
    row_set(row, RUN_role, "%s", planned->role);
    row_set(row, RUN_status, "%s", status);
    row_set(row, RUN_invalid_reason, "%s", reason);
    row_set(row, RUN_wall_s, "%g", 1.0);
    if (ops_per_s > 0) row_set(row, RUN_ops_per_s, "%g", ops_per_s);
}

static void record_round(Results *results, double base, double cand)
{
    record(results, "ok", "", base);
    record(results, "ok", "", cand);
    record(results, "ok", "", base);
}

// Slower by about the threshold, to within a percent: narrow, but no answer by itself.
static void record_slow_rounds(Results *results, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        record_round(results, 1000, 970 - i % 3);
}

static Comparison judged(const Results *results)
{
    const Noise noise = {0};
    Comparisons list = gate_judge(results, &noise);
    assert_string_equal(list.items[0].cand->name, "cand");
    Comparison first = list.items[0];
    free(list.items);
    return first;
}

static void expect_skip(const Results *results, GateState *state, const char *expected)
{
    char *reason = gate_skip_reason(results, state);
    if (expected) assert_non_null(reason);
    if (expected) assert_string_equal(reason, expected);
    if (!expected) assert_null(reason);
    free(reason);
}

static const char narrow[] = "gate: the interval is narrow enough";

static void test_a_value_that_the_base_lacks_is_no_failure(void **state)
{
    (void)state;
    Results results = nothing_measured();
    const Noise noise = {0};
    GateState gate = {0};
    for (unsigned i = 0; i < ROUNDS_LEAST; i++)
        record_round(&results, 0, 1000);
    assert_int_equal(judged(&results).found.verdict, VERDICT_INCONCLUSIVE);
    Comparisons list = gate_judge(&results, &noise);
    assert_int_equal(gate_overall(&results, &list), OVERALL_INCONCLUSIVE);
    expect_skip(&results, &gate, narrow);
}

static void test_rounds_that_the_machine_spoilt_are_no_answer(void **state)
{
    (void)state;
    Results disturbed = nothing_measured(), crashed = nothing_measured();
    GateState gate = {0};
    for (unsigned i = 0; i < ROUNDS_LEAST * ARMS; i++) {
        record(&disturbed, "invalid", steal, 1000);
        record(&crashed, i % ARMS == 1 ? "signal" : "ok", "", 1000);
    }
    assert_int_equal(judged(&disturbed).found.verdict, VERDICT_INCONCLUSIVE);
    expect_skip(&disturbed, &gate, NULL);
    assert_int_equal(judged(&crashed).found.verdict, VERDICT_FAILED);
    expect_skip(&crashed, &gate, narrow);
}

static void test_an_interval_takes_six_rounds(void **state)
{
    (void)state;
    Results results = nothing_measured();
    record_slow_rounds(&results, 5);
    assert_true(!isnan(judged(&results).d));
    assert_true(isnan(judged(&results).d_lo) && isnan(judged(&results).d_hi));
    record_slow_rounds(&results, 1);
    assert_true(!isnan(judged(&results).d_lo) && !isnan(judged(&results).d_hi));
}

static unsigned compared_aa(const Results *results)
{
    const Noise noise = {0};
    Comparisons list = gate_judge(results, &noise);
    unsigned count = 0;
    for (unsigned i = 0; i < list.count; i++)
        count += strcmp(list.items[i].cand->role, "aa") == 0;
    free(list.items);
    return count;
}

static void test_aa_is_compared_with_its_own_library_alone(void **state)
{
    (void)state;
    Results results = nothing_measured();
    record_slow_rounds(&results, 1);
    assert_int_equal(compared_aa(&results), 1);
    arms[2].sha256 = "3";
    assert_int_equal(compared_aa(&results), 0);
    arms[2].sha256 = NULL;
    assert_int_equal(compared_aa(&results), 0);
    arms[2].sha256 = "1";
}

// A slice stops when its figures can be flagged among those of all slices.
static void test_a_slice_counts_the_comparisons_of_all(void **state)
{
    (void)state;
    Results results = nothing_measured();
    Plan whole = plan_of(2);
    GateState alone = {0}, slice = {.whole = &whole};
    record_slow_rounds(&results, 6); // the least p of six rounds is 1/32
    expect_skip(&results, &alone, narrow);
    expect_skip(&results, &slice, NULL);
    record_slow_rounds(&results, 1);
    expect_skip(&results, &slice, narrow);
}

// Those of the block that is decided do not count, for a resumed sweep finds them there and the first one did not.
static void test_attempts_that_were_made_again_cost_budget(void **state)
{
    (void)state;
    Results results = nothing_measured();
    RunRow attempt = {0};
    const RunRows rejected = {&attempt, 1};
    GateState gate = {.rejected = &rejected};
    results.experiment.rule.budget_s = 30;
    for (unsigned i = 0; i < ROUNDS_LEAST; i++)
        record_round(&results, 1000, i % 2 ? 500 : 1000); // 18 s, and wide
    row_set(&attempt, RUN_wall_s, "%g", 20.0);
    row_set(&attempt, RUN_seq, "%u", ROUNDS_LEAST * ARMS + 1);
    expect_skip(&results, &gate, NULL);
    row_set(&attempt, RUN_seq, "%u", ROUNDS_LEAST * ARMS);
    expect_skip(&results, &gate, "gate: the budget of 30 s is spent");
}

// A folder beside the others, its A/A arm 10 % off.
static void make_folder(const char *name, const char *created_utc)
{
    mkdir(test_path(name), 0755);
    test_write_text(xfmt("%s/manifest.json", name),
                    xfmt("{\"created_utc\": \"%s\", \"host\": {\"machine_id\": \"m\"},"
                         " \"allocators\": [{\"name\": \"aa:base\", \"role\": \"aa\"}]}",
                         created_utc));
    test_write_text(xfmt("%s/plan.csv", name), "");
    test_write_text(xfmt("%s/stats.csv", name),
                    "cell_id,workload,params,metric,direction,base,cand,n,base_median,cand_median,ratio,ci_lo,ci_hi,p,"
                    "p_holm,threshold,verdict\none,w,,ops_per_s,up,base,aa:base,12,10,11,1.1,,,,,,\n");
}

static double noise_of(const char *name)
{
    const PlanRow cell = {.cell_id = "one", .params = ""};
    Noise noise;
    noise_load(test_path(name), &noise);
    return noise_p95(&noise, &cell, "ops_per_s");
}

// By their time; a merged folder has any name.
static void test_noise_is_of_the_folders_before(void **state)
{
    (void)state;
    make_folder("merged", "2026-01-01T00:00:00Z");
    make_folder("merged_old", "2026-01-02T00:00:00Z");
    make_folder("20260103T000000Z_h_c_m", "2026-01-03T00:00:00Z");
    make_folder("20260104T000000Z_h_c_m", "2026-01-04T00:00:00Z");
    make_folder("20260105T000000Z_h_c_m", "2026-01-05T00:00:00Z");
    make_folder("20260106T000000Z_h_c_m", "2026-01-06T00:00:00Z");
    assert_true(fabs(noise_of("20260106T000000Z_h_c_m") - 0.1) < 1e-9);
    assert_true(isnan(noise_of("20260105T000000Z_h_c_m")));
    unlink(test_path("merged/stats.csv"));
    assert_int_equal(symlink("merged_old", test_path("latest")), 0);
    assert_true(isnan(noise_of("20260106T000000Z_h_c_m")));
    make_folder("slice", "2026-01-01T00:00:00Z");
    test_write_text("slice/" PLAN_WHOLE_FILE, "");
    assert_true(isnan(noise_of("20260106T000000Z_h_c_m")));
}

// --- the rule at its limit of 3 % ---

// Rounds whose candidates are so much slower, in per mille of the base, by turns.
static Results rounds_of(unsigned count, unsigned slower, unsigned slower_too)
{
    Results results = nothing_measured();
    for (unsigned i = 0; i < count; i++)
        record_round(&results, 100000, 100000 - 100 * (i % 2 ? slower_too : slower) - i);
    return results;
}

static void test_a_limit_is_a_limit(void **state)
{
    (void)state;
    Results within = rounds_of(12, 14, 33), beyond = rounds_of(12, 28, 41), better = rounds_of(12, 0, 0);
    Comparison c = judged(&within);
    assert_true(c.d_lo < -log1p(0.03) && c.d_hi < 0 && c.found.p_holm < 0.05); // what was a regression once
    assert_int_equal(c.found.verdict, VERDICT_INCONCLUSIVE);
    c = judged(&beyond);
    assert_true(c.d_hi > -log1p(0.03) && c.d_hi < 0);
    assert_int_equal(c.found.verdict, VERDICT_REGRESSION);
    assert_int_equal(judged(&better).found.verdict, VERDICT_UNCHANGED);
}

static void test_rounds_go_on_while_it_can_be_decided(void **state)
{
    (void)state;
    Results undecided = rounds_of(8, 21, 33), open = rounds_of(8, 0, 0);
    GateState gate = {0};
    Comparison c = judged(&undecided);
    assert_true(c.d_hi - c.d_lo <= log1p(0.03)); // narrow enough, but for which side of the limit it lies on
    assert_int_equal(c.found.verdict, VERDICT_INCONCLUSIVE);
    expect_skip(&undecided, &gate, NULL);
    expect_skip(&open, &gate, narrow);
}

static void test_the_least_visible_change_shrinks_with_the_rounds(void **state)
{
    (void)state;
    Results few = rounds_of(6, 0, 40), many = rounds_of(12, 0, 40), too_few = rounds_of(5, 0, 40);
    double of_few = judged(&few).found.visible, of_many = judged(&many).found.visible;
    assert_true(of_few > of_many && of_many > 0.03);
    assert_true(isnan(judged(&too_few).found.visible));
}

static Overall overall_of(const Results *results)
{
    const Noise noise = {0};
    Comparisons list = gate_judge(results, &noise);
    Overall overall = gate_overall(results, &list);
    free(list.items);
    return overall;
}

static bool is_blind(const Results *results)
{
    const Noise noise = {0};
    Comparisons list = gate_judge(results, &noise);
    bool blind = gate_is_blind(results, &list);
    free(list.items);
    return blind;
}

static void test_only_what_is_asked_can_fail_the_gate(void **state)
{
    (void)state;
    Results results = rounds_of(12, 0, 0);
    assert_int_equal(overall_of(&results), OVERALL_CLEAN);
    row_set(&results.runs.rows[2], RUN_status, "signal"); // of the A/A arm
    assert_int_equal(overall_of(&results), OVERALL_CLEAN);
    row_set(&results.runs.rows[0], RUN_status, "signal"); // of the base
    assert_int_equal(overall_of(&results), OVERALL_FAILED);
}

static void test_a_blind_gate_knows_it(void **state)
{
    (void)state;
    Results clean = rounds_of(12, 0, 0), cut = rounds_of(11, 0, 0), wide = rounds_of(12, 0, 50);
    assert_false(is_blind(&clean));
    assert_true(is_blind(&cut));
    assert_int_equal(judged(&wide).found.verdict, VERDICT_INCONCLUSIVE);
    assert_true(is_blind(&wide));
}

static void test_references_run_in_the_least_rounds_alone(void **state)
{
    (void)state;
    const Experiment experiment = nothing_measured().experiment;
    PlanRow row = {.cell_id = "one", .allocator = "cand", .role = "ref", .round = ROUNDS_LEAST};
    assert_null(gate_arm_skip_reason(&experiment, &row));
    row.round++;
    assert_string_equal(gate_arm_skip_reason(&experiment, &row), "gate: more rounds are for what is gated");
    row.role = "aa";
    assert_null(gate_arm_skip_reason(&experiment, &row));
    row.role = "cand";
    assert_null(gate_arm_skip_reason(&experiment, &row));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_value_that_the_base_lacks_is_no_failure),
        cmocka_unit_test(test_rounds_that_the_machine_spoilt_are_no_answer),
        cmocka_unit_test(test_an_interval_takes_six_rounds),
        cmocka_unit_test(test_aa_is_compared_with_its_own_library_alone),
        cmocka_unit_test(test_a_slice_counts_the_comparisons_of_all),
        cmocka_unit_test(test_attempts_that_were_made_again_cost_budget),
        cmocka_unit_test(test_noise_is_of_the_folders_before),
        cmocka_unit_test(test_a_limit_is_a_limit),
        cmocka_unit_test(test_rounds_go_on_while_it_can_be_decided),
        cmocka_unit_test(test_the_least_visible_change_shrinks_with_the_rounds),
        cmocka_unit_test(test_only_what_is_asked_can_fail_the_gate),
        cmocka_unit_test(test_a_blind_gate_knows_it),
        cmocka_unit_test(test_references_run_in_the_least_rounds_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
