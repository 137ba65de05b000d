// `hzb table`: medians per allocator and cell.
#include <stdio.h>

#include "base/util.h"
#include "commands/commands.h"
#include "record/results.h"
#include "report/table.h"

HzbExit command_table(const Options *options)
{
    Results results;
    if (!results_load(options_result_dir(options), &results)) return HZB_IO;
    if (!options->metric) {
        table_print(&results, options->markdown, stdout);
    } else if (!table_ranking(&results, options->metric, options->markdown, stdout)) {
        hzb_error("--metric '%s': no cell of %s has figures of that column", options->metric, results.dir);
        return HZB_USAGE;
    }
    return fflush(stdout) == 0 ? HZB_OK : HZB_IO;
}
