/* The commands `stats` and `gate`. */
#include <stdio.h>

#include "commands/commands.h"
#include "gate/verdict.h"

static bool judge(const char *dir, Results *results, Comparisons *comparisons)
{
    Noise noise;
    if (!results_load(dir, results)) return false;
    noise_load(dir, &noise);
    *comparisons = gate_judge(results, &noise);
    return verdict_write_stats(dir, comparisons);
}

HzbExit command_stats(const Options *options)
{
    Results results;
    Comparisons comparisons;
    const char *dir = options_result_dir(options);
    if (!judge(dir, &results, &comparisons)) return HZB_IO;
    printf("%s/stats.csv\n", dir);
    return HZB_OK;
}

static HzbExit exit_code_of(Overall overall, bool strict)
{
    switch (overall) {
    case OVERALL_REGRESSION:
        return HZB_REGRESSION;
    case OVERALL_FAILED:
        return HZB_BAD_SAMPLES;
    case OVERALL_INCONCLUSIVE:
        return strict ? HZB_INCONCLUSIVE : HZB_OK;
    case OVERALL_CLEAN:
        break;
    }
    return HZB_OK;
}

HzbExit command_gate(const Options *options)
{
    Results results;
    Comparisons comparisons;
    const char *dir = options_result_dir(options);
    if (!judge(dir, &results, &comparisons)) return HZB_IO;
    if (results.experiment.rule.gates_count == 0) {
        hzb_error("%s: its matrix has no gates; see harness/matrix/nightly.yaml for some", dir);
        return HZB_USAGE;
    }
    Overall overall = gate_overall(&results, &comparisons);
    HzbExit code = exit_code_of(overall, options->strict);
    verdict_print(&results, &comparisons, overall, stdout);
    bool ok = fflush(stdout) == 0 && verdict_write_json(&results, &comparisons, overall, code);
    return ok ? code : HZB_IO;
}
