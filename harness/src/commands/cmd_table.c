// `hzb table`: medians per allocator and cell.
#include <stdio.h>

#include "commands/commands.h"
#include "record/results.h"
#include "report/table.h"

HzbExit command_table(const Options *options)
{
    Results results;
    if (!results_load(options_result_dir(options), &results)) return HZB_IO;
    table_print(&results, options->markdown, stdout);
    return fflush(stdout) == 0 ? HZB_OK : HZB_IO;
}
