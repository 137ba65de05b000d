#include "gate/findings.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/csvio.h"
#include "base/util.h"

enum { VERDICT_JSON_VERSION = 1 };

const char *const verdict_names[VERDICT_COUNT] = {"regression", "failed",    "inconclusive", "improved",
                                                  "unchanged",  "identical", "ungated"};
static const char *const overall_names[] = {"clean", "regression", "inconclusive", "failed"};

/* The numbers of a finding, by the name that both files give them. */
static const struct {
    const char *name;
    size_t offset;
} numbers[] = {
    {"n", offsetof(Finding, n)},
    {"base_median", offsetof(Finding, base_median)},
    {"cand_median", offsetof(Finding, cand_median)},
    {"ratio", offsetof(Finding, ratio)},
    {"ci_lo", offsetof(Finding, ci_lo)},
    {"ci_hi", offsetof(Finding, ci_hi)},
    {"p", offsetof(Finding, p)},
    {"p_holm", offsetof(Finding, p_holm)},
    {"threshold", offsetof(Finding, threshold)},
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static double *number_of(Finding *finding, unsigned i)
{
    return (double *)(void *)((char *)finding + numbers[i].offset);
}

/* Index of a text in a list, or -1 with a message that says where it stands and what could. */
static int choice(const char *where, const char *text, const char *const names[], unsigned count)
{
    char *expected = xstrdup("");
    for (unsigned i = 0; i < count; i++) {
        if (text && strcmp(text, names[i]) == 0) return (int)i;
        expected = xfmt("%s%s%s", expected, i ? ", " : "", names[i]);
    }
    hzb_error("%s: '%s', expected one of: %s", where, text ? text : "nothing", expected);
    return -1;
}

static bool set_direction(const char *where, const char *text, Finding *finding)
{
    static const char *const names[] = {"up", "down"};
    int at = choice(where, text, names, 2);
    finding->direction = at == 0 ? DIRECTION_UP : DIRECTION_DOWN;
    return at >= 0;
}

static bool set_verdict(const char *where, const char *text, Finding *finding)
{
    int at = choice(where, text, verdict_names, VERDICT_COUNT);
    finding->verdict = at < 0 ? VERDICT_FAILED : (Verdict)at;
    return at >= 0;
}

static Finding *add(Findings *findings, const Finding *finding)
{
    findings->items = xrealloc(findings->items, findings->count + 1, sizeof *findings->items);
    findings->items[findings->count] = *finding;
    return &findings->items[findings->count++];
}

static Finding *find(Findings *findings, const Finding *like)
{
    for (unsigned i = 0; i < findings->count; i++) {
        Finding *item = &findings->items[i];
        if (strcmp(item->cell_id, like->cell_id) == 0 && strcmp(item->metric, like->metric) == 0 &&
            strcmp(item->base, like->base) == 0 && strcmp(item->cand, like->cand) == 0)
            return item;
    }
    return NULL;
}

typedef struct {
    const char *path;
    const CsvTable *table;
    unsigned row;
} StatsRow;

static const char *stats_field(const StatsRow *at, const char *name)
{
    return at->table->rows[at->row][csv_column(at->table, name)];
}

static bool stats_row(const StatsRow *at, Finding *finding)
{
    *finding = (Finding){.cell_id = xstrdup(stats_field(at, "cell_id")),
                         .metric = xstrdup(stats_field(at, "metric")),
                         .base = xstrdup(stats_field(at, "base")),
                         .cand = xstrdup(stats_field(at, "cand"))};
    for (unsigned i = 0; i < NUMBERS; i++) {
        const char *text = stats_field(at, numbers[i].name);
        if (!*text) {
            *number_of(finding, i) = NAN;
        } else if (!parse_double(text, number_of(finding, i))) {
            hzb_error("%s: row %u, %s: '%s', expected a number", at->path, at->row + 2, numbers[i].name, text);
            return false;
        }
    }
    const char *verdict = stats_field(at, "verdict");
    char *where = xfmt("%s: row %u, direction", at->path, at->row + 2);
    bool ok = set_direction(where, stats_field(at, "direction"), finding);
    free(where);
    where = xfmt("%s: row %u, verdict", at->path, at->row + 2);
    ok = ok && set_verdict(where, *verdict ? verdict : verdict_names[VERDICT_UNGATED], finding);
    free(where);
    return ok;
}

static bool has_columns(const char *path, const CsvTable *table)
{
    static const char *const texts[] = {"cell_id", "metric", "direction", "base", "cand", "verdict"};
    const char *missing = NULL;
    for (size_t i = 0; !missing && i < sizeof texts / sizeof *texts; i++)
        if (csv_column(table, texts[i]) < 0) missing = texts[i];
    for (unsigned i = 0; !missing && i < NUMBERS; i++)
        if (csv_column(table, numbers[i].name) < 0) missing = numbers[i].name;
    if (missing) hzb_error("%s: row 1: no column '%s'", path, missing);
    return !missing;
}

static bool load_stats(const char *path, Findings *findings)
{
    CsvTable table;
    if (access(path, F_OK) != 0) return true;
    bool ok = csv_load(path, &table) && has_columns(path, &table);
    for (unsigned r = 0; ok && r < table.row_count; r++) {
        Finding finding;
        const StatsRow at = {path, &table, r};
        ok = stats_row(&at, &finding);
        if (ok) add(findings, &finding);
    }
    csv_free_table(&table);
    return ok;
}

/* The text of a key, or NULL with a message. */
static const char *text_at(const char *where, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (!text) hzb_error("%s.%s: expected a text", where, key);
    return text;
}

static bool number_at(const char *where, const json_t *object, const char *key, double *value)
{
    const json_t *number = json_object_get(object, key);
    *value = json_is_number(number) ? json_number_value(number) : NAN;
    if (json_is_number(number) || json_is_null(number)) return true;
    hzb_error("%s.%s: expected a number or null", where, key);
    return false;
}

static bool verdict_cell(const char *where, const json_t *object, Findings *findings)
{
    const char *cell_id = text_at(where, object, "cell_id"), *metric = text_at(where, object, "metric"),
               *base = text_at(where, object, "base"), *cand = text_at(where, object, "cand");
    if (!cell_id || !metric || !base || !cand) return false;
    Finding finding = {
        .cell_id = xstrdup(cell_id), .metric = xstrdup(metric), .base = xstrdup(base), .cand = xstrdup(cand)};
    for (unsigned i = 0; i < NUMBERS; i++)
        if (!number_at(where, object, numbers[i].name, number_of(&finding, i))) return false;
    finding.missing = json_number_value(json_object_get(object, "missing"));
    const json_t *confirmed = json_object_get(object, "confirmed");
    if (json_is_boolean(confirmed)) finding.confirmed = json_is_true(confirmed) ? CONFIRMED_YES : CONFIRMED_NO;
    char *direction = xfmt("%s.direction", where), *verdict = xfmt("%s.verdict", where);
    bool ok = set_direction(direction, json_string_value(json_object_get(object, "direction")), &finding) &&
              set_verdict(verdict, json_string_value(json_object_get(object, "verdict")), &finding);
    free(direction);
    free(verdict);
    if (!ok) return false;
    Finding *known = find(findings, &finding);
    if (known)
        *known = finding;
    else
        add(findings, &finding);
    return true;
}

static bool verdict_failure(const char *where, const json_t *object, Findings *findings)
{
    const char *cell_id = text_at(where, object, "cell_id"), *allocator = text_at(where, object, "allocator"),
               *status = text_at(where, object, "status");
    const char *reason = json_string_value(json_object_get(object, "reason"));
    Failure failure = {0};
    if (!cell_id || !allocator || !status || !number_at(where, object, "count", &failure.count)) return false;
    failure.cell_id = xstrdup(cell_id);
    failure.allocator = xstrdup(allocator);
    failure.status = xstrdup(status);
    failure.reason = xstrdup(reason ? reason : "");
    findings->failures = xrealloc(findings->failures, findings->failure_count + 1, sizeof failure);
    findings->failures[findings->failure_count++] = failure;
    return true;
}

static bool each(const char *path, const json_t *root, const char *key,
                 bool (*take)(const char *where, const json_t *object, Findings *findings), Findings *findings)
{
    const json_t *array = json_object_get(root, key);
    bool ok = json_is_array(array);
    if (!ok) hzb_error("%s: %s: expected a list", path, key);
    for (size_t i = 0; ok && i < json_array_size(array); i++) {
        char *where = xfmt("%s: %s[%zu]", path, key, i);
        ok = take(where, json_array_get(array, i), findings);
        free(where);
    }
    return ok;
}

static bool take_verdict(const char *path, const json_t *root, Findings *findings)
{
    const json_t *version = json_object_get(root, "version");
    if (!json_is_integer(version) || json_integer_value(version) != VERDICT_JSON_VERSION) {
        hzb_error("%s: version: expected %d", path, VERDICT_JSON_VERSION);
        return false;
    }
    const char *overall = json_string_value(json_object_get(root, "overall"));
    char *where = xfmt("%s: overall", path);
    bool ok = choice(where, overall, overall_names, 4) >= 0;
    free(where);
    if (ok) findings->overall = xstrdup(overall);
    return ok && each(path, root, "cells", verdict_cell, findings) &&
           each(path, root, "failures", verdict_failure, findings);
}

static bool load_verdict(const char *path, Findings *findings)
{
    json_error_t error;
    if (access(path, F_OK) != 0) return true;
    json_t *root = json_load_file(path, 0, &error);
    if (!root) hzb_error("%s:%d:%d: %s", path, error.line, error.column, error.text);
    bool ok = root && take_verdict(path, root, findings);
    json_decref(root);
    return ok;
}

static void worst_first(Findings *findings)
{
    Finding *sorted = xcalloc(findings->count, sizeof *sorted);
    unsigned count = 0;
    for (Verdict verdict = 0; verdict < VERDICT_COUNT; verdict++)
        for (unsigned i = 0; i < findings->count; i++)
            if (findings->items[i].verdict == verdict) sorted[count++] = findings->items[i];
    free(findings->items);
    findings->items = sorted;
}

bool findings_load(const char *dir, Findings *findings)
{
    *findings = (Findings){0};
    char *stats = xfmt("%s/stats.csv", dir), *verdict = xfmt("%s/verdict.json", dir);
    bool ok = load_stats(stats, findings) && load_verdict(verdict, findings);
    free(stats);
    free(verdict);
    worst_first(findings);
    return ok;
}

unsigned findings_of(const Findings *findings, Verdict verdict)
{
    unsigned count = 0;
    for (unsigned i = 0; i < findings->count; i++)
        count += findings->items[i].verdict == verdict;
    return count;
}

double finding_gain(const Finding *finding, double ratio)
{
    return finding->direction == DIRECTION_UP ? ratio - 1 : 1 - ratio;
}
