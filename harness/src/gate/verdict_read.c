#include "gate/verdict.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/csvio.h"
#include "base/files.h"
#include "base/util.h"

// Index of a text in a list, or -1 with a message that says where it stands and what could.
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
    int at = choice(where, text, verdict_direction_names, VERDICT_DIRECTIONS);
    finding->direction = at < 0 ? DIRECTION_DOWN : (Direction)at;
    return at >= 0;
}

static bool set_verdict(const char *where, const char *text, Finding *finding)
{
    int at = choice(where, text, verdict_names, VERDICT_COUNT);
    finding->verdict = at < 0 ? VERDICT_FAILED : (Verdict)at;
    return at >= 0;
}

// Nothing or another text: an older hzb did not say.
static void set_threshold_from(const char *text, Finding *finding)
{
    for (unsigned i = 0; text && i < THRESHOLD_FROM_COUNT; i++)
        if (strcmp(text, threshold_from_names[i]) == 0) finding->threshold_from = (ThresholdFrom)i;
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

typedef struct StatsRow {
    const char *path;
    const CsvTable *table;
    unsigned row;
} StatsRow;

static const char *stats_field(const StatsRow *at, const char *name)
{
    int column = csv_column(at->table, name); // an older hzb had fewer
    return column >= 0 ? at->table->rows[at->row][column] : "";
}

static bool stats_row(const StatsRow *at, Finding *finding)
{
    *finding = (Finding){.cell_id = xstrdup(stats_field(at, "cell_id")),
                         .workload = xstrdup(stats_field(at, "workload")),
                         .params = xstrdup(stats_field(at, "params")),
                         .metric = xstrdup(stats_field(at, "metric")),
                         .base = xstrdup(stats_field(at, "base")),
                         .cand = xstrdup(stats_field(at, "cand"))};
    for (unsigned i = 0; i < FINDING_NUMBERS; i++) {
        const char *text = stats_field(at, finding_number_names[i]);
        double value = NAN;
        if (*text && !(parse_double(text, &value) && isfinite(value))) {
            hzb_error("%s: row %u, %s: '%s', expected a number", at->path, at->row + 2, finding_number_names[i], text);
            return false;
        }
        finding_set_number(finding, i, value);
    }
    set_threshold_from(stats_field(at, "threshold_from"), finding);
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
    static const char *const texts[] = {"cell_id",   "workload", "params", "metric",
                                        "direction", "base",     "cand",   "verdict"};
    const char *missing = NULL;
    for (size_t i = 0; !missing && i < sizeof texts / sizeof *texts; i++)
        if (csv_column(table, texts[i]) < 0) missing = texts[i];
    for (unsigned i = 0; !missing && i < FINDING_NUMBERS_OLD; i++)
        if (csv_column(table, finding_number_names[i]) < 0) missing = finding_number_names[i];
    if (missing) hzb_error("%s: row 1: no column '%s'", path, missing);
    return !missing;
}

static bool load_stats(const char *path, Findings *findings)
{
    CsvTable table;
    bool ok = csv_load(path, &table) && has_columns(path, &table);
    for (unsigned r = 0; ok && r < table.row_count; r++) {
        Finding finding;
        const StatsRow at = {path, &table, r};
        ok = stats_row(&at, &finding);
        if (ok) findings_add(findings, &finding);
    }
    csv_free_table(&table);
    return ok;
}

// The text of a key, or NULL with a message.
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

static bool known_at(const char *where, const json_t *object, CfgKnown *known)
{
    const char *cell = text_at(where, object, "cell_id"), *metric = text_at(where, object, "metric"),
               *until = text_at(where, object, "until"), *why = text_at(where, object, "why");
    const char *arm = json_string_value(json_object_get(object, "cand"));
    if (!cell || !metric || !until || !why) return false;
    *known = (CfgKnown){xstrdup(cell), xstrdup(metric), arm ? xstrdup(arm) : NULL, xstrdup(until), xstrdup(why)};
    return true;
}

// Nothing or null: an older hzb knew of nothing.
static bool set_known(const char *where, const json_t *object, Finding *finding)
{
    if (!json_is_object(object)) return true;
    CfgKnown *known = xcalloc(1, sizeof *known);
    finding->known = known;
    return known_at(where, object, known);
}

static bool verdict_cell(const char *where, const json_t *object, Findings *findings)
{
    const char *cell_id = text_at(where, object, "cell_id"), *metric = text_at(where, object, "metric"),
               *base = text_at(where, object, "base"), *cand = text_at(where, object, "cand");
    if (!cell_id || !metric || !base || !cand) return false;
    Finding finding = {
        .cell_id = xstrdup(cell_id), .metric = xstrdup(metric), .base = xstrdup(base), .cand = xstrdup(cand)};
    for (unsigned i = 0; i < FINDING_NUMBERS; i++) {
        double value = NAN;
        const char *name = finding_number_names[i];
        bool is_there = i < FINDING_NUMBERS_OLD || json_object_get(object, name);
        if (is_there && !number_at(where, object, name, &value)) return false;
        finding_set_number(&finding, i, value);
    }
    finding.missing = json_number_value(json_object_get(object, "missing"));
    set_threshold_from(json_string_value(json_object_get(object, "threshold_from")), &finding);
    const json_t *confirmed = json_object_get(object, "confirmed");
    if (json_is_boolean(confirmed)) finding.confirmation = json_is_true(confirmed) ? CONFIRM_YES : CONFIRM_NO;
    char *direction = xfmt("%s.direction", where), *verdict = xfmt("%s.verdict", where);
    char *known_where = xfmt("%s.known", where);
    bool ok = set_direction(direction, json_string_value(json_object_get(object, "direction")), &finding) &&
              set_verdict(verdict, json_string_value(json_object_get(object, "verdict")), &finding) &&
              set_known(known_where, json_object_get(object, "known"), &finding);
    free(known_where);
    free(direction);
    free(verdict);
    if (!ok) return false;
    Finding *in_stats = find(findings, &finding);
    if (!in_stats) return findings_add(findings, &finding) != NULL;
    finding.workload = in_stats->workload;
    finding.params = in_stats->params;
    *in_stats = finding;
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

static bool verdict_expired(const char *where, const json_t *object, Findings *findings)
{
    CfgKnown known;
    if (!known_at(where, object, &known)) return false;
    findings->expired = xrealloc(findings->expired, findings->expired_count + 1, sizeof known);
    findings->expired[findings->expired_count++] = known;
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
    int at = choice(where, overall, overall_names + OVERALL_CLEAN, OVERALL_COUNT - OVERALL_CLEAN);
    free(where);
    if (at >= 0) findings->overall = (Overall)(OVERALL_CLEAN + at);
    return at >= 0 && each(path, root, "cells", verdict_cell, findings) &&
           each(path, root, "failures", verdict_failure, findings) &&
           (!json_object_get(root, "known_expired") || each(path, root, "known_expired", verdict_expired, findings));
}

static bool load_verdict(const char *path, Findings *findings)
{
    json_error_t error;
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

bool verdict_read_stats(const char *dir, Findings *findings)
{
    *findings = (Findings){0};
    char *path = xfmt("%s/" STATS_FILE, dir);
    bool ok = load_stats(path, findings);
    free(path);
    return ok;
}

bool verdict_read(const char *dir, Findings *findings)
{
    *findings = (Findings){0};
    char *path = xfmt("%s/" VERDICT_FILE, dir);
    bool ok = (!folder_has(dir, STATS_FILE) || verdict_read_stats(dir, findings)) &&
              (!folder_has(dir, VERDICT_FILE) || load_verdict(path, findings));
    free(path);
    worst_first(findings);
    return ok;
}
