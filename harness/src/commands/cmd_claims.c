// `hzb claims`: what a matrix says about its figures, and whether a record bears it out.
#include <stdio.h>

#include "base/util.h"
#include "commands/commands.h"
#include "record/results.h"
#include "report/claims.h"

HzbExit command_claims(const Options *options)
{
    Results results;
    const char *dir = options_result_dir(options);
    if (!results_load(dir, &results)) return HZB_IO;
    if (results.experiment.claims_count == 0) {
        hzb_error("%s: its matrix has no claims", dir);
        return HZB_USAGE;
    }
    TextTable table = claims_table(&results);
    text_table_print(&table, options->markdown, stdout);
    text_table_free(&table);
    const unsigned fail = claims_of(&results, CLAIM_FAILS), open = claims_of(&results, CLAIM_OPEN);
    printf("%s%u of %u claims hold, %u are open, %u fail.\n", options->markdown ? "\n" : "",
           claims_of(&results, CLAIM_HOLDS), results.experiment.claims_count, open, fail);
    if (fflush(stdout) != 0) return HZB_IO;
    return fail ? HZB_REGRESSION : open && options->strict ? HZB_INCONCLUSIVE : HZB_OK;
}
