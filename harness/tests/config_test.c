// Each test writes three YAML files with one fault and reads what hzb says about it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "config/config.h"
#include "config/config_load.h"
#include "config/experiment.h"
#include "support.h"

static const char good_allocators[] = "allocators:\n"
                                      "  - name: glibc\n"
                                      "  - name: parent\n"
                                      "    preload: /bin/true\n"
                                      "    stats_file_env: STATS\n"
                                      "    env: [A=1, B=2]\n"
                                      "  - name: child\n"
                                      "    inherits: parent\n"
                                      "    env: [B=3, C=4]\n";
static const char good_workloads[] = "workloads:\n"
                                     "  - name: w\n"
                                     "    bin: /bin/true\n"
                                     "    argv: [\"{threads}\", \"--seed={seed}\"]\n"
                                     "    params: [threads=2]\n"
                                     "    fixed: [mode=0]\n"
                                     "    metrics:\n"
                                     "      - {name: ops_per_s, direction: up}\n"
                                     "    timeout_s: 5\n";
static const char good_matrix[] = "name: m\n"
                                  "seed: 1\n"
                                  "arms:\n"
                                  "  cand: [child]\n"
                                  "  refs: [glibc]\n"
                                  "cells:\n"
                                  "  - id: one\n"
                                  "    workload: w\n"
                                  "    params: [threads=4]\n"
                                  "    rounds: 3\n"
                                  "    expect_s: 0.5\n";

static bool load(const char *allocators, const char *workloads, const char *matrix, Config *config, char **said)
{
    mkdir(test_path("matrix"), 0755);
    test_write_text("allocators.yaml", allocators);
    test_write_text("workloads.yaml", workloads);
    test_write_text("matrix/m.yaml", matrix);
    capture_begin();
    bool ok = config_load(config, NULL, test_path("matrix/m.yaml"));
    *said = capture_end();
    return ok;
}

// `from` in the good file becomes `to`; loading must fail and say `file:place: message`.
static void expect_fault(const char *file, const char *from, const char *to, const char *message)
{
    const char *names[] = {"allocators.yaml", "workloads.yaml", "matrix/m.yaml"};
    const char *texts[] = {good_allocators, good_workloads, good_matrix};
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(names[i], file) != 0) continue;
        const char *at = strstr(texts[i], from);
        assert_non_null(at);
        texts[i] = xfmt("%.*s%s%s", (int)(at - texts[i]), texts[i], to, at + strlen(from));
    }
    Config config;
    char *said, *expected = xfmt("hzb: %s/%s:%s\n", test_dir(), file, message);
    assert_false(load(texts[0], texts[1], texts[2], &config, &said));
    assert_string_equal(said, expected);
}

static void test_good_files_load(void **state)
{
    (void)state;
    Config config;
    char *said;
    assert_true(load(good_allocators, good_workloads, good_matrix, &config, &said));
    assert_string_equal(said, "");
    assert_int_equal(config.matrix->cells[0].rounds, 3);
    assert_true(config.matrix->cells[0].expect_s == 0.5);
    assert_int_equal(config.workloads->workloads[0].metrics[0].direction, DIRECTION_UP);
    config_free(&config);
    assert_null(config.matrix);
}

static void test_unknown_key_is_named_with_its_place(void **state)
{
    (void)state;
    expect_fault("allocators.yaml", "preload: /bin/true", "prelod: /bin/true",
                 "4:5: unknown key 'prelod', expected one of: name, inherits, preload, stats_file_env, "
                 "build_defs, env, optional");
    expect_fault("matrix/m.yaml",
                 "  refs:", "  reffs:", "5:3: unknown key 'reffs', expected one of: base, cand, refs, aa");
    expect_fault(
        "matrix/m.yaml", "seed: 1", "sed: 1",
        "2:1: unknown key 'sed', expected one of: name, seed, arms, sample_ms, mem_guard_pct, steal_max_pct, probe, "
        "gates, rounds_max, budget_s, confirm, known, derived, claims, ranking, cells");
}

static void test_wrong_types_are_named_with_their_place(void **state)
{
    (void)state;
    expect_fault("matrix/m.yaml", "rounds: 3", "rounds: three", "10:13: Invalid uint64_t value: 'three' (in 'rounds')");
    expect_fault("workloads.yaml", "direction: up", "direction: sideways",
                 "8:38: Invalid ENUM value: sideways (in 'direction')");
    expect_fault("workloads.yaml", "    timeout_s: 5\n", "", "2:5: key 'timeout_s' is missing here");
    expect_fault("workloads.yaml", ", direction: up", "", "8:9: key 'direction' is missing here");
    expect_fault("matrix/m.yaml", "seed: 1\n", "", "1:1: key 'seed' is missing here");
}

static void test_what_is_not_yaml_is_named_with_its_place(void **state)
{
    (void)state;
    expect_fault("workloads.yaml", "    fixed:", "\tfixed:", "6:1: found character that cannot start any token");
}

static void test_names_must_exist_and_be_unique(void **state)
{
    (void)state;
    expect_fault("allocators.yaml", "inherits: parent", "inherits: uncle",
                 "8:15: allocator 'child' inherits 'uncle': no allocator of that name");
    expect_fault("allocators.yaml", "name: parent\n", "name: parent\n    inherits: child\n",
                 "4:15: allocator 'parent' inherits 'child': the chain is circular or too long");
    expect_fault("allocators.yaml", "name: child", "name: glibc", "2:11: allocator 'glibc' is there twice");
    expect_fault("matrix/m.yaml", "[glibc]", "[gilbc]",
                 "5:10: arm 'gilbc': no allocator of that name in "
                 "allocators.yaml");
    expect_fault("matrix/m.yaml", "[glibc]", "[child]", "4:10: arm 'child': is there twice");
    expect_fault("matrix/m.yaml", "[glibc]", "[glibc]\n  aa: [child, child]", "4:10: arm 'child': is there twice");
    expect_fault("matrix/m.yaml", "seed: 1", "seed: 1\nsample_ms: 60001", "3:1: sample_ms 60001: expected 1..60000");
    expect_fault("matrix/m.yaml", "workload: w", "workload: v",
                 "8:15: workload 'v' of cell 'one': not in "
                 "workloads.yaml");
}

static void test_settings_must_fit_the_workload(void **state)
{
    (void)state;
    expect_fault("matrix/m.yaml", "threads=4", "treads=4",
                 "9:14: 'treads=4' in one: workload 'w' has no such parameter");
    expect_fault("matrix/m.yaml", "threads=4", "mode=1",
                 "9:14: 'mode=1' in one: workload 'w' keeps that parameter fixed");
    expect_fault("matrix/m.yaml", "threads=4", "threads", "9:14: 'threads': expected key=value without blanks");
    expect_fault("workloads.yaml", "{threads}", "{treads}",
                 "4:12: argv '{treads}' of workload 'w': expected {seed} or {name} of a param");
    expect_fault("workloads.yaml", "ops_per_s", "ops_per_hour",
                 "8:16: metric 'ops_per_hour' of workload 'w': expected a column of runs.csv");
    expect_fault(
        "workloads.yaml", "ops_per_s", "instructions",
        "8:16: metric 'instructions' of workload 'w': expected instructions alone with 'instructions: true', and"
        " not without it");
    expect_fault("workloads.yaml", "timeout_s: 5", "timeout_s: 5\n    instructions: true",
                 "8:16: metric 'ops_per_s' of workload 'w': expected instructions alone with 'instructions: true', and"
                 " not without it");
    expect_fault("allocators.yaml", "A=1", "LD_PRELOAD=x.so",
                 "6:11: env 'LD_PRELOAD=x.so' of allocator 'parent': hzb sets this one itself");
}

static void test_instructions_are_counted_with_one_thread_alone(void **state)
{
    (void)state;
    static const char counted[] = "workloads:\n"
                                  "  - name: w\n"
                                  "    bin: /bin/true\n"
                                  "    argv: [\"{threads}\"]\n"
                                  "    params: [threads=1]\n"
                                  "    metrics: [{name: instructions, direction: down}]\n"
                                  "    instructions: true\n"
                                  "    timeout_s: 5\n";
    Config config;
    char *said, *expected = xfmt("hzb: %s/matrix/m.yaml:7:9: cell 'one': threads=4, expected 1 as workload 'w' counts"
                                 " instructions\n",
                                 test_dir());
    assert_false(load(good_allocators, counted, good_matrix, &config, &said));
    assert_string_equal(said, expected);
}

static void test_values_must_be_in_range(void **state)
{
    (void)state;
    expect_fault("matrix/m.yaml", "rounds: 3", "rounds: 0",
                 "7:9: cell 'one': rounds 0, expect_s 0.5: expected 1..10000 rounds and a time above 0, "
                 "at most 1e+07");
    expect_fault("workloads.yaml", "timeout_s: 5", "timeout_s: 0",
                 "2:11: timeout_s 0 of workload 'w': expected more than 0, at most 1e+07");
    expect_fault("workloads.yaml", "timeout_s: 5", "timeout_s: inf",
                 "2:11: timeout_s inf of workload 'w': expected more than 0, at most 1e+07");
    expect_fault("matrix/m.yaml", "expect_s: 0.5", "expect_s: 1e30",
                 "7:9: cell 'one': rounds 3, expect_s 1e+30: expected 1..10000 rounds and a time above 0, "
                 "at most 1e+07");
    expect_fault("matrix/m.yaml", "seed: 1\n", "seed: 1\nsteal_max_pct: 101\n",
                 "3:1: steal_max_pct 101: expected 0..100");
    expect_fault("matrix/m.yaml", "id: one", "id: ../one",
                 "7:9: cell '../one': expected letters, digits, '_', '.', '-'");
}

static void test_numbers_and_booleans_are_taken_whole(void **state)
{
    (void)state;
    static const char seed[] = "seed: 1\n", rounds[] = "rounds: 3";
    expect_fault("matrix/m.yaml", rounds, "rounds: 1.5", "10:13: rounds '1.5': expected a whole number");
    expect_fault("matrix/m.yaml", rounds, "rounds: 1e3", "10:13: rounds '1e3': expected a whole number");
    expect_fault("matrix/m.yaml", rounds, "rounds: 010", "10:13: rounds '010': expected a whole number");
    expect_fault("matrix/m.yaml", seed, "seed: -1\n", "2:7: seed '-1': expected a whole number");
    expect_fault("matrix/m.yaml", seed, "seed: 1\nbudget_s: 3h\n", "3:11: budget_s '3h': expected a number");
    expect_fault("matrix/m.yaml", seed, "seed: 1\nconfirm: flase\n", "3:10: confirm 'flase': expected true or false");
    expect_fault("workloads.yaml", "timeout_s: 5", "timeout_s: 2min", "9:16: timeout_s '2min': expected a number");
    expect_fault("allocators.yaml", "inherits: parent", "inherits: parent\n    optional: n",
                 "9:15: optional 'n': expected true or false");
    Config config;
    char *said;
    assert_true(load(good_allocators, good_workloads, xfmt("sample_ms: 0\n%s", good_matrix), &config, &said));
    config_free(&config);
}

static void test_gates_are_checked_with_their_place(void **state)
{
    (void)state;
    static const char cells[] = "cells:\n", arms[] = "arms:\n";
    expect_fault("matrix/m.yaml", cells, "gates: [{metric: ops_per_s, threshold_pct: 3}]\ncells:\n",
                 "6:1: expected a base among the arms");
    expect_fault("matrix/m.yaml", arms, "gates: [{metric: speed, threshold_pct: 3}]\narms:\n",
                 "3:18: gate 'speed': expected a column of runs.csv");
    expect_fault("matrix/m.yaml", arms, "gates: [{metric: ops_per_s}]\narms:\n",
                 "3:18: gate 'ops_per_s': expected either threshold_pct above 0 and below 100, or exact: true");
    expect_fault("matrix/m.yaml", cells, "gates: [{metric: ops_per_s, treshold_pct: 3}]\ncells:\n",
                 "6:29: unknown key 'treshold_pct', expected one of: metric, threshold_pct, exact");
    expect_fault("matrix/m.yaml", cells, "gates: [{metric: ops_per_s, threshold_pct: lots}]\ncells:\n",
                 "6:44: Invalid FLOAT value: lots (in 'threshold_pct')");
    expect_fault("matrix/m.yaml", arms, "gates: [{metric: post_rss_kib, threshold_pct: 3}]\narms:\n",
                 "3:18: gate 'post_rss_kib': no cell's workload has this metric");
    expect_fault("matrix/m.yaml", arms, "gates: [{metric: post_rss_kib, exact: true}]\narms:\n",
                 "3:1: expected a base among the arms");
    expect_fault("matrix/m.yaml", cells, "  base: [parent]\nbudget_s: inf\ncells:\n",
                 "1:1: expected a budget_s of 0 or more, at most 1e+07");
    expect_fault("matrix/m.yaml", cells,
                 "  base: [parent]\ngates: [{metric: ops_per_s, threshold_pct: 3}]\nrounds_max: 1\ncells:\n",
                 "7:1: expected rounds_max of at least the rounds of each cell");
    expect_fault("matrix/m.yaml", cells, "confirm: true\ncells:\n",
                 "1:1: expected gates, which rounds_max, budget_s and confirm are about");
    expect_fault("allocators.yaml", "preload: /bin/true", "preload: /bin/true\n    build_defs: -DX=1",
                 "5:17: allocator 'parent': expected build_defs or preload, not both");
}

static void expect_known_fault(const char *entries, const char *message)
{
    expect_fault("matrix/m.yaml", "arms:\n",
                 xfmt("gates: [{metric: ops_per_s, threshold_pct: 3}]\nknown:\n%sarms:\n  base: [parent]\n", entries),
                 message);
}

static void test_what_is_known_is_checked_with_its_place(void **state)
{
    (void)state;
    static const char entry[] = "  - {cell: one, metric: ops_per_s, until: 2027-01-31, why: the new locks}\n";
    expect_known_fault("  - {cell: two, metric: ops_per_s, until: 2027-01-31, why: x}\n",
                       "5:12: known 'two': no cell of that id");
    expect_known_fault("  - {cell: one, metric: peak_rss_kib, until: 2027-01-31, why: x}\n",
                       "5:25: known 'peak_rss_kib': no gate of that metric");
    expect_known_fault("  - {cell: one, metric: ops_per_s, arm: parent, until: 2027-01-31, why: x}\n",
                       "5:41: known 'parent': no candidate of that name");
    expect_known_fault("  - {cell: one, metric: ops_per_s, until: 2027-02-29, why: x}\n",
                       "5:43: known '2027-02-29': expected a day, YYYY-MM-DD");
    expect_known_fault("  - {cell: one, metric: ops_per_s, until: soon, why: x}\n",
                       "5:43: known 'soon': expected a day, YYYY-MM-DD");
    expect_known_fault("  - {cell: one, metric: ops_per_s, until: 2027-2-03, why: x}\n",
                       "5:43: known '2027-2-03': expected a day, YYYY-MM-DD");
    expect_known_fault("  - {cell: one, metric: ops_per_s, until: 2027-01-31}\n", "5:5: key 'why' is missing here");
    expect_known_fault(xfmt("%s%s", entry, entry), "5:12: known 'one': this metric is there twice");
}

static void test_empty_and_missing_files(void **state)
{
    (void)state;
    Config config;
    char *said;
    assert_false(load("", good_workloads, good_matrix, &config, &said));
    assert_string_equal(said, xfmt("hzb: %s/allocators.yaml: is empty, expected a key 'allocators'\n", test_dir()));
    config_free(&config);
    assert_false(load("glibc\n", good_workloads, good_matrix, &config, &said)); // libcyaml tells no place here
    assert_string_equal(
        said, xfmt("hzb: %s/allocators.yaml:1:1: Expecting MAPPING, got event: SCALAR (in 'document')\n", test_dir()));
    config_free(&config);
    capture_begin();
    assert_false(config_load(&config, NULL, test_path("matrix/none.yaml")));
    said = capture_end();
    assert_string_equal(said, xfmt("hzb: %s/matrix/none.yaml: No such file or directory\n", test_dir()));
}

static void test_variant_takes_over_and_overrides(void **state)
{
    (void)state;
    Config config;
    Options options = {0};
    Arm arm;
    char *said;
    assert_true(load(good_allocators, good_workloads, good_matrix, &config, &said));
    assert_true(arm_resolve(&config, &options, config_allocator(&config, "child"), &arm));
    assert_string_equal(arm.name, "child");
    assert_non_null(strstr(arm.preload, "/true"));
    assert_string_equal(arm.stats_file_env, "STATS");
    assert_int_equal(arm.env.count, 3);
    assert_string_equal(pairs_find(&arm.env, "A"), "1");
    assert_string_equal(pairs_find(&arm.env, "B"), "3");
    assert_string_equal(pairs_find(&arm.env, "C"), "4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_files_load),
        cmocka_unit_test(test_unknown_key_is_named_with_its_place),
        cmocka_unit_test(test_wrong_types_are_named_with_their_place),
        cmocka_unit_test(test_what_is_not_yaml_is_named_with_its_place),
        cmocka_unit_test(test_names_must_exist_and_be_unique),
        cmocka_unit_test(test_settings_must_fit_the_workload),
        cmocka_unit_test(test_instructions_are_counted_with_one_thread_alone),
        cmocka_unit_test(test_values_must_be_in_range),
        cmocka_unit_test(test_numbers_and_booleans_are_taken_whole),
        cmocka_unit_test(test_gates_are_checked_with_their_place),
        cmocka_unit_test(test_what_is_known_is_checked_with_its_place),
        cmocka_unit_test(test_empty_and_missing_files),
        cmocka_unit_test(test_variant_takes_over_and_overrides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
