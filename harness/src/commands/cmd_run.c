// `hzb run`: plans a matrix and measures it into a new result folder.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "commands/commands.h"
#include "commands/measure.h"
#include "commands/planned.h"
#include "plan/plan.h"
#include "record/resultdir.h"

static char *make_folder(const Options *options, const char *output, Planned *planned)
{
    return resultdir_make(output, &planned->config, &planned->experiment, &planned->plan,
                          options->shard.count ? &planned->whole : NULL);
}

// One tiny round whose figures are not kept: the folder stays only if something went wrong, for its logs.
static HzbExit verify(const Options *options, Planned *planned)
{
    const char *tmp = getenv("TMPDIR");
    char *output = xfmt("%s/hzb-test-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(output)) {
        hzb_error("%s: %s", output, strerror(errno));
        return HZB_IO;
    }
    char *dir = make_folder(options, output, planned);
    HzbExit result = dir ? measure(options, dir) : HZB_IO;
    if (result == HZB_OK) {
        printf("test: %u processes ok\n", planned->plan.count);
        folder_remove(output);
    } else {
        hzb_error("test failed; records and logs are in %s", dir ? dir : output);
    }
    return result;
}

HzbExit command_run(const Options *options)
{
    Planned planned;
    const char *output = options_output(options);
    if (!planned_make(options, &planned)) return HZB_USAGE;
    if (options->test && !options->dry_run) return verify(options, &planned);
    planned_announce(&planned);
    if (options->dry_run) return HZB_OK;
    char *dir = make_folder(options, output, &planned);
    if (!dir || !resultdir_set_latest(output, planned.experiment.run_id)) return HZB_IO;
    printf("%s\n", dir);
    fflush(stdout);
    return measure(options, dir);
}
