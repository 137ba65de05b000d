#include "report/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "gate/verdict.h"
#include "record/manifest.h"

bool report_load(const char *dir, Report *report)
{
    *report = (Report){0};
    return results_load(dir, &report->results) && verdict_read(dir, &report->findings) &&
           rejected_load(dir, &report->rejected) && (report->manifest = manifest_json(dir));
}

const char *report_overall(const Report *report)
{
    return overall_names[report->findings.overall];
}

static unsigned confirmed_regressions(const Findings *findings)
{
    unsigned count = 0;
    for (unsigned i = 0; i < findings->count; i++)
        count += findings->items[i].verdict == VERDICT_REGRESSION && findings->items[i].confirmation == CONFIRM_YES;
    return count;
}

char *report_sentence(const Report *report)
{
    const Findings *findings = &report->findings;
    if (findings->count == 0 && findings->overall == OVERALL_UNJUDGED)
        return xstrdup("No verdict: there is nothing to compare with, or hzb gate has not been run.");
    char *text = xfmt("%u comparisons:", findings->count);
    const char *separator = " ";
    for (Verdict verdict = 0; verdict < VERDICT_COUNT; verdict++) {
        unsigned count = findings_of(findings, verdict), confirmed = confirmed_regressions(findings);
        const unsigned known = findings_known(findings);
        if (count == 0) continue;
        char *next = xfmt("%s%s%u %s", text, separator, count, verdict_names[verdict]);
        if (verdict == VERDICT_REGRESSION) next = xfmt("%s (%u confirmed)", next, confirmed);
        if (verdict == VERDICT_REGRESSION && known > 0) next = xfmt("%s, %u of them known", next, known);
        free(text);
        text = next;
        separator = ", ";
    }
    return xfmt("%s. Failures: %u.", text, findings->failure_count);
}

char *report_probes(const Report *report)
{
    const ProbesMade probes = manifest_probes(report->manifest);
    if (probes.made + probes.left_out == 0 || !(probes.of_s > 0)) return xstrdup("");
    return xfmt("%u probes of the machine took %.1f of %.0f s (%.1f %%); %u were left out to keep it at that.",
                probes.made, probes.spent_s, probes.of_s, 100 * probes.spent_s / probes.of_s, probes.left_out);
}

const char *report_fact(const Report *report, const char *key, const char *inner_key)
{
    const json_t *value = json_object_get(report->manifest, key);
    if (inner_key) value = json_object_get(value, inner_key);
    const char *text = json_string_value(value);
    return text ? text : "?";
}
