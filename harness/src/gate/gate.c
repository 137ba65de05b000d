#include "gate/gate.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gate/failures.h"
#include "gate/known.h"
#include "gate/rule.h"
#include "stats/stats.h"

// The gate's threshold, or what equal libraries showed on this host if that is more; but at most so many times the
// gate's, for a host that noisy must not excuse every change.
static void set_threshold(const Noise *noise, Comparison *c)
{
    if (!c->gate || c->gate->exact) return;
    double asked = c->gate->threshold_pct / 100, seen = noise_p95(noise, c->cell, c->found.metric);
    c->found.threshold = asked;
    c->found.threshold_from = THRESHOLD_GATE;
    if (!(seen > asked)) return; // NAN is unknown
    bool too_much = seen > NOISE_CAP * asked;
    c->found.threshold = too_much ? NOISE_CAP * asked : seen;
    c->found.threshold_from = too_much ? THRESHOLD_CAPPED : THRESHOLD_NOISE;
}

// Over all gated comparisons of candidates; A/A arms are judged among themselves, they are not what is asked about.
static void adjust(Comparisons *list, bool gated)
{
    double *p = xcalloc(list->count, sizeof *p);
    for (unsigned i = 0; i < list->count; i++) {
        const Comparison *c = &list->items[i];
        assert(isnan(c->found.p) || (c->found.p > 0 && c->found.p <= 1));
        bool member = c->gate && !c->gate->exact && compare_is_gated(c) == gated;
        p[i] = member ? c->found.p : NAN;
    }
    stats_holm(p, list->count);
    for (unsigned i = 0; i < list->count; i++)
        if (!isnan(p[i])) list->items[i].found.p_holm = p[i];
    free(p);
}

static unsigned family_of(const Comparisons *list)
{
    unsigned count = 0;
    for (unsigned i = 0; i < list->count; i++)
        count += compare_has_p(&list->items[i]);
    return count;
}

Comparisons gate_judge_cells(const Results *results, const StrList *cells, RoundSet set, CompareScope scope,
                             const Noise *noise)
{
    Comparisons list = {0};
    for (unsigned i = 0; i < cells->count; i++)
        compare_cell(results, cells->items[i], set, scope, &list);
    for (unsigned i = 0; i < list.count; i++)
        set_threshold(noise, &list.items[i]);
    adjust(&list, true);
    adjust(&list, false);
    unsigned family = family_of(&list);
    for (unsigned i = 0; i < list.count; i++) {
        list.items[i].found.verdict = rule_verdict(&list.items[i]);
        list.items[i].found.visible = rule_visible_change(&list.items[i], family);
    }
    return list;
}

static bool is_regression(const Comparison *c)
{
    return c->found.verdict == VERDICT_REGRESSION;
}

bool gate_is_flagged(const Comparison *c)
{
    return compare_is_gated(c) && (is_regression(c) || c->found.verdict == VERDICT_IMPROVED);
}

StrList gate_flagged_cells(const Comparisons *list)
{
    StrList cells = {0};
    for (unsigned i = 0; i < list->count; i++) {
        const Comparison *c = &list->items[i];
        if (gate_is_flagged(c) && !list_has(&cells, c->found.cell_id)) list_add(&cells, c->found.cell_id);
    }
    return cells;
}

static bool same_question(const Comparison *a, const Comparison *b)
{
    return a->cell == b->cell && a->column == b->column && a->base == b->base && a->cand == b->cand;
}

// What the first set flagged about the same question, or NULL.
static Comparison *flagged_of(const Comparisons *first, const Comparison *again)
{
    for (unsigned i = 0; i < first->count; i++)
        if (gate_is_flagged(&first->items[i]) && same_question(&first->items[i], again)) return &first->items[i];
    return NULL;
}

// Until the second set has measured something, a planned one confirms nothing.
static Confirmation confirmation_by(const Comparison *again, Verdict flagged, bool is_planned)
{
    bool is_measured = again->found.n + again->found.missing > 0;
    if (!is_measured) return is_planned ? CONFIRM_NO : CONFIRM_UNKNOWN;
    return rule_verdict(again) == flagged ? CONFIRM_YES : CONFIRM_NO;
}

// The second set is asked only about what the first one flagged, so only that counts as a comparison.
static void confirm(const Results *results, const Noise *noise, Comparisons *first)
{
    StrList cells = gate_flagged_cells(first);
    Comparisons second = gate_judge_cells(results, &cells, SET_CONFIRM, COMPARE_GATED, noise);
    unsigned asked = 0;
    for (unsigned i = 0; i < second.count; i++) {
        if (!flagged_of(first, &second.items[i])) continue;
        second.items[asked] = second.items[i];
        second.items[asked++].found.p_holm = NAN;
    }
    second.count = asked;
    adjust(&second, true);
    for (unsigned i = 0; i < second.count; i++) {
        Comparison *flagged = flagged_of(first, &second.items[i]);
        assert(flagged); // confirming changes no verdict of the first set
        flagged->found.confirmation =
            confirmation_by(&second.items[i], flagged->found.verdict, results->experiment.rule.confirm);
    }
    free(second.items);
}

Comparisons gate_judge(const Results *results, const Noise *noise)
{
    Comparisons list = gate_judge_cells(results, &results->cells, SET_FIRST, COMPARE_ALL, noise);
    confirm(results, noise, &list);
    known_mark(&results->experiment, &list);
    return list;
}

// Of a base or a candidate. That a peer fails is worth a note, and nothing that the candidate can help.
static bool some_sample_failed(const RunRows *runs)
{
    for (unsigned i = 0; i < runs->count; i++)
        if (arm_is_asked(runs->rows[i].field[RUN_role]) && row_failed_by_itself(&runs->rows[i])) return true;
    return false;
}

// An A/A arm that is flagged is no regression, but makes all that was found doubtful.
static bool leaves_it_open(const Comparison *c)
{
    return (is_regression(c) && !c->found.known) || (compare_is_gated(c) && c->found.verdict == VERDICT_INCONCLUSIVE);
}

bool gate_is_blind(const Results *results, const Comparisons *comparisons)
{
    bool some_verdict = false;
    for (unsigned i = 0; i < comparisons->count; i++)
        some_verdict |=
            compare_is_gated(&comparisons->items[i]) && comparisons->items[i].found.verdict != VERDICT_INCONCLUSIVE;
    return results->runs.count < results->plan.count || !some_verdict;
}

Overall gate_overall(const Results *results, const Comparisons *comparisons)
{
    bool asked = false, failed = some_sample_failed(&results->runs), open = results->runs.count < results->plan.count;
    for (unsigned i = 0; i < comparisons->count; i++) {
        const Comparison *c = &comparisons->items[i];
        if (compare_is_gated(c)) {
            if (is_regression(c) && finding_is_red(&c->found)) return OVERALL_REGRESSION;
            failed |= finding_is_red(&c->found);
            asked = true;
        }
        open |= leaves_it_open(c);
    }
    if (failed) return OVERALL_FAILED;
    return asked && !open ? OVERALL_CLEAN : OVERALL_INCONCLUSIVE;
}

Findings gate_findings(const Results *results, const Comparisons *comparisons)
{
    Findings findings = {.overall = gate_overall(results, comparisons)};
    for (unsigned i = 0; i < comparisons->count; i++)
        findings_add(&findings, &comparisons->items[i].found);
    failures_collect(&results->runs, &findings);
    known_collect_expired(&results->experiment, &findings);
    return findings;
}
