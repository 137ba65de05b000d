// `hzb run`: plans a matrix and measures it into a new result folder.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "commands/commands.h"
#include "commands/measure.h"

// One tiny round whose figures are not kept: the folder stays only if something went wrong, for its logs.
static HzbExit verify(const Options *options, Planned *planned)
{
    const char *tmp = getenv("TMPDIR");
    char *output = xfmt("%s/hzb-test-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(output)) {
        hzb_error("%s: %s", output, strerror(errno));
        return HZB_IO;
    }
    char *dir = measure_folder(options, output, planned);
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
    char *dir;
    if (!planned_make(options, &planned)) return HZB_USAGE;
    return options->test && !options->dry_run ? verify(options, &planned) : measure_new(options, &planned, &dir);
}
