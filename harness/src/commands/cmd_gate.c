// `hzb gate`: what got worse, as a table, verdict.json, junit.xml and the exit code.
#include <stdio.h>

#include "commands/commands.h"
#include "commands/judge.h"
#include "gate/annotate.h"
#include "gate/junit.h"
#include "gate/verdict_print.h"

// A blind gate must not look like a clean one.
static HzbExit exit_code_of(Overall overall, bool tell_inconclusive)
{
    switch (overall) {
    case OVERALL_REGRESSION:
        return HZB_REGRESSION;
    case OVERALL_FAILED:
        return HZB_BAD_SAMPLES;
    case OVERALL_INCONCLUSIVE:
        return tell_inconclusive ? HZB_INCONCLUSIVE : HZB_OK;
    case OVERALL_CLEAN:
    case OVERALL_UNJUDGED:
        break;
    }
    return HZB_OK;
}

HzbExit command_gate(const Options *options)
{
    Judged judged;
    const char *dir = options_result_dir(options);
    if (!judge_folder(dir, &judged)) return HZB_IO;
    if (judged.results.experiment.rule.gates_count == 0) {
        hzb_error("%s: its matrix has no gates; see harness/matrix/nightly.yaml for some", dir);
        return HZB_USAGE;
    }
    bool blind = gate_is_blind(&judged.results, &judged.comparisons);
    HzbExit code = exit_code_of(judged.findings.overall, options->strict || blind);
    verdict_print(&judged.results, &judged.comparisons, &judged.findings, stdout);
    if (options->annotate) annotate(&judged.results, &judged.comparisons, &judged.findings, code, stderr);
    bool ok = fflush(stdout) == 0 && verdict_write_json(dir, &judged.findings, code) &&
              junit_write(dir, &judged.results, &judged.comparisons, &judged.findings, code);
    return ok ? code : HZB_IO;
}
