// `hzb stats`: candidates compared with bases, into stats.csv.
#include <stdio.h>

#include "commands/commands.h"
#include "commands/judge.h"

HzbExit command_stats(const Options *options)
{
    Judged judged;
    const char *dir = options_result_dir(options);
    if (!judge_folder(dir, &judged)) return HZB_IO;
    printf("%s/" STATS_FILE "\n", dir);
    return HZB_OK;
}
