// `hzb export`: samples for other people's tools.
#include <stdio.h>

#include "commands/commands.h"
#include "record/results.h"
#include "report/export.h"

static bool options_agree(const Options *options, const Results *results)
{
    if (options->summary && options->json)
        hzb_error("--summary --json: expected one of them");
    else if (options->reference && !options->summary)
        hzb_error("--reference '%s': expected --summary with it", options->reference);
    else if (options->reference && !experiment_arm(&results->experiment, options->reference))
        hzb_error("--reference '%s': expected an allocator of %s", options->reference, results->dir);
    else
        return true;
    return false;
}

HzbExit command_export(const Options *options)
{
    Results results;
    if (!results_load(options_result_dir(options), &results)) return HZB_IO;
    if (!options_agree(options, &results)) return HZB_USAGE;
    if (options->summary)
        export_summary(&results, options->reference);
    else if (options->json)
        export_json(&results);
    else
        export_benchmarks(&results);
    return fflush(stdout) == 0 ? HZB_OK : HZB_IO;
}
