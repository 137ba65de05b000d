/* `hzb import-hyperfine`: what hyperfine measured of whole programs, joined into one result folder. For reviewers,
   never for the gate: hyperfine does not check that the allocator was loaded. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "commands/commands.h"
#include "commands/hyperfine_read.h"
#include "record/resultdir.h"
#include "report/plot.h"
#include "stats/spread.h"

static bool write_csv(const char *dir, HyperfineImport *import)
{
    char *path = xfmt("%s/hyperfine.csv", dir);
    FILE *out = fopen(path, "we");
    if (out) fputs("workload_cell,allocator,seconds_median,seconds_min,seconds_max,n\n", out);
    for (unsigned i = 0; out && i < import->count; i++) {
        Spread spread = spread_of(import->items[i].times_s, import->items[i].count);
        fprintf(out, "%s,%s,%.6g,%.6g,%.6g,%u\n", import->items[i].program, import->items[i].allocator, spread.median,
                spread.min, spread.max, spread.n);
        printf("%-16s %-16s %8.3f s  (%.3f .. %.3f, n=%u)\n", import->items[i].program, import->items[i].allocator,
               spread.median, spread.min, spread.max, spread.n);
    }
    bool ok = out && !ferror(out);
    if (out) ok = fclose(out) == 0 && ok;
    if (!ok) hzb_error("%s: %s", path, strerror(errno));
    free(path);
    return ok;
}

static bool write_json(const char *dir, const HyperfineImport *import)
{
    char *path = xfmt("%s/hyperfine.json", dir);
    json_t *root = json_pack("{s:O}", "results", import->results);
    bool ok = json_dump_file(root, path, JSON_INDENT(1)) == 0;
    if (!ok) hzb_error("%s: %s", path, strerror(errno));
    json_decref(root);
    free(path);
    return ok;
}

/* results/<UTC>_hyperfine unless the folder was given. */
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
    const char *scripts = options->plots_dir ? options->plots_dir : xfmt("%s/../plots", program_dir());
    bool ok = dir && write_json(dir, &import) && write_csv(dir, &import) &&
              plots_draw(scripts, dir, "throughput", "hyperfine", "whole programs, hyperfine");
    if (dir && !ok) resultdir_remove(dir);
    hyperfine_free(&import);
    free(dir);
    return ok ? HZB_OK : HZB_IO;
}
