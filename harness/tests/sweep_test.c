// A sweep over a machine whose modes are told by this test: what is measured again, what is kept, and the exit code.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/util.h"
#include "commands/cli.h"
#include "process/probe.h"
#include "record/manifest.h"
#include "record/record.h"
#include "support.h"

// --- the machine ---

// What the probes of one process say, before and after it.
typedef struct Told {
    double before, after;
} Told;

static const Told *told;
static unsigned told_count, processes;

// Processes beyond those that are told of run on a machine of one mode.
static Told now(void)
{
    return processes < told_count ? told[processes] : (Told){100, 100};
}

// The linker puts these in the place of the probe's own functions (harness.mk).
Probe __wrap_probe_recent(unsigned max_age_ms);
Probe __wrap_probe_recent(unsigned max_age_ms)
{
    const bool is_before = max_age_ms > 0; // after a process a new one is asked for
    Probe probe = {.pp_ns = is_before ? now().before : now().after, .cpu_ns = 1, .mem_ns = 1};
    processes += !is_before;
    return probe;
}

// A millisecond a process, of which one is left out.
ProbeCost __wrap_probe_cost(void);
ProbeCost __wrap_probe_cost(void)
{
    return (ProbeCost){.made = processes, .left_out = processes > 0, .spent_ns = processes * UINT64_C(1000000)};
}

// --- the sweep ---

static const char allocators[] = "allocators:\n"
                                 "  - {name: plain}\n"
                                 "  - {name: a, preload: \"{build}/tests/libhzbfake_a.so\"}\n";
static const char workloads[] = "workloads:\n"
                                "  - name: fake\n"
                                "    bin: \"{build}/tests/hzb_fake_workload\"\n"
                                "    argv: [\"{ms}\", \"{seed}\"]\n"
                                "    params: [ms=1, unused=]\n"
                                "    metrics: [{name: ops_per_s, direction: up}]\n"
                                "    timeout_s: 60\n";
static const char matrix[] = "name: m\n"
                             "seed: 1\n"
                             "steal_max_pct: 100\n"
                             "arms: {cand: [a], refs: [plain]}\n"
                             "cells:\n"
                             "  - {id: one, workload: fake, rounds: %u, expect_s: 0.1}\n";

static const char *results_dir(void)
{
    return test_path("results");
}

static char *latest(void)
{
    return xfmt("%s/latest", results_dir());
}

static void write_matrix(unsigned rounds)
{
    char *text = xfmt(matrix, rounds);
    test_write_text("conf/matrix/m.yaml", text);
    free(text);
}

// Each test begins without a history of the machine.
static int set_up(void **state)
{
    (void)state;
    const char *const folders[] = {"conf", "conf/matrix", "results"};
    folder_remove(results_dir());
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        assert_true(mkdir(test_path(folders[i]), 0755) == 0 || errno == EEXIST);
    test_write_text("conf/allocators.yaml", allocators);
    test_write_text("conf/workloads.yaml", workloads);
    write_matrix(2);
    told_count = processes = 0;
    return 0;
}

static char *build_dir(void)
{
    const char *build = getenv("BUILD");
    return xstrdup(build ? build : "build");
}

static int hzb(const char *command, const char *target)
{
    char *argv[] = {"hzb", (char *)command, (char *)target, "--lock", test_path("lock"), NULL};
    return cli_main(5, argv);
}

static int run_told(const Told *tell, unsigned count)
{
    char *argv[] = {"hzb",
                    "run",
                    test_path("conf/matrix/m.yaml"),
                    "-o",
                    (char *)results_dir(),
                    "--build",
                    build_dir(),
                    "--lock",
                    test_path("lock"),
                    NULL};
    told = tell;
    told_count = count;
    return cli_main(9, argv);
}

static RunRows rows_of(const char *file)
{
    RunRows rows;
    char *dir = latest();
    assert_true(strcmp(file, "runs.csv") == 0 ? runs_load(dir, &rows) : rejected_load(dir, &rows));
    free(dir);
    return rows;
}

// As many rows, all ok, each with the distance that was told.
static void expect_all_ok(unsigned count, double pp_ns)
{
    RunRows runs = rows_of("runs.csv");
    assert_int_equal(runs.count, count);
    for (unsigned i = 0; i < count; i++) {
        double ns = 0;
        assert_string_equal(runs.rows[i].field[RUN_status], "ok");
        assert_true(row_number(&runs.rows[i], RUN_probe_pp_after_ns, &ns));
        if (pp_ns > 0) assert_true(ns > pp_ns * 0.99 && ns < pp_ns * 1.01);
    }
}

static void expect_rejected(unsigned count, const char *reason)
{
    RunRows rejected = rows_of("rejected.csv");
    assert_int_equal(rejected.count, count);
    for (unsigned i = 0; i < count; i++)
        assert_non_null(strstr(rejected.rows[i].field[RUN_invalid_reason], reason));
}

static void test_one_mode_changes_nothing(void **state)
{
    (void)state;
    const Told tell[] = {{100, 104}, {98, 100}, {110, 101}, {99, 99}};
    assert_int_equal(run_told(tell, 4), HZB_OK);
    assert_int_equal(processes, 4);
    expect_all_ok(4, 0);
    expect_rejected(0, "");
}

static void test_a_sample_during_a_change_is_measured_again(void **state)
{
    (void)state;
    const Told tell[] = {{100, 100}, {100, 500}, {100, 100}};
    assert_int_equal(run_told(tell, 3), HZB_OK);
    assert_int_equal(processes, 5);
    expect_all_ok(4, 100);
    expect_rejected(1, "mode: the CPUs were 100 ns apart before and 500 ns after");
}

// One arm at 100 ns and one at 500 ns make no pair: the block is measured again, and then both are at 500 ns.
static void test_a_block_of_several_modes_is_measured_again(void **state)
{
    (void)state;
    const Told tell[] = {{100, 100}, {500, 500}, {500, 500}, {500, 500}, {500, 500}, {500, 500}};
    assert_int_equal(run_told(tell, 6), HZB_OK);
    assert_int_equal(processes, 6);
    expect_all_ok(4, 500);
    expect_rejected(2, "again: mode: the arms of its block saw several");
}

static void test_a_block_is_measured_again_at_most_twice(void **state)
{
    (void)state;
    const Told tell[] = {{100, 100}, {500, 500}, {100, 100}, {500, 500}, {100, 100}, {500, 500}};
    assert_int_equal(run_told(tell, 6), HZB_OK);
    assert_int_equal(processes, 8); // three times the first block, once the second
    expect_all_ok(4, 0);
    expect_rejected(4, "again: ");
}

// Each sample sees a change. After 40 repeats the rest stays as it is, and counts: of 20 rounds the first 10 are lost
// for as long as they are not measured again.
static void test_a_machine_that_never_rests_is_not_waited_for(void **state)
{
    (void)state;
    enum { ALL = 400 };
    static Told tell[ALL];
    for (unsigned i = 0; i < ALL; i++)
        tell[i] = (Told){100, 500};
    write_matrix(20);
    assert_int_equal(run_told(tell, ALL), HZB_OK);
    RunRows runs = rows_of("runs.csv"), rejected = rows_of("rejected.csv");
    unsigned set_aside = 0;
    for (unsigned i = 0; i < rejected.count; i++)
        set_aside += strncmp(rejected.rows[i].field[RUN_invalid_reason], "again:", 6) == 0;
    assert_int_equal(rejected.count - set_aside, 40);
    assert_int_equal(set_aside, 20); // each of the ten blocks once, and then it is whole
    assert_int_equal(processes, 40 + 40 + 20);
    assert_int_equal(runs.count, 40);
    expect_all_ok(40, 500);
}

// The first sample is disturbed in all of its three attempts. Its block is measured again once the others are there.
static void test_a_lost_block_is_measured_again_at_the_end(void **state)
{
    (void)state;
    const Told tell[] = {{100, 500}, {100, 500}, {100, 500}};
    assert_int_equal(run_told(tell, 3), HZB_OK);
    assert_int_equal(processes, 3 + 3 + 2);
    expect_all_ok(4, 100);
    RunRows runs = rows_of("runs.csv"), rejected = rows_of("rejected.csv");
    assert_int_equal(rejected.count, 2 + 2); // two attempts, then the block
    assert_true(strcmp(runs.rows[0].field[RUN_start_utc], runs.rows[3].field[RUN_start_utc]) > 0);
}

static void test_too_few_rounds_are_exit_12(void **state)
{
    (void)state;
    Told tell[64];
    for (unsigned i = 0; i < 64; i++)
        tell[i] = (Told){100, 500};
    capture_begin();
    int code = run_told(tell, 64);
    char *said = capture_end();
    assert_int_equal(code, HZB_BAD_SAMPLES);
    assert_non_null(strstr(said, "cell 'one': 0 valid rounds of a, expected at least 2"));
    assert_null(strstr(said, "valid rounds of plain")); // a reference
}

// What a killed hzb leaves of a block that it was measuring again.
static void test_resume_measures_what_was_set_aside(void **state)
{
    (void)state;
    char *dir = latest();
    assert_int_equal(run_told(NULL, 0), HZB_OK);
    RunRows runs = rows_of("runs.csv");
    row_set(&runs.rows[1], RUN_status, "invalid");
    row_set(&runs.rows[1], RUN_invalid_reason, "again: not measured yet");
    assert_true(runs_replace(dir, &runs));
    assert_int_equal(hzb("resume", dir), HZB_OK);
    expect_all_ok(4, 100);
    free(dir);
}

static void test_the_manifest_keeps_what_probing_cost(void **state)
{
    (void)state;
    assert_int_equal(run_told(NULL, 0), HZB_OK);
    char *dir = latest();
    json_t *root = manifest_json(dir);
    ProbesMade first = manifest_probes(root);
    assert_int_equal(first.made, 4);
    assert_int_equal(first.left_out, 1);
    assert_true(first.spent_s > 0.0039 && first.spent_s < 0.0041 && first.of_s > 0);
    json_decref(root);
    assert_true(manifest_add_probes(dir, (ProbesMade){2, 3, 1, 100})); // as a resumed run does
    root = manifest_json(dir);
    ProbesMade sum = manifest_probes(root);
    assert_int_equal(sum.made, 6);
    assert_int_equal(sum.left_out, 4);
    assert_true(sum.spent_s > 1.0039 && sum.spent_s < 1.0041 && sum.of_s > 100);
    json_decref(root);
    free(dir);
}

static void test_the_manifest_keeps_the_modes_for_the_next_run(void **state)
{
    (void)state;
    const Told tell[] = {{100, 100}, {102, 102}, {500, 500}, {500, 500}};
    char *dir = latest();
    assert_int_equal(run_told(tell, 4), HZB_OK);
    json_t *manifest = manifest_json(dir);
    Modes modes = manifest_modes(manifest);
    assert_int_equal(modes.count, 2);
    assert_true(modes.items[0].hi > 101 && modes.items[1].lo > 499);
    json_decref(manifest);
    // A hundred and fifty ns alone would be a mode of its own; between 102 and 125 it is the first one's.
    processes = 0;
    assert_int_equal(run_told(NULL, 0), HZB_OK);
    manifest = manifest_json(dir);
    modes = manifest_modes(manifest);
    assert_int_equal(modes.count, 2);
    json_decref(manifest);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_mode_changes_nothing, set_up),
        cmocka_unit_test_setup(test_a_sample_during_a_change_is_measured_again, set_up),
        cmocka_unit_test_setup(test_a_block_of_several_modes_is_measured_again, set_up),
        cmocka_unit_test_setup(test_a_block_is_measured_again_at_most_twice, set_up),
        cmocka_unit_test_setup(test_a_machine_that_never_rests_is_not_waited_for, set_up),
        cmocka_unit_test_setup(test_a_lost_block_is_measured_again_at_the_end, set_up),
        cmocka_unit_test_setup(test_too_few_rounds_are_exit_12, set_up),
        cmocka_unit_test_setup(test_resume_measures_what_was_set_aside, set_up),
        cmocka_unit_test_setup(test_the_manifest_keeps_what_probing_cost, set_up),
        cmocka_unit_test_setup(test_the_manifest_keeps_the_modes_for_the_next_run, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
