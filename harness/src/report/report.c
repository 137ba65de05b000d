#include "report/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "record/manifest.h"
#include "report/plot.h"

const char *report_overall(const Report *report)
{
    return report->findings.overall ? report->findings.overall : "unjudged";
}

static unsigned confirmed_regressions(const Findings *findings)
{
    unsigned count = 0;
    for (unsigned i = 0; i < findings->count; i++)
        count += findings->items[i].verdict == VERDICT_REGRESSION && findings->items[i].confirmed == CONFIRMED_YES;
    return count;
}

char *report_sentence(const Report *report)
{
    const Findings *findings = &report->findings;
    if (findings->count == 0 && !findings->overall)
        return xstrdup("No verdict: there is nothing to compare with, or hzb gate has not been run.");
    char *text = xfmt("%u comparisons:", findings->count);
    const char *separator = " ";
    for (Verdict verdict = 0; verdict < VERDICT_COUNT; verdict++) {
        unsigned count = findings_of(findings, verdict), confirmed = confirmed_regressions(findings);
        if (count == 0) continue;
        char *next = xfmt("%s%s%u %s", text, separator, count, verdict_names[verdict]);
        if (verdict == VERDICT_REGRESSION) next = xfmt("%s (%u confirmed)", next, confirmed);
        free(text);
        text = next;
        separator = ", ";
    }
    return xfmt("%s. Failures: %u.", text, findings->failure_count);
}

const char *report_fact(const Report *report, const char *key, const char *inner_key)
{
    const json_t *value = json_object_get(report->manifest, key);
    if (inner_key) value = json_object_get(value, inner_key);
    const char *text = json_string_value(value);
    return text ? text : "?";
}

static bool write_report(const Report *report, const char *name, void (*write)(const Report *report, FILE *out))
{
    char *path = xfmt("%s/%s", report->results.dir, name);
    FILE *out = fopen(path, "we");
    if (out) write(report, out);
    bool ok = out && !ferror(out);
    if (out) ok = fclose(out) == 0 && ok;
    if (ok)
        printf("%s\n", path);
    else
        hzb_error("%s: %s", path, strerror(errno));
    free(path);
    return ok;
}

HzbExit command_report(const Options *options)
{
    Report report = {0};
    const char *dir = options_result_dir(options);
    if (!results_load(dir, &report.results) || !findings_load(dir, &report.findings) ||
        !rejected_load(dir, &report.rejected) || !(report.manifest = manifest_json(dir)))
        return HZB_IO;
    bool ok = plots_complete(&report.results, options->plots_dir) &&
              write_report(&report, "report.html", report_page) && write_report(&report, "report.md", report_markdown);
    json_decref(report.manifest);
    return ok ? HZB_OK : HZB_IO;
}
