#include "report/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "gate/verdict.h"
#include "record/manifest.h"
#include "report/ranking.h"

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

// How the candidates rank; NULL if nobody is ranked.
static char *ranking_sentences(const Report *report)
{
    const Experiment *experiment = &report->results.experiment;
    char *text = NULL;
    for (unsigned i = 0; i < experiment->ranking.count; i++) {
        int column = run_column(experiment->ranking.items[i]);
        if (column < 0) continue; // a record of another hzb
        Ranking ranking = ranking_make(&report->results, (RunColumn)column);
        for (unsigned a = 0; a < experiment->arm_count; a++) {
            if (strcmp(experiment->arms[a].role, "cand") != 0) continue;
            char *sentence = ranking_sentence(&ranking, experiment->arms[a].name);
            char *next = sentence ? xfmt("%s%s%s.", text ? text : "", text ? " " : "", sentence) : NULL;
            free(sentence);
            if (!next) continue;
            free(text);
            text = next;
        }
        ranking_free(&ranking);
    }
    return text;
}

// Empty if all that was planned is recorded.
static char *partial_text(const Results *results)
{
    if (results->runs.count >= results->plan.count) return xstrdup("");
    return xfmt(" The record is not whole: %u of %u samples; hzb resume goes on.", results->runs.count,
                results->plan.count);
}

char *report_sentence(const Report *report)
{
    const Findings *findings = &report->findings;
    char *partial = partial_text(&report->results);
    char *ranked = findings->count == 0 ? ranking_sentences(report) : NULL;
    if (ranked) return xfmt("%s%s", ranked, partial);
    if (findings->count == 0 && findings->overall == OVERALL_UNJUDGED)
        return xfmt("No verdict: there is nothing to compare with, or hzb gate has not been run.%s", partial);
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
    return xfmt("%s. Failures: %u.%s", text, findings->failure_count, partial);
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
