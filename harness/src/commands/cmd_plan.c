// `hzb plan`: the plan of a matrix, as CSV.
#include <stdio.h>

#include "commands/commands.h"
#include "commands/planned.h"

HzbExit command_plan(const Options *options)
{
    Planned planned;
    if (!planned_make(options, &planned)) return HZB_USAGE;
    plan_write(&planned.plan, stdout);
    if (fflush(stdout) != 0) return HZB_IO;
    planned_announce(&planned);
    return HZB_OK;
}
