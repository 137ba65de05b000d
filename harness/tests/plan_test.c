#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "plan/plan.h"
#include "support.h"

static char *params_one[] = {"threads=4"};
static char *workload_params[] = {"threads=2", "iters=100"};
static char *workload_test_params[] = {"iters=1"};
static char *workload_fixed[] = {"mode=0"};
static CfgWorkload workload = {.name = "w",
                               .params = workload_params,
                               .params_count = 2,
                               .fixed = workload_fixed,
                               .fixed_count = 1,
                               .test_params = workload_test_params,
                               .test_params_count = 1,
                               .timeout_s = 5};
static CfgWorkloads workloads = {&workload, 1};
static CfgCell cells[] = {
    {.id = "one", .workload = "w", .params = params_one, .params_count = 1, .rounds = 5, .expect_s = 0.25},
    {.id = "two", .workload = "w", .rounds = 2, .expect_s = 1},
};
static CfgMatrix matrix = {.name = "m", .seed = 7, .cells = cells, .cells_count = 2};
static Config config = {.workloads = &workloads, .matrix = &matrix};
static Arm arms[] = {{.name = "a", .role = "cand"},
                     {.name = "b", .role = "ref"},
                     {.name = "c", .role = "ref"},
                     {.name = "d", .role = "ref"}};
static Experiment experiment = {.arms = arms, .arm_count = 4};

static Plan make(const Options *options)
{
    Plan plan;
    assert_true(plan_make(&config, options, &experiment, &plan));
    return plan;
}

static void test_every_combination_once_in_order(void **state)
{
    (void)state;
    const Options options = {0};
    Plan plan = make(&options);
    assert_int_equal(plan.count, (5 + 2) * 4);
    for (unsigned i = 0; i < plan.count; i++) {
        assert_int_equal(plan.rows[i].seq, i + 1);
        assert_int_equal(plan.rows[i].slot, i % 4 + 1);
        for (unsigned j = 0; j < i; j++)
            assert_false(plan_same_block(&plan.rows[i], &plan.rows[j]) &&
                         strcmp(plan.rows[i].allocator, plan.rows[j].allocator) == 0);
        if (i) assert_true(plan.rows[i].round >= plan.rows[i - 1].round);
    }
    assert_string_equal(plan.rows[0].params, "threads=4 iters=100 mode=0");
    assert_string_equal(plan.rows[4].params, "threads=2 iters=100 mode=0");
    assert_true(plan_expect_s(&plan) == 5 * 4 * 0.25 + 2 * 4 * 1);
}

static void test_a_test_makes_no_cell_larger(void **state)
{
    (void)state;
    static char *three[] = {"iters=3"};
    const Options options = {.test = true};
    Plan plan = make(&options);
    assert_string_equal(plan.rows[0].params, "threads=4 iters=1 mode=0");
    workload.test_params = three;
    cells[0].params = (char *[]){"iters=2"};
    plan = make(&options);
    assert_string_equal(plan.rows[0].params, "threads=2 iters=2 mode=0");
    assert_string_equal(plan.rows[4].params, "threads=2 iters=3 mode=0");
    workload.test_params = workload_test_params;
    cells[0].params = params_one;
}

static void test_blocks_are_adjacent_and_share_seed_and_padding(void **state)
{
    (void)state;
    const Options options = {0};
    Plan plan = make(&options);
    for (unsigned i = 0; i < plan.count; i++) {
        const PlanRow *row = &plan.rows[i], *first = &plan.rows[i - i % 4];
        assert_true(plan_same_block(row, first));
        assert_true(row->seed == first->seed);
        assert_int_equal(row->env_pad_bytes, first->env_pad_bytes);
        for (unsigned j = 0; j < i - i % 4; j++)
            assert_true(plan.rows[j].seed != row->seed);
    }
}

// ABBA: over a pair of rounds each arm stands as early as late, whatever drifts in between.
static void test_order_is_balanced_over_pairs_of_rounds(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 9; n++) {
        for (unsigned round = 0; round < 12; round += 2) {
            for (unsigned slot = 0; slot < n; slot++)
                assert_int_equal(plan_arm_of_slot(round, 3, slot, n), plan_arm_of_slot(round + 1, 3, n - 1 - slot, n));
            unsigned first = plan_arm_of_slot(round, 0, 0, n);
            assert_int_equal(plan_arm_of_slot(round + 2, 0, 0, n), (first + 1) % n);
        }
    }
}

static void test_seeds_follow_the_cell_not_the_filter(void **state)
{
    (void)state;
    const Options all = {0}, only = {.cell_regex = "^two$"}, other = {.seed_given = true, .seed = 8};
    Plan whole = make(&all), filtered = make(&only), reseeded = make(&other);
    assert_int_equal(filtered.count, 8);
    assert_string_equal(whole.rows[4].cell_id, "two");
    assert_true(filtered.rows[0].seed == whole.rows[4].seed);
    assert_string_equal(filtered.rows[0].allocator, whole.rows[4].allocator);
    assert_true(reseeded.rows[4].seed != whole.rows[4].seed);
}

static void test_rounds_of_a_count_repeat_a_seed(void **state)
{
    (void)state;
    const Options options = {0};
    matrix.confirm = workload.instructions = true;
    Plan plan = make(&options);
    matrix.confirm = workload.instructions = false;
    uint64_t seeds[] = {0, 0};
    for (unsigned i = 0; i < plan.count; i++) {
        if (strcmp(plan.rows[i].cell_id, "one") != 0) continue;
        uint64_t *seed = &seeds[plan.rows[i].round > 5];
        if (!*seed) *seed = plan.rows[i].seed;
        assert_true(plan.rows[i].seed == *seed);
    }
    assert_true(seeds[0] != seeds[1]);
}

static void test_filters_rounds_and_test_mode(void **state)
{
    (void)state;
    Options by_param = {0};
    list_add(&by_param.param_filters, "threads=2");
    assert_int_equal(make(&by_param).count, 2 * 4);
    const Options rounds = {.rounds = 1};
    assert_int_equal(make(&rounds).count, 2 * 4);
    const Options test = {.test = true};
    Plan tiny = make(&test);
    assert_int_equal(tiny.count, 2 * 4);
    assert_string_equal(tiny.rows[0].params, "threads=4 iters=1 mode=0");
}

// Rounds that may turn out unnecessary are planned; the second set comes after all of the first, with other seeds.
static void test_rule_plans_more_rounds_and_a_second_set(void **state)
{
    (void)state;
    const Options options = {0}, fixed = {.rounds = 3};
    CfgMatrix *m = &matrix;
    m->rounds_max = 4;
    m->confirm = true;
    Plan plan = make(&options);
    assert_int_equal(plan.count, 2 * (5 + 4) * 4);
    assert_int_equal(experiment_rounds(&experiment, "one")->first, 5);
    assert_int_equal(experiment_rounds(&experiment, "two")->min, 2);
    assert_int_equal(experiment_rounds(&experiment, "two")->first, 4);
    for (unsigned i = 0; i < plan.count; i++) {
        const PlanRow *row = &plan.rows[i];
        bool second = row->round > experiment_rounds(&experiment, row->cell_id)->first;
        assert_int_equal(second, i >= plan.count / 2);
        for (unsigned j = 0; j < i; j++)
            assert_true(plan_same_block(row, &plan.rows[j]) == (plan.rows[j].seed == row->seed));
    }
    assert_int_equal(make(&fixed).count, 2 * 3 * 4);
    m->rounds_max = 0;
    m->confirm = false;
}

static void test_filter_that_leaves_nothing_is_an_error(void **state)
{
    (void)state;
    const Options none = {.cell_regex = "three"};
    Plan plan;
    capture_begin();
    bool ok = plan_make(&config, &none, &experiment, &plan);
    char *said = capture_end();
    assert_false(ok);
    assert_string_equal(said, "hzb: the filters -w, -p leave no cell of the matrix, which has: one, two\n");
}

static void test_plan_survives_its_file(void **state)
{
    (void)state;
    const Options options = {0};
    Plan plan = make(&options), back;
    FILE *out = fopen(test_path("plan.csv"), "w");
    plan_write(&plan, out);
    fclose(out);
    assert_true(plan_load(test_dir(), &back));
    assert_int_equal(back.count, plan.count);
    for (unsigned i = 0; i < plan.count; i++) {
        assert_true(plan_same_block(&plan.rows[i], &back.rows[i]));
        assert_string_equal(plan.rows[i].allocator, back.rows[i].allocator);
        assert_string_equal(plan.rows[i].params, back.rows[i].params);
        assert_true(plan.rows[i].seed == back.rows[i].seed);
        assert_true(plan.rows[i].timeout_s == back.rows[i].timeout_s);
    }
    assert_true(plan_load_whole(test_dir(), &back));
    assert_int_equal(back.count, 0);
    rename(test_path("plan.csv"), test_path(PLAN_WHOLE_FILE));
    assert_true(plan_load_whole(test_dir(), &back));
    assert_int_equal(back.count, plan.count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_combination_once_in_order),
        cmocka_unit_test(test_a_test_makes_no_cell_larger),
        cmocka_unit_test(test_blocks_are_adjacent_and_share_seed_and_padding),
        cmocka_unit_test(test_order_is_balanced_over_pairs_of_rounds),
        cmocka_unit_test(test_seeds_follow_the_cell_not_the_filter),
        cmocka_unit_test(test_rounds_of_a_count_repeat_a_seed),
        cmocka_unit_test(test_filters_rounds_and_test_mode),
        cmocka_unit_test(test_rule_plans_more_rounds_and_a_second_set),
        cmocka_unit_test(test_filter_that_leaves_nothing_is_an_error),
        cmocka_unit_test(test_plan_survives_its_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
