// Instructions: read from callgrind's file, kept in the record, and judged without chance.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/callgrind.h"
#include "gate/gate.h"
#include "gate/rule.h"
#include "gate/stopping.h"
#include "process/outcome.h"
#include "support.h"

// --- the file ---

static const char counts[] = "# callgrind format\n"
                             "version: 1\n"
                             "positions: line\n"
                             "events: Ir\n"
                             "summary: 6911\n"
                             "\n"
                             "ob=/bin/program\n"
                             "fl=a.c\n"
                             "fn=main\n"
                             "0 600\n"
                             "cob=/lib/allocator.so\n"
                             "cfn=malloc\n"
                             "calls=3 59 \n"
                             "0 5000\n"
                             "cob=/lib/libc.so.6\n"
                             "cfn=clock_nanosleep@@GLIBC_2.17\n"
                             "calls=7 59 \n"
                             "0 200\n"
                             "cob=/lib/libc.so.6\n"
                             "cfn=free\n"
                             "calls=2 59 \n"
                             "0 90\n"
                             "cfn=helper\n"
                             "calls=2 59 \n"
                             "0 33\n"
                             "cob=/lib/libc.so.6\n"
                             "cfn=__libc_start_main@@GLIBC_2.34\n"
                             "calls=1 59 \n"
                             "0 6000\n"
                             "0 11\n"
                             "\n"
                             "ob=/lib/allocator.so\n"
                             "fn=malloc\n"
                             "0 4000\n"
                             "cob=/lib/libc.so.6\n"
                             "cfn=memcpy\n"
                             "calls=1 2\n"
                             "0 1000\n"
                             "\n"
                             "ob=/lib/libc.so.6\n"
                             "fn=memcpy\n"
                             "0 1000\n"
                             "fn=free\n"
                             "0 90\n"
                             "fn=clock_nanosleep\n"
                             "0 200\n"
                             "ob=???\n"
                             "fn=0x0000000000401000\n"
                             "0 300\n"
                             "totals: 6911\n";

static void test_all_but_the_program_is_counted_once(void **state)
{
    (void)state;
    test_write_text("counts", counts);
    const int64_t allocator = 4000 + 1000, c_library = 90, unnamed = 300, own = 600 + 11, sleep = 200;
    assert_int_equal(callgrind_instructions(test_path("counts"), "/bin/program"), allocator + c_library + unnamed);
    assert_int_equal(callgrind_instructions(test_path("counts"), "/bin/other"),
                     allocator + c_library + unnamed + own + sleep);
}

static void test_no_counts_are_unknown(void **state)
{
    (void)state;
    test_write_text("counts", "events: Ir\nob=/bin/program\n0 600\n");
    assert_int_equal(callgrind_instructions(test_path("counts"), "/bin/program"), -1);
    assert_int_equal(callgrind_instructions(test_path("no_such_file"), "/bin/program"), -1);
}

// --- the record ---

enum { ARMS = 2, ROUNDS_LEAST = 3, ROUNDS_MOST = 6 };

static Arm arms[ARMS] = {{.name = "base", .role = "base", .sha256 = "1"},
                         {.name = "cand", .role = "cand", .sha256 = "2"}};
static CfgMetric metrics[] = {{"instructions", DIRECTION_DOWN}};
static char counter[] = "valgrind-3.19.0";
static Workload workload = {.name = "w", .sha256 = "3", .metrics = metrics, .metrics_count = 1, .counter = counter};
static CfgGate gates[] = {{.metric = "instructions", .threshold_pct = 0.3}};
static CellRounds rounds[] = {{"one", ROUNDS_LEAST, ROUNDS_MOST, 1}};

static Experiment experiment(void)
{
    return (Experiment){.arms = arms,
                        .arm_count = ARMS,
                        .workloads = &workload,
                        .workload_count = 1,
                        .limits = {.steal_max_pct = 2, .fallback_max_pct = 0.1},
                        .rule = {.gates = gates, .gates_count = 1, .cells = rounds, .cells_count = 1}};
}

static RunRow row_of(Observed seen)
{
    const PlanRow plan = {
        .seq = 1, .cell_id = "one", .workload = "w", .params = "", .allocator = "cand", .role = "cand"};
    const Experiment whole = experiment();
    RunRow row = {0};
    outcome_fill(&whole, &plan, &seen, false, &row);
    return row;
}

static void test_nothing_of_valgrind_is_taken_for_a_figure(void **state)
{
    (void)state;
    Observed seen = {.has_final = true,
                     .final = {.ops = 1000, .work_ns = 5, .checksum = "0123456789abcdef"},
                     .peak_kib = 2048,
                     .steal_ticks = 900, // nor does the machine disturb a count
                     .usage = {.ru_majflt = 9},
                     .before = probe_none(),
                     .after = probe_none(),
                     .instructions = 31423411};
    RunRow row = row_of(seen);
    assert_string_equal(row.field[RUN_status], "ok");
    assert_string_equal(row.field[RUN_instructions], "31423411");
    assert_string_equal(row.field[RUN_ops], "1000");
    assert_null(row.field[RUN_ops_per_s]);
    assert_null(row.field[RUN_peak_rss_kib]);
    assert_null(row.field[RUN_minflt]);
    seen.instructions = -1;
    assert_string_equal(row_of(seen).field[RUN_status], "failed");
    assert_string_equal(row_of(seen).field[RUN_invalid_reason], "instructions: valgrind-3.19.0 counted none");
}

// --- the rule ---

static Results nothing_counted(void)
{
    Results results = {.experiment = experiment(), .plan = {xcalloc(ROUNDS_MOST * ARMS, sizeof(PlanRow)), 0}};
    for (unsigned i = 0; i < ROUNDS_MOST * ARMS; i++, results.plan.count++)
        results.plan.rows[i] = (PlanRow){.seq = i + 1,
                                         .round = i / ARMS + 1,
                                         .cell_id = "one",
                                         .workload = "w",
                                         .params = "",
                                         .allocator = arms[i % ARMS].name,
                                         .role = arms[i % ARMS].role};
    results.cells = plan_cells(&results.plan);
    results.runs.rows = xcalloc(results.plan.count, sizeof(RunRow));
    return results;
}

static void count_round(Results *results, double base, double cand)
{
    for (unsigned arm = 0; arm < ARMS; arm++) {
        const PlanRow *planned = &results->plan.rows[results->runs.count];
        RunRow *row = &results->runs.rows[results->runs.count++];
        row_set(row, RUN_seq, "%u", planned->seq);
        row_set(row, RUN_round, "%u", planned->round);
        row_set(row, RUN_cell_id, "%s", planned->cell_id);
        row_set(row, RUN_allocator, "%s", planned->allocator);
        row_set(row, RUN_role, "%s", planned->role);
        row_set(row, RUN_status, "ok");
        row_set(row, RUN_invalid_reason, "%s", "");
        row_set(row, RUN_instructions, "%.0f", arm == 0 ? base : cand);
    }
}

// Three rounds of each side, in thousands of instructions.
static Results counted(const double base[3], const double cand[3])
{
    Results results = nothing_counted();
    for (unsigned i = 0; i < 3; i++)
        count_round(&results, 1e3 * base[i], 1e3 * cand[i]);
    return results;
}

static Verdict verdict_of(const Results *results)
{
    const Noise none = {0};
    Comparisons list = gate_judge(results, &none);
    assert_int_equal(list.count, 1);
    Verdict verdict = list.items[0].found.verdict;
    free(list.items);
    return verdict;
}

static void test_three_runs_find_half_a_percent(void **state)
{
    (void)state;
    const double base[] = {10000, 10001, 10000}, more[] = {10050, 10051, 10050}, less[] = {9950, 9950, 9951},
                 inside[] = {10025, 10025, 10026};
    Results worse = counted(base, more), better = counted(base, less), same = counted(base, inside);
    assert_int_equal(verdict_of(&worse), VERDICT_REGRESSION);
    assert_int_equal(verdict_of(&better), VERDICT_IMPROVED);
    assert_int_equal(verdict_of(&same), VERDICT_UNCHANGED);
}

// What a busy machine adds to one run of three changes nothing.
static void test_the_least_two_runs_count(void **state)
{
    (void)state;
    const double base[] = {10090, 10000, 10001}, same[] = {10000, 10001, 10300}, more[] = {10090, 10051, 10050};
    Results unchanged = counted(base, same), worse = counted(base, more);
    assert_int_equal(verdict_of(&unchanged), VERDICT_UNCHANGED);
    assert_int_equal(verdict_of(&worse), VERDICT_REGRESSION);
}

static void test_runs_that_disagree_ask_for_another_round(void **state)
{
    (void)state;
    const double base[] = {10000, 10100, 10200}, cand[] = {10050, 10051, 10050};
    Results results = counted(base, cand);
    GateState gate = {0};
    assert_int_equal(verdict_of(&results), VERDICT_INCONCLUSIVE);
    assert_null(gate_skip_reason(&results, &gate));
    count_round(&results, 1e7, 10050e3);
    assert_int_equal(verdict_of(&results), VERDICT_REGRESSION);
    char *reason = gate_skip_reason(&results, &gate);
    assert_string_equal(reason, "gate: the interval is narrow enough");
    free(reason);
}

static void test_a_count_takes_no_part_in_the_correction(void **state)
{
    (void)state;
    const double same[] = {10000, 10000, 10000};
    const Noise none = {0};
    Results results = counted(same, same);
    Comparisons list = gate_judge(&results, &none);
    assert_false(compare_has_p(&list.items[0]));
    assert_true(isnan(list.items[0].found.p) && isnan(list.items[0].found.p_holm));
    assert_true(fabs(list.items[0].found.visible - 0.003) < 1e-9);
    free(list.items);
    capture_begin();
    gate_warn_if_blind(&results.experiment, &results.plan);
    char *said = capture_end();
    assert_string_equal(said, "");
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_but_the_program_is_counted_once),
        cmocka_unit_test(test_no_counts_are_unknown),
        cmocka_unit_test(test_nothing_of_valgrind_is_taken_for_a_figure),
        cmocka_unit_test(test_three_runs_find_half_a_percent),
        cmocka_unit_test(test_the_least_two_runs_count),
        cmocka_unit_test(test_runs_that_disagree_ask_for_another_round),
        cmocka_unit_test(test_a_count_takes_no_part_in_the_correction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
