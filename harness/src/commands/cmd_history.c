// `hzb history`: what became of figures from run to run.
#include <string.h>

#include "commands/commands.h"
#include "history/changes.h"
#include "history/history.h"
#include "history/trend.h"

#define REFERENCE_DEFAULT "glibc"

HzbExit command_history(const Options *options)
{
    const char *results = options_output(options);
    const char *what = options->target ? options->target : "list";
    const char *reference = options->reference ? options->reference : REFERENCE_DEFAULT;
    const char *added = options->targets.count == 2 ? options->targets.items[1] : NULL;
    bool alone = options->targets.count <= 1;
    if (strcmp(what, "rebuild") == 0 && !added) return history_rebuild(results, reference) ? HZB_OK : HZB_IO;
    if (strcmp(what, "add") == 0 && added) return history_add(results, added) ? HZB_OK : HZB_IO;
    if (strcmp(what, "list") == 0 && alone) return history_list(results) ? HZB_OK : HZB_IO;
    if (strcmp(what, "changes") == 0 && alone) return changes_print(options);
    if (strcmp(what, "trend") == 0 && alone) return trend_draw(options);
    hzb_error("history '%s': expected list, trend, changes, rebuild or add RESULTS", what);
    return HZB_USAGE;
}
