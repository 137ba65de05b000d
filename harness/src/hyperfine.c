/* `hzb import-hyperfine`: what hyperfine measured of whole programs, joined into one result folder. For reviewers,
   never for the gate: hyperfine does not check that the allocator was loaded. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "commands.h"
#include "plot.h"
#include "spread.h"

/* All times of one program under one allocator, from however many files. */
typedef struct {
    char *program, *allocator;
    double *times_s;
    unsigned count;
} Program;

typedef struct {
    Program *items;
    unsigned count;
    json_t *results; /* those of all files, as they were */
} Import;

/* A command is named "program/allocator" (hyperfine -n). */
static Program *program_of(Import *import, const char *where, const char *command)
{
    const char *slash = command ? strrchr(command, '/') : NULL;
    if (!slash || slash == command || !slash[1] || strpbrk(command, " ,\"")) {
        hzb_error("%s.command: '%s', expected a name program/allocator (hyperfine -n)", where, command ? command : "");
        return NULL;
    }
    char *program = xfmt("%.*s", (int)(slash - command), command);
    for (unsigned i = 0; i < import->count; i++)
        if (strcmp(import->items[i].program, program) == 0 && strcmp(import->items[i].allocator, slash + 1) == 0)
            return &import->items[i];
    import->items = xrealloc(import->items, import->count + 1, sizeof *import->items);
    import->items[import->count] = (Program){.program = program, .allocator = xstrdup(slash + 1)};
    return &import->items[import->count++];
}

static bool exited_well(const char *where, const json_t *result)
{
    const json_t *codes = json_object_get(result, "exit_codes");
    for (size_t i = 0; i < json_array_size(codes); i++)
        if (json_integer_value(json_array_get(codes, i)) != 0) {
            hzb_error("%s.exit_codes[%zu]: %lld, expected 0", where, i,
                      (long long)json_integer_value(json_array_get(codes, i)));
            return false;
        }
    return true;
}

static bool take_result(const char *where, const json_t *result, Import *import)
{
    Program *program = program_of(import, where, json_string_value(json_object_get(result, "command")));
    const json_t *times = json_object_get(result, "times");
    if (!program || !exited_well(where, result)) return false;
    if (json_array_size(times) == 0) {
        hzb_error("%s.times: expected a list of seconds", where);
        return false;
    }
    for (size_t i = 0; i < json_array_size(times); i++) {
        const json_t *time_s = json_array_get(times, i);
        if (!json_is_number(time_s)) {
            hzb_error("%s.times[%zu]: expected a number", where, i);
            return false;
        }
        program->times_s = xrealloc(program->times_s, program->count + 1, sizeof *program->times_s);
        program->times_s[program->count++] = json_number_value(time_s);
    }
    return true;
}

static bool take_file(const char *path, Import *import)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (!root && error.line > 0) hzb_error("%s:%d:%d: %s", path, error.line, error.column, error.text);
    if (!root && error.line <= 0) hzb_error("%s", error.text);
    json_t *results = json_object_get(root, "results");
    bool ok = root && json_is_array(results);
    if (root && !ok) hzb_error("%s: results: expected a list, as hyperfine --export-json writes", path);
    for (size_t i = 0; ok && i < json_array_size(results); i++) {
        char *where = xfmt("%s: results[%zu]", path, i);
        ok = take_result(where, json_array_get(results, i), import);
        free(where);
    }
    if (ok) json_array_extend(import->results, results);
    json_decref(root);
    return ok;
}

static bool write_csv(const char *dir, Import *import)
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

static bool write_json(const char *dir, const Import *import)
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
    Import import = {.results = json_array()};
    for (unsigned i = 0; i < options->targets.count; i++)
        if (!take_file(options->targets.items[i], &import)) return HZB_IO;
    char *dir = make_folder(options);
    const char *scripts = options->plots_dir ? options->plots_dir : xfmt("%s/../plots", program_dir());
    bool ok = dir && write_json(dir, &import) && write_csv(dir, &import) &&
              plots_draw(scripts, dir, "throughput", "hyperfine", "whole programs, hyperfine");
    json_decref(import.results);
    free(dir);
    return ok ? HZB_OK : HZB_IO;
}
