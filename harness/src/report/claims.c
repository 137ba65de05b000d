#include "report/claims.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "record/metric.h"

const char *const claim_verdict_names[CLAIM_VERDICTS] = {"holds", "open", "fails"};

static const char best_ref[] = "best_ref";

static const CfgDerived *derived_of(const Experiment *experiment, const char *metric)
{
    for (unsigned i = 0; i < experiment->derived_count; i++)
        if (strcmp(experiment->derived[i].name, metric) == 0) return &experiment->derived[i];
    return NULL;
}

static const char *expression_of(const Experiment *experiment, const char *metric)
{
    const CfgDerived *derived = derived_of(experiment, metric);
    return derived ? derived->expr : metric;
}

static bool more_is_better(const Results *results, const CfgClaim *claim)
{
    const CfgDerived *derived = derived_of(&results->experiment, claim->metric);
    if (derived) return derived->direction == DIRECTION_UP;
    const Workload *workload = experiment_workload(&results->experiment, results_cell(results, claim->cell)->workload);
    const CfgMetric *metric = metric_of(workload, (RunColumn)run_column(claim->metric));
    return metric && metric->direction == DIRECTION_UP;
}

// The reference with the best median in the claim's cell; NULL without a figure of any.
static const char *best_reference(const Results *results, const CfgClaim *claim)
{
    const char *best = NULL, *expr = expression_of(&results->experiment, claim->metric);
    const bool up = more_is_better(results, claim);
    double best_median = 0;
    for (unsigned a = 0; a < results->experiment.arm_count; a++) {
        const Arm *arm = &results->experiment.arms[a];
        if (strcmp(arm->role, "ref") != 0) continue;
        Spread spread = results_expression_spread(results, claim->cell, arm->name, expr);
        if (!spread.n || (best && (spread.median > best_median) != up)) continue;
        best = arm->name;
        best_median = spread.median;
    }
    return best;
}

static ClaimVerdict verdict_of(const CfgClaim *claim, const ClaimFigure *figure)
{
    bool holds = true, fails = false;
    if (isnan(figure->median)) return CLAIM_OPEN;
    if (claim->at_least)
        holds = holds && figure->lo >= *claim->at_least, fails = fails || figure->hi < *claim->at_least;
    if (claim->at_most) holds = holds && figure->hi <= *claim->at_most, fails = fails || figure->lo > *claim->at_most;
    return fails ? CLAIM_FAILS : holds ? CLAIM_HOLDS : CLAIM_OPEN;
}

static bool has_cell(const Results *results, const char *cell_id)
{
    return list_has(&results->cells, cell_id);
}

// Fewer than six rounds have no interval. Then all of them must be on one side of the bound.
ClaimFigure claim_figure(const Results *results, const CfgClaim *claim)
{
    ClaimFigure figure = {.median = NAN, .lo = NAN, .hi = NAN, .verdict = CLAIM_OPEN};
    if (!has_cell(results, claim->cell)) return figure; // the run was filtered
    const char *expr = expression_of(&results->experiment, claim->metric);
    figure.versus = claim->vs && strcmp(claim->vs, best_ref) == 0 ? best_reference(results, claim) : claim->vs;
    if (claim->vs && !figure.versus) return figure;
    Spread spread = figure.versus ? results_expression_ratio(results, claim->cell, claim->arm, figure.versus, expr)
                                  : results_expression_spread(results, claim->cell, claim->arm, expr);
    if (spread.n == 0) return figure;
    const bool has_interval = isfinite(spread.ci_lo);
    figure.median = spread.median;
    figure.lo = has_interval ? spread.ci_lo : spread.min;
    figure.hi = has_interval ? spread.ci_hi : spread.max;
    figure.verdict = verdict_of(claim, &figure);
    return figure;
}

unsigned claims_of(const Results *results, ClaimVerdict verdict)
{
    unsigned count = 0;
    for (unsigned i = 0; i < results->experiment.claims_count; i++)
        count += claim_figure(results, &results->experiment.claims[i]).verdict == verdict;
    return count;
}

char *claim_bound_text(const CfgClaim *claim)
{
    if (claim->at_least && claim->at_most) return xfmt("%g to %g", *claim->at_least, *claim->at_most);
    return claim->at_least ? xfmt("at least %g", *claim->at_least) : xfmt("at most %g", *claim->at_most);
}

TextTable claims_table(const Results *results)
{
    static const char *const head[] = {"claim", "cell", "arm", "metric", "against", "bound", "figure", "from", "to"};
    TextTable table = {.left = 6};
    if (results->experiment.claims_count == 0) return table;
    StrList *row = text_table_row(&table);
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        list_add(row, head[i]);
    for (unsigned i = 0; i < results->experiment.claims_count; i++) {
        const CfgClaim *claim = &results->experiment.claims[i];
        const ClaimFigure figure = claim_figure(results, claim);
        const double numbers[] = {figure.median, figure.lo, figure.hi};
        row = text_table_row(&table);
        list_add(row, claim_verdict_names[figure.verdict]);
        list_add(row, claim->cell);
        list_add(row, claim->arm);
        list_add(row, claim->metric);
        list_add(row, figure.versus ? figure.versus : claim->vs ? claim->vs : "-");
        text_table_add(row, claim_bound_text(claim));
        for (unsigned n = 0; n < 3; n++)
            text_table_add(row, isnan(numbers[n]) ? xstrdup("-") : xfmt("%.4g", numbers[n]));
    }
    return table;
}
