// `hzb compare A B`: measured by turns in the cells of a matrix, judged by its gates, and reported.
#include <stdio.h>
#include <stdlib.h>

#include "base/git.h"
#include "commands/commands.h"
#include "commands/compared.h"
#include "commands/measure.h"
#include "config/revision.h"
#include "config/side.h"
#include "gate/verdict.h"
#include "gate/verdict_print.h"

static int bisect_exit(HzbExit code)
{
    switch (code) {
    case HZB_OK:
        return BISECT_GOOD;
    case HZB_REGRESSION:
        return BISECT_BAD;
    case HZB_INCONCLUSIVE:
    case HZB_BAD_SAMPLES:
        return BISECT_SKIP;
    default:
        return BISECT_GIVE_UP;
    }
}

static bool is_judged(HzbExit code)
{
    return code == HZB_OK || code == HZB_REGRESSION || code == HZB_INCONCLUSIVE || code == HZB_BAD_SAMPLES;
}

// Sets `dir` to the result folder, or NULL if none was made.
static HzbExit measure_and_judge(const Options *options, char **dir)
{
    Planned planned;
    *dir = NULL;
    if (!planned_make(options, &planned)) return HZB_USAGE;
    const Arm *base = &planned.experiment.arms[0], *cand = &planned.experiment.arms[1];
    if (planned.experiment.rule.gates_count == 0) {
        hzb_error("%s: has no gates to compare by; see harness/matrix/nightly.yaml for some", options->target);
        return HZB_USAGE;
    }
    if (cand->same_as) {
        printf("%s and %s are identical: the same library in the same environment (sha256 %.10s)\nverdict: identical\n",
               base->name, cand->name, cand->sha256 ? cand->sha256 : "none");
        return HZB_OK;
    }
    HzbExit code = measure_new(options, &planned, dir);
    if (!*dir || !is_judged(code)) return code;
    Options of_folder = *options;
    of_folder.target = *dir;
    return command_gate(&of_folder);
}

static void note_findings(const char *dir, const char *who)
{
    Findings findings;
    if (!dir || !verdict_read(dir, &findings)) return;
    for (unsigned i = 0; i < findings.count; i++)
        if (findings.items[i].verdict != VERDICT_UNGATED) hzb_note("%s: %s", who, verdict_line(&findings.items[i]));
}

// One commit for `git bisect run`. One that cannot be built says nothing about the others.
static int compare_for_bisect(Options *options)
{
    char *dir, *subject;
    char *commit = side_revision(options->sides.items[1]);
    if (!commit) {
        hzb_error("--bisect: '%s': expected a git revision", options->sides.items[1]);
        return BISECT_GIVE_UP;
    }
    if (!revision_library(options_build_dir(options), commit)) return BISECT_SKIP;
    options->strict = true;
    HzbExit code = measure_and_judge(options, &dir);
    git_output(STDERR_DROPPED, &subject, "show", "-s", "--format=%h %s", "--abbrev=10", commit, NULL);
    note_findings(dir, subject ? subject : commit);
    if (!dir && code == HZB_OK) hzb_note("%s: identical", subject ? subject : commit);
    return bisect_exit(code);
}

HzbExit command_compare(const Options *given)
{
    Options options;
    char *dir;
    if (!compared_options(given, &options)) return HZB_USAGE;
    if (options.bisect) return (HzbExit)compare_for_bisect(&options);
    HzbExit code = measure_and_judge(&options, &dir);
    if (!dir || !is_judged(code)) return code;
    options.target = dir;
    HzbExit table = command_table(&options), report = command_report(&options);
    return code != HZB_OK ? code : table != HZB_OK ? table : report;
}
