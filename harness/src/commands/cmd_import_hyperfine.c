// `hzb import-hyperfine`: what hyperfine measured of whole programs, joined into one result folder. For reviewers,
// never for the gate: hyperfine does not check that the allocator was loaded.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/files.h"
#include "commands/commands.h"
#include "record/hyperfine.h"
#include "report/plot.h"

// results/<UTC>_hyperfine unless the folder was given.
static char *make_folder(const Options *options)
{
    char utc[32];
    time_t now = time(NULL);
    strftime(utc, sizeof utc, "%Y%m%dT%H%M%SZ", gmtime(&now));
    char *dir = options->output ? xstrdup(options->output) : xfmt(RESULTS_DIR "/%s_hyperfine", utc);
    if (!options->output) mkdir(RESULTS_DIR, 0755);
    if (mkdir(dir, 0755) == 0) return dir;
    hzb_error("%s: %s, expected a new folder", dir, strerror(errno));
    free(dir);
    return NULL;
}

HzbExit command_import_hyperfine(const Options *options)
{
    HyperfineImport import = {0};
    for (unsigned i = 0; i < options->targets.count; i++)
        if (!hyperfine_read(options->targets.items[i], &import)) return HZB_IO;
    char *dir = make_folder(options);
    bool ok = dir && hyperfine_write_json(dir, &import) && hyperfine_write_csv(dir, &import) &&
              plots_draw(options_plots_dir(options), dir, "throughput", "hyperfine", "whole programs, hyperfine", "");
    if (dir && !ok) folder_remove(dir);
    hyperfine_free(&import);
    free(dir);
    return ok ? HZB_OK : HZB_IO;
}
