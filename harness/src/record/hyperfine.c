#include "record/hyperfine.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/util.h"
#include "stats/spread.h"

// It becomes a field of a CSV file.
static bool is_plain(const char *command)
{
    for (; *command; command++)
        if ((unsigned char)*command <= ' ' || *command == 0x7f || *command == ',' || *command == '"') return false;
    return true;
}

// A command is named "program/allocator" (hyperfine -n).
static HyperfineProgram *program_of(HyperfineImport *import, const char *where, const char *command)
{
    const char *slash = command ? strrchr(command, '/') : NULL;
    if (!slash || slash == command || !slash[1] || !is_plain(command)) {
        hzb_error("%s.command: '%s', expected a name program/allocator (hyperfine -n)", where, command ? command : "");
        return NULL;
    }
    char *program = xfmt("%.*s", (int)(slash - command), command);
    for (unsigned i = 0; i < import->count; i++)
        if (strcmp(import->items[i].program, program) == 0 && strcmp(import->items[i].allocator, slash + 1) == 0) {
            free(program);
            return &import->items[i];
        }
    import->items = xrealloc(import->items, import->count + 1, sizeof *import->items);
    import->items[import->count] = (HyperfineProgram){.program = program, .allocator = xstrdup(slash + 1)};
    return &import->items[import->count++];
}

static bool exited_well(const char *where, const json_t *result)
{
    const json_t *codes = json_object_get(result, "exit_codes");
    if (codes && !json_is_array(codes)) {
        hzb_error("%s.exit_codes: expected a list of exit codes", where);
        return false;
    }
    for (size_t i = 0; i < json_array_size(codes); i++) {
        const json_t *code = json_array_get(codes, i);
        if (json_is_integer(code) && json_integer_value(code) == 0) continue;
        if (json_is_integer(code))
            hzb_error("%s.exit_codes[%zu]: %lld, expected 0", where, i, (long long)json_integer_value(code));
        else // null: a signal ended it
            hzb_error("%s.exit_codes[%zu]: %s, expected 0", where, i, json_is_null(code) ? "null" : "no number");
        return false;
    }
    return true;
}

static bool take_result(const char *where, const json_t *result, HyperfineImport *import)
{
    HyperfineProgram *program = program_of(import, where, json_string_value(json_object_get(result, "command")));
    const json_t *times = json_object_get(result, "times");
    if (!program || !exited_well(where, result)) return false;
    if (json_array_size(times) == 0) {
        hzb_error("%s.times: expected a list of seconds", where);
        return false;
    }
    for (size_t i = 0; i < json_array_size(times); i++) {
        const json_t *time_s = json_array_get(times, i);
        if (!json_is_number(time_s) || !(json_number_value(time_s) >= 0)) {
            hzb_error("%s.times[%zu]: expected a number of seconds", where, i);
            return false;
        }
        program->times_s = xrealloc(program->times_s, program->count + 1, sizeof *program->times_s);
        program->times_s[program->count++] = json_number_value(time_s);
    }
    return true;
}

bool hyperfine_read(const char *path, HyperfineImport *import)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (!root && error.line > 0) hzb_error("%s:%d:%d: %s", path, error.line, error.column, error.text);
    if (!root && error.line <= 0) hzb_error("%s", error.text);
    json_t *results = json_object_get(root, "results");
    bool ok = json_array_size(results) > 0;
    if (root && !ok) hzb_error("%s: results: expected a list of at least one, as hyperfine --export-json writes", path);
    for (size_t i = 0; ok && i < json_array_size(results); i++) {
        char *where = xfmt("%s: results[%zu]", path, i);
        ok = take_result(where, json_array_get(results, i), import);
        free(where);
    }
    if (ok && !import->results) import->results = json_array();
    if (ok) json_array_extend(import->results, results);
    json_decref(root);
    return ok;
}

bool hyperfine_write_csv(const char *dir, HyperfineImport *import)
{
    char *path = xfmt("%s/hyperfine.csv", dir);
    FILE *out = file_create(path);
    if (out) fputs("workload_cell,allocator,seconds_median,seconds_min,seconds_max,n\n", out);
    for (unsigned i = 0; out && i < import->count; i++) {
        assert(import->items[i].count > 0);
        Spread spread = spread_of(import->items[i].times_s, import->items[i].count);
        fprintf(out, "%s,%s,%.6g,%.6g,%.6g,%u\n", import->items[i].program, import->items[i].allocator, spread.median,
                spread.min, spread.max, spread.n);
        printf("%-16s %-16s %8.3f s  (%.3f .. %.3f, n=%u)\n", import->items[i].program, import->items[i].allocator,
               spread.median, spread.min, spread.max, spread.n);
    }
    bool ok = file_finish(out, path);
    free(path);
    return ok;
}

bool hyperfine_write_json(const char *dir, const HyperfineImport *import)
{
    char *path = xfmt("%s/hyperfine.json", dir);
    json_t *root = json_pack("{s:O}", "results", import->results);
    bool ok = json_dump_file(root, path, JSON_INDENT(1) | JSON_DIGITS) == 0;
    if (!ok) hzb_error("%s: %s", path, strerror(errno));
    json_decref(root);
    free(path);
    return ok;
}

void hyperfine_free(HyperfineImport *import)
{
    for (unsigned i = 0; i < import->count; i++) {
        free(import->items[i].program);
        free(import->items[i].allocator);
        free(import->items[i].times_s);
    }
    free(import->items);
    json_decref(import->results);
    *import = (HyperfineImport){0};
}
