#include "gate/verdict.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "base/csvio.h"
#include "base/files.h"
#include "base/util.h"

const char *const verdict_direction_names[VERDICT_DIRECTIONS] = {"up", "down"};

// Before the numbers; behind them come the verdict and where the threshold is from.
static const char *const text_columns[] = {"cell_id", "workload", "params", "metric", "direction", "base", "cand"};
enum { TEXTS = sizeof text_columns / sizeof *text_columns, COLUMNS = TEXTS + FINDING_NUMBERS + 2 };

static void put_header(FILE *out)
{
    const char *columns[COLUMNS];
    for (unsigned i = 0; i < TEXTS; i++)
        columns[i] = text_columns[i];
    for (unsigned i = 0; i < FINDING_NUMBERS; i++)
        columns[TEXTS + i] = finding_number_names[i];
    columns[COLUMNS - 2] = "verdict";
    columns[COLUMNS - 1] = "threshold_from";
    csv_put_row(out, columns, COLUMNS);
}

static char *number_text(double value)
{
    return isfinite(value) ? xfmt("%.10g", value) : xstrdup("");
}

static void put_finding(const Finding *f, FILE *out)
{
    assert(f->verdict < VERDICT_COUNT);
    const char *fields[COLUMNS] = {f->cell_id, f->workload, f->params, f->metric, verdict_direction_names[f->direction],
                                   f->base,    f->cand};
    char *numbers[FINDING_NUMBERS];
    for (unsigned i = 0; i < FINDING_NUMBERS; i++)
        fields[TEXTS + i] = numbers[i] = number_text(finding_number(f, i));
    fields[COLUMNS - 2] = f->verdict == VERDICT_UNGATED ? "" : verdict_names[f->verdict];
    fields[COLUMNS - 1] = isfinite(f->threshold) ? threshold_from_names[f->threshold_from] : "";
    csv_put_row(out, fields, COLUMNS);
    for (unsigned i = 0; i < FINDING_NUMBERS; i++)
        free(numbers[i]);
}

bool verdict_write_stats(const char *dir, const Findings *findings)
{
    char *path = xfmt("%s/" STATS_FILE, dir);
    FILE *out = file_create(path);
    if (out) put_header(out);
    for (unsigned i = 0; out && i < findings->count; i++)
        put_finding(&findings->items[i], out);
    bool ok = file_finish(out, path);
    free(path);
    return ok;
}

static json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *known_json(const CfgKnown *known)
{
    return json_pack("{s:s, s:s, s:s?, s:s, s:s}", "cell_id", known->cell, "metric", known->metric, "cand", known->arm,
                     "until", known->until, "why", known->why);
}

static json_t *finding_json(const Finding *f)
{
    assert(f->n >= 0 && f->missing >= 0);
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "cell_id", f->cell_id, "metric", f->metric,
                               "direction", verdict_direction_names[f->direction], "base", f->base, "cand", f->cand,
                               finding_number_names[0], (int)f->n);
    for (unsigned i = 1; i < FINDING_NUMBERS; i++)
        json_object_set_new(object, finding_number_names[i], number_json(finding_number(f, i)));
    json_object_set_new(object, "verdict", json_string(verdict_names[f->verdict]));
    json_object_set_new(object, "confirmed",
                        f->confirmation == CONFIRM_UNKNOWN ? json_null()
                                                           : json_boolean(f->confirmation == CONFIRM_YES));
    json_object_set_new(object, "threshold_from",
                        isfinite(f->threshold) ? json_string(threshold_from_names[f->threshold_from]) : json_null());
    json_object_set_new(object, "missing", json_integer((int)f->missing));
    json_object_set_new(object, "known", f->known ? known_json(f->known) : json_null());
    return object;
}

static json_t *failures_json(const Findings *findings)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < findings->failure_count; i++) {
        const Failure *f = &findings->failures[i];
        json_array_append_new(array,
                              json_pack("{s:s, s:s, s:s, s:i, s:s}", "cell_id", f->cell_id, "allocator", f->allocator,
                                        "status", f->status, "count", (int)f->count, "reason", f->reason));
    }
    return array;
}

static json_t *expired_json(const Findings *findings)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < findings->expired_count; i++)
        json_array_append_new(array, known_json(&findings->expired[i]));
    return array;
}

bool verdict_write_json(const char *dir, const Findings *findings, HzbExit exit_code)
{
    assert(findings->overall != OVERALL_UNJUDGED);
    json_t *cells = json_array();
    for (unsigned i = 0; i < findings->count; i++)
        if (findings->items[i].verdict != VERDICT_UNGATED)
            json_array_append_new(cells, finding_json(&findings->items[i]));
    json_t *root = json_pack("{s:i, s:i, s:s, s:o, s:o, s:o}", "version", VERDICT_JSON_VERSION, "exit_code",
                             (int)exit_code, "overall", overall_names[findings->overall], "cells", cells, "failures",
                             failures_json(findings), "known_expired", expired_json(findings));
    char *path = xfmt("%s/" VERDICT_FILE, dir);
    bool ok = root && json_dump_file(root, path, JSON_INDENT(2) | JSON_DIGITS) == 0;
    if (!ok) hzb_error("%s: cannot be written", path);
    json_decref(root);
    free(path);
    return ok;
}
