// `hzb plot`: the figures of a result folder.
#include "commands/commands.h"
#include "record/results.h"
#include "report/plot.h"

HzbExit command_plot(const Options *options)
{
    Results results;
    bool ok = results_load(options_result_dir(options), &results) && plots_all(&results, options_plots_dir(options));
    return ok ? HZB_OK : HZB_IO;
}
