// The end of the page: what went wrong, what did not count, and where it was measured.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/html.h"
#include "report/report_page.h"

static void cell(FILE *out, const char *class, const char *text)
{
    fprintf(out, "<td class=\"%s\">", class);
    html_text(out, text ? text : "");
    fputs("</td>", out);
}

static void sample_row(const RunRow *row, FILE *out)
{
    fputs("<tr>", out);
    cell(out, "", row->field[RUN_cell_id]);
    cell(out, "l", row->field[RUN_allocator]);
    cell(out, "", row->field[RUN_seq]);
    cell(out, "", row->field[RUN_round]);
    cell(out, "l v-failed", row->field[RUN_status]);
    cell(out, "l wrap", row->field[RUN_invalid_reason]);
    fputs("</tr>\n", out);
}

static const char samples_head[] =
    "<div class=\"wide\"><table><thead><tr><th>cell</th><th class=\"l\">allocator</th><th>seq</th><th>round</th>"
    "<th class=\"l\">status</th><th class=\"l\">reason</th></tr></thead>\n<tbody>\n";
static const char table_end[] = "</tbody></table></div>\n";

static bool is_failure(const RunRow *row)
{
    return !row_status_is(row, "ok") && !row_status_is(row, "skipped") && !row_status_is(row, "invalid");
}

static bool is_invalid(const RunRow *row)
{
    return row_status_is(row, "invalid");
}

static unsigned sample_table(const RunRows *rows, bool (*wanted)(const RunRow *row), FILE *out)
{
    unsigned count = 0;
    for (unsigned i = 0; i < rows->count; i++) {
        if (!wanted(&rows->rows[i])) continue;
        if (count++ == 0) fputs(samples_head, out);
        sample_row(&rows->rows[i], out);
    }
    if (count) fputs(table_end, out);
    return count;
}

// What only the gate knows, such as an allocator that failed more often than its base.
static void gate_failures(const Findings *findings, FILE *out)
{
    if (findings->failure_count == 0) return;
    fputs("<p>Counted by the gate:</p><ul>\n", out);
    for (unsigned i = 0; i < findings->failure_count; i++) {
        const Failure *failure = &findings->failures[i];
        fputs("<li>", out);
        html_fmt(out, "%s, %s: %s", failure->cell_id, failure->allocator, failure->status);
        if (!isnan(failure->count)) fprintf(out, ", %.0f times", failure->count);
        if (*failure->reason) html_fmt(out, " (%s)", failure->reason);
        fputs("</li>\n", out);
    }
    fputs("</ul>\n", out);
}

void report_failures(const Report *report, FILE *out)
{
    fputs("<h2 id=\"failures\">Failures</h2>\n", out);
    gate_failures(&report->findings, out);
    if (sample_table(&report->results.runs, is_failure, out) == 0) fputs("<p>No sample failed.</p>\n", out);
}

// Reasons begin with a word and a colon; a whole block that was made invalid carries the word of its cause.
static char *reason_kind(const RunRow *row)
{
    const char *reason = row->field[RUN_invalid_reason];
    return xfmt("%.*s", (int)strcspn(reason, ":"), reason);
}

static unsigned kind_count(const RunRows *rows, const char *kind)
{
    unsigned count = 0;
    for (unsigned i = 0; i < rows->count; i++) {
        char *own = is_invalid(&rows->rows[i]) ? reason_kind(&rows->rows[i]) : NULL;
        count += own && strcmp(own, kind) == 0;
        free(own);
    }
    return count;
}

static void collect_kinds(const RunRows *rows, StrList *kinds)
{
    for (unsigned i = 0; i < rows->count; i++) {
        if (!is_invalid(&rows->rows[i])) continue;
        char *kind = reason_kind(&rows->rows[i]);
        if (!list_has(kinds, kind)) list_add(kinds, kind);
        free(kind);
    }
}

void report_invalid(const Report *report, FILE *out)
{
    StrList kinds = {0};
    collect_kinds(&report->results.runs, &kinds);
    collect_kinds(&report->rejected, &kinds);
    fputs("<h2 id=\"invalid\">Invalid samples</h2>\n", out);
    if (kinds.count == 0) {
        fputs("<p>Every sample that was measured counts.</p>\n", out);
        return;
    }
    fputs("<div class=\"wide\"><table><thead><tr><th>reason</th><th>does not count</th><th>measured "
          "again</th></tr></thead>"
          "\n<tbody>\n",
          out);
    for (unsigned i = 0; i < kinds.count; i++) {
        fputs("<tr>", out);
        cell(out, "", kinds.items[i]);
        fprintf(out, "<td>%u</td><td>%u</td></tr>\n", kind_count(&report->results.runs, kinds.items[i]),
                kind_count(&report->rejected, kinds.items[i]));
    }
    fputs(table_end, out);
    sample_table(&report->results.runs, is_invalid, out);
}

static char *json_to_text(const json_t *value)
{
    if (json_is_string(value)) return xstrdup(json_string_value(value));
    if (!value || json_is_null(value)) return xstrdup("unknown");
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_DIGITS), *copy = xstrdup(text ? text : "?");
    free(text);
    return copy;
}

static void fact(FILE *out, const char *name, const json_t *value)
{
    char *text = json_to_text(value);
    fputs("<tr><td>", out);
    html_text(out, name);
    fputs("</td>", out);
    cell(out, "l wrap", text);
    fputs("</tr>\n", out);
    free(text);
}

static void facts_table(const json_t *object, FILE *out)
{
    const char *key;
    json_t *value;
    fputs("<div class=\"wide\"><table><tbody>\n", out);
    json_object_foreach((json_t *)object, key, value)
    {
        fact(out, key, value);
    }
    fputs(table_end, out);
}

static char *texts(const json_t *array)
{
    char *text = xstrdup("");
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)array, i, item)
    {
        text = xfmt("%s%s%s", text, i ? " " : "", json_string_value(item));
    }
    return text;
}

// Allocators or programs: name, file, the bytes that were measured, and what was set.
static void files_table(const json_t *array, const char *what, const char *path_key, const char *list_key, FILE *out)
{
    size_t i;
    json_t *item;
    fprintf(out,
            "<h3>%s</h3>\n<div class=\"wide\"><table><thead><tr><th>name</th><th class=\"l\">file</th>"
            "<th class=\"l\">sha256</th><th class=\"l\">%s</th></tr></thead>\n<tbody>\n",
            what, list_key);
    json_array_foreach((json_t *)array, i, item)
    {
        const char *path = json_string_value(json_object_get(item, path_key));
        const char *sha256 = json_string_value(json_object_get(item, "sha256"));
        char *list = texts(json_object_get(item, list_key)), *short_sha = xfmt("%.12s", sha256 ? sha256 : "");
        fputs("<tr>", out);
        cell(out, "", json_string_value(json_object_get(item, "name")));
        cell(out, "l wrap", path ? path : "the C library's");
        cell(out, "l", short_sha);
        cell(out, "l wrap", list);
        fputs("</tr>\n", out);
        free(list);
        free(short_sha);
    }
    fputs(table_end, out);
}

// A merged folder has several machines.
static void hosts(const Report *report, FILE *out)
{
    const json_t *shards = json_object_get(report->manifest, "shards");
    if (!shards) {
        facts_table(json_object_get(report->manifest, "host"), out);
        return;
    }
    for (size_t i = 0; i < json_array_size(shards); i++) {
        const json_t *shard = json_array_get(shards, i);
        fputs("<h3>", out);
        html_fmt(out, "shard %s", json_string_value(json_object_get(shard, "run_id")));
        fputs("</h3>\n", out);
        facts_table(json_object_get(shard, "host"), out);
    }
}

void report_environment(const Report *report, FILE *out)
{
    char *command = texts(json_object_get(report->manifest, "command_line"));
    fputs("<h2 id=\"environment\">Environment</h2>\n<p class=\"dim\"><code>", out);
    html_text(out, command);
    fputs("</code></p>\n", out);
    hosts(report, out);
    files_table(json_object_get(report->manifest, "allocators"), "Allocators", "preload", "env", out);
    files_table(json_object_get(report->manifest, "workloads"), "Programs", "bin", "argv", out);
    char *probes = report_probes(report);
    fputs("<p>", out);
    html_text(out, probes);
    fputs("</p>\n<h3>Limits</h3>\n", out);
    free(probes);
    facts_table(json_object_get(report->manifest, "limits"), out);
    free(command);
}
