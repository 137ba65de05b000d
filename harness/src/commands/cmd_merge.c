// `hzb merge`: the shards of one plan become one result folder.
#include "commands/commands.h"
#include "record/merge.h"

HzbExit command_merge(const Options *options)
{
    if (options->targets.count < 2 || !options->output) {
        hzb_error("merge: expected two or more folders and -o NEW-FOLDER");
        return HZB_USAGE;
    }
    return merge_folders(&options->targets, options->output);
}
