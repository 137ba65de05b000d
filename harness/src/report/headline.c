#include "report/headline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "record/metric.h"

static void add(StrList *list, char *text)
{
    list_add(list, text);
    free(text);
}

static bool is_speed(const char *metric)
{
    size_t length = strlen(metric), tail = strlen("_per_s");
    return length > tail && strcmp(metric + length - tail, "_per_s") == 0;
}

// "12.3 % slower", "3.0 % more peak RSS".
static char *difference_text(const char *metric, double ratio)
{
    double pct = 100 * fabs(ratio - 1);
    const char *format = pct < 9.95 ? "%.1f %% %s%s%s" : "%.0f %% %s%s%s";
    if (is_speed(metric)) return xfmt(format, pct, ratio < 1 ? "slower" : "faster", "", "");
    char *label = metric_label(metric), *text = xfmt(format, pct, ratio < 1 ? "less" : "more", " ", label);
    free(label);
    return text;
}

// --- a judged record ---

static char *finding_sentence(const Finding *f)
{
    static const char *const confirmed[] = {"", ", not confirmed", ", confirmed"};
    const char *sure = f->known ? ", known" : confirmed[f->confirmation];
    if (isnan(f->ratio)) {
        char *change = finding_change_text(f), *label = metric_label(f->metric);
        char *text = xfmt("%s: %s %s in %s%s", f->cand, label, change, f->cell_id, sure);
        free(change);
        free(label);
        return text;
    }
    char *difference = difference_text(f->metric, f->ratio);
    char *text = xfmt("%s %s %s than %s in %s%s", f->cand, is_speed(f->metric) ? "is" : "has", difference, f->base,
                      f->cell_id, sure);
    free(difference);
    return text;
}

static bool is_worth_a_word(const Finding *f)
{
    return f->verdict == VERDICT_REGRESSION || f->verdict == VERDICT_FAILED || f->verdict == VERDICT_IMPROVED;
}

static void judged(const Findings *findings, StrList *list)
{
    unsigned all = 0;
    for (unsigned i = 0; i < findings->count; i++) {
        const Finding *f = &findings->items[i];
        if (!is_worth_a_word(f)) continue;
        if (++all >= HEADLINES_MAX) continue;
        add(list, f->verdict == VERDICT_FAILED ? xfmt("%s failed in %s", f->cand, f->cell_id) : finding_sentence(f));
    }
    if (all >= HEADLINES_MAX) add(list, xfmt("%u more", all - HEADLINES_MAX + 1));
    if (all == 0 && findings->overall == OVERALL_CLEAN) list_add(list, "Nothing got worse by more than its limit");
}

// --- a record without a verdict ---

typedef struct Best {
    const char *arm;
    double median;
} Best;

// Among all arms but one, which may be NULL.
static Best best_of(const Report *report, const char *cell_id, const CfgMetric *metric, const char *but)
{
    const Results *results = &report->results;
    Best best = {NULL, NAN};
    for (unsigned a = 0; a < results->experiment.arm_count; a++) {
        const char *arm = results->experiment.arms[a].name;
        if (but && strcmp(arm, but) == 0) continue;
        Spread spread = results_spread(&results->runs, cell_id, arm, (RunColumn)run_column(metric->name));
        if (spread.n == 0 || !(spread.median > 0)) continue;
        bool more = spread.median > best.median;
        if (!best.arm || more == (metric->direction == DIRECTION_UP)) best = (Best){arm, spread.median};
    }
    return best;
}

static const char *first_candidate(const Experiment *experiment)
{
    for (unsigned a = 0; a < experiment->arm_count; a++)
        if (strcmp(experiment->arms[a].role, "cand") == 0) return experiment->arms[a].name;
    return NULL;
}

static char *cell_sentence(const Report *report, const char *cell_id, const CfgMetric *metric, const char *cand)
{
    Best best = best_of(report, cell_id, metric, NULL);
    if (!best.arm) return NULL;
    char *figure = metric_text(metric->name, best.median), *label = metric_label(metric->name);
    const char *unit = metric_unit(metric->name), *rank = is_speed(metric->name) ? "fastest" : "best";
    const bool wins = cand && strcmp(best.arm, cand) == 0;
    Best other = wins ? best_of(report, cell_id, metric, cand) : (Best){NULL, NAN};
    if (cand && !wins) {
        Spread own = results_spread(&report->results.runs, cell_id, cand, (RunColumn)run_column(metric->name));
        if (own.n > 0) other = (Best){cand, own.median};
    }
    char *difference = other.arm ? difference_text(metric->name, other.median / best.median) : NULL;
    char *text = xfmt("%s: %s is %s (%s%s%s %s)%s%s%s%s%s", cell_id, best.arm, rank, figure, *unit ? " " : "", unit,
                      label, other.arm ? "; " : "", wins && other.arm ? "next is " : "", other.arm ? other.arm : "",
                      other.arm ? (wins                     ? ", "
                                   : is_speed(metric->name) ? " is "
                                                            : " has ")
                                : "",
                      difference ? difference : "");
    free(figure);
    free(label);
    free(difference);
    return text;
}

static void measured(const Report *report, StrList *list)
{
    const Results *results = &report->results;
    const char *cand = first_candidate(&results->experiment);
    for (unsigned c = 0; c < results->cells.count; c++) {
        const PlanRow *cell = results_cell(results, results->cells.items[c]);
        const Workload *workload = experiment_workload(&results->experiment, cell->workload);
        if (workload->metrics_count == 0 || results->experiment.arm_count < 2) continue;
        if (list->count + 1 == HEADLINES_MAX && c + 1 < results->cells.count) {
            add(list, xfmt("%u more cells", results->cells.count - c));
            return;
        }
        char *sentence = cell_sentence(report, cell->cell_id, &workload->metrics[0], cand);
        if (sentence) add(list, sentence);
    }
}

StrList headlines(const Report *report)
{
    StrList list = {0};
    if (report->findings.overall != OVERALL_UNJUDGED)
        judged(&report->findings, &list);
    else
        measured(report, &list);
    return list;
}
