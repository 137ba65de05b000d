#include "gate/gate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stats/stats.h"

static const double alpha = 0.05;

static void set_threshold(const Noise *noise, Comparison *c)
{
    if (!c->gate || c->gate->exact) return;
    c->threshold = c->gate->threshold_pct / 100;
    double seen = noise_p95(noise, c->cell, run_column_names[c->column]);
    if (seen > c->threshold) c->threshold = seen; /* false when it is NAN, unknown */
}

/* Over all gated comparisons of candidates; A/A arms are judged among themselves, they are not what is asked about. */
static void adjust(Comparisons *list, bool gated)
{
    double *p = xcalloc(list->count, sizeof *p);
    for (unsigned i = 0; i < list->count; i++) {
        const Comparison *c = &list->items[i];
        bool member = c->gate && !c->gate->exact && compare_is_gated(c) == gated;
        p[i] = member ? c->p : NAN;
    }
    stats_holm(p, list->count);
    for (unsigned i = 0; i < list->count; i++)
        if (!isnan(p[i])) list->items[i].p_holm = p[i];
    free(p);
}

static Ruling rule_exact(const Comparison *c)
{
    bool down = c->direction == DIRECTION_DOWN;
    if (down ? c->rounds_more : c->rounds_less) return RULING_REGRESSION;
    if (down ? c->rounds_less : c->rounds_more) return RULING_IMPROVED;
    return RULING_UNCHANGED;
}

static Ruling rule_interval(const Comparison *c)
{
    if (isnan(c->d_lo)) return RULING_INCONCLUSIVE;
    double limit = log1p(c->threshold), sign = compare_worse_sign(c);
    double worst = fmax(sign * c->d_lo, sign * c->d_hi), best = fmin(sign * c->d_lo, sign * c->d_hi);
    bool significant = c->p_holm<alpha, worse = sign * c->d> 0;
    if (worst <= limit && best >= -limit) return RULING_UNCHANGED;
    if (significant && worse && worst > limit) return RULING_REGRESSION;
    if (significant && !worse && best < -limit) return RULING_IMPROVED;
    return RULING_INCONCLUSIVE;
}

static Ruling rule(const Comparison *c)
{
    if (!c->gate) return RULING_NONE;
    if (c->cand->same_as) return strcmp(c->cand->same_as, c->base->name) == 0 ? RULING_IDENTICAL : RULING_INCONCLUSIVE;
    if (c->cand_failures || (c->measured && c->rounds_ok == 0)) return RULING_FAILED;
    /* It gives no memory back in most rounds. What it does in some rounds only is not judged by those alone. */
    if (c->kept > c->n) return RULING_REGRESSION;
    if (c->n == 0) return RULING_INCONCLUSIVE;
    Ruling ruling = c->gate->exact ? rule_exact(c) : rule_interval(c);
    bool is_whole = c->missing == 0 && !(ruling == RULING_IMPROVED && c->failures);
    return ruling == RULING_REGRESSION || is_whole ? ruling : RULING_INCONCLUSIVE;
}

static Comparisons judge_cells(const Results *results, const StrList *cells, RoundSet set, CompareScope scope,
                               const Noise *noise)
{
    Comparisons list = {0};
    for (unsigned i = 0; i < cells->count; i++)
        compare_cell(results, cells->items[i], set, scope, &list);
    for (unsigned i = 0; i < list.count; i++)
        set_threshold(noise, &list.items[i]);
    adjust(&list, true);
    adjust(&list, false);
    for (unsigned i = 0; i < list.count; i++)
        list.items[i].ruling = rule(&list.items[i]);
    return list;
}

static StrList flagged_cells(const Comparisons *list)
{
    StrList cells = {0};
    for (unsigned i = 0; i < list->count; i++) {
        const Comparison *c = &list->items[i];
        if (c->ruling == RULING_REGRESSION && compare_is_gated(c) && !list_has(&cells, c->cell->cell_id))
            list_add(&cells, c->cell->cell_id);
    }
    return cells;
}

static bool same_question(const Comparison *a, const Comparison *b)
{
    return a->cell == b->cell && a->column == b->column && a->base == b->base && a->cand == b->cand;
}

/* The second set is asked only about what the first one flagged, so only that counts as a comparison. Where it has not
   been measured yet, or in vain, nothing is confirmed. */
static void confirm(const Results *results, const Noise *noise, Comparisons *first)
{
    StrList cells = flagged_cells(first);
    Comparisons second = {0}, all = judge_cells(results, &cells, SET_CONFIRM, COMPARE_GATED, noise);
    for (unsigned i = 0; i < all.count; i++) {
        for (unsigned f = 0; f < first->count; f++) {
            const Comparison *flagged = &first->items[f];
            if (flagged->ruling != RULING_REGRESSION || !same_question(flagged, &all.items[i])) continue;
            if (results->experiment.rule.confirm && compare_is_gated(flagged))
                first->items[f].confirmation = CONFIRM_NO;
            second.items = xrealloc(second.items, second.count + 1, sizeof *second.items);
            second.items[second.count] = all.items[i];
            second.items[second.count++].p_holm = NAN;
        }
    }
    adjust(&second, true);
    for (unsigned i = 0; i < second.count; i++)
        for (unsigned f = 0; f < first->count; f++)
            if (second.items[i].n + second.items[i].missing > 0 && compare_is_gated(&first->items[f]) &&
                same_question(&first->items[f], &second.items[i]))
                first->items[f].confirmation = rule(&second.items[i]) == RULING_REGRESSION ? CONFIRM_YES : CONFIRM_NO;
    free(all.items);
    free(second.items);
}

Comparisons gate_judge(const Results *results, const Noise *noise)
{
    Comparisons list = judge_cells(results, &results->cells, SET_FIRST, COMPARE_ALL, noise);
    confirm(results, noise, &list);
    return list;
}

Overall gate_overall(const Results *results, const Comparisons *comparisons)
{
    Overall overall = results->runs.count < results->plan.count ? OVERALL_INCONCLUSIVE : OVERALL_CLEAN;
    bool is_asked = false, failed = false;
    for (unsigned i = 0; i < comparisons->count; i++) {
        const Comparison *c = &comparisons->items[i];
        is_asked |= compare_is_gated(c);
        failed |= compare_is_gated(c) && c->ruling == RULING_FAILED;
        bool flagged = c->ruling == RULING_REGRESSION;
        if (compare_is_gated(c) && flagged && c->confirmation != CONFIRM_NO) return OVERALL_REGRESSION;
        if (flagged || (compare_is_gated(c) && c->ruling == RULING_INCONCLUSIVE)) overall = OVERALL_INCONCLUSIVE;
    }
    for (unsigned i = 0; i < results->runs.count; i++)
        failed |= row_failed_by_itself(&results->runs.rows[i]);
    return failed ? OVERALL_FAILED : is_asked ? overall : OVERALL_INCONCLUSIVE;
}

/* The least p of n rounds is 2^(1-n), which Holm multiplies by the number of comparisons. */
static unsigned rounds_needed(unsigned comparisons)
{
    unsigned n = 1;
    while (comparisons * ldexp(1, 1 - (int)n) >= alpha)
        n++;
    return n;
}

static bool has_p(const Comparison *c)
{
    return compare_is_gated(c) && !c->gate->exact;
}

/* Of an experiment, whatever was measured of it. */
static unsigned family_size(const Experiment *experiment, const Plan *plan)
{
    Results results = {.experiment = *experiment, .plan = *plan, .cells = plan_cells(plan)};
    Comparisons list = {0};
    unsigned size = 0;
    for (unsigned i = 0; i < results.cells.count; i++)
        compare_cell(&results, results.cells.items[i], SET_FIRST, COMPARE_GATED, &list);
    for (unsigned i = 0; i < list.count; i++)
        size += has_p(&list.items[i]);
    list_free(&results.cells);
    free(list.items);
    return size;
}

/* Narrow: no wider than the threshold, so that a change as large as that does not hide in it, from enough rounds to
   flag it. An interval that lies inside the threshold answers the question however wide it is. Neither looks at p. What
   has no pairs gets none by more rounds, unless it was the machine that spoilt them. */
static bool is_answered(const Comparison *c, unsigned needed)
{
    if (!has_p(c) || c->cand->same_as) return true;
    if (c->n == 0) return c->rounds_ok > 0 || c->cand_failures || !c->disturbed;
    return c->ruling == RULING_UNCHANGED || (c->n >= needed && c->d_hi - c->d_lo <= log1p(c->threshold));
}

static bool cell_is_answered(const Results *results, const char *cell_id, RoundSet set, const GateState *state)
{
    const StrList cells = {(char *[]){(char *)cell_id}, 1};
    Comparisons list = judge_cells(results, &cells, set, COMPARE_GATED, &state->noise);
    const Plan *whole = state->whole ? state->whole : &results->plan; /* the merged slices are judged together */
    unsigned needed = rounds_needed(set == SET_FIRST ? family_size(&results->experiment, whole) : state->flags);
    bool answered = true;
    for (unsigned i = 0; answered && i < list.count; i++)
        answered = is_answered(&list.items[i], needed);
    free(list.items);
    return answered;
}

/* Of processes that ended, before the one with number `seq`: what a killed hzb was doing does not count twice after a
   resume. */
static double spent_s(const RunRows *runs, unsigned seq)
{
    double sum = 0, wall_s, at;
    for (unsigned i = 0; runs && i < runs->count; i++)
        if (row_number(&runs->rows[i], RUN_seq, &at) && at < seq && row_number(&runs->rows[i], RUN_wall_s, &wall_s))
            sum += wall_s;
    return sum;
}

static bool is_flagged(const Results *results, GateState *state, const char *cell_id)
{
    if (!state->first_judged) {
        Comparisons first = judge_cells(results, &results->cells, SET_FIRST, COMPARE_GATED, &state->noise);
        state->flagged = flagged_cells(&first);
        for (unsigned i = 0; i < first.count; i++)
            state->flags += has_p(&first.items[i]) && first.items[i].ruling == RULING_REGRESSION;
        state->first_judged = true;
        free(first.items);
    }
    return list_has(&state->flagged, cell_id);
}

static bool something_runs(const Experiment *experiment)
{
    for (unsigned i = 0; i < experiment->arm_count; i++)
        if (strcmp(experiment->arms[i].role, "base") != 0 && !experiment->arms[i].same_as) return true;
    return experiment->rule.gates_count == 0;
}

const char *gate_arm_skip_reason(const Experiment *experiment, const PlanRow *row)
{
    const CellRounds *rounds = experiment_rounds(experiment, row->cell_id);
    if (experiment_arm(experiment, row->allocator)->same_as)
        return "identical: the base has the same library and environment";
    bool asked = strcmp(row->role, "base") == 0 || strcmp(row->role, "cand") == 0;
    return rounds && row->round > rounds->first && !asked ? "gate: only candidates need to be confirmed" : NULL;
}

char *gate_skip_reason(const Results *results, GateState *state)
{
    const PlanRow *row = &results->plan.rows[results->runs.count];
    const Rule *rules = &results->experiment.rule;
    const CellRounds *rounds = experiment_rounds(&results->experiment, row->cell_id);
    if (!something_runs(&results->experiment)) return xstrdup("identical: there is nothing to compare");
    if (rules->gates_count == 0 || !rounds) return NULL;
    bool second = row->round > rounds->first;
    if (second && !is_flagged(results, state, row->cell_id)) return xstrdup("gate: nothing to confirm");
    if (row->round - (second ? rounds->first : 0) <= rounds->min) return NULL;
    /* Half of it is kept for the second set, which would else confirm with less than it took to flag. */
    double budget_s = rules->confirm && !second ? rules->budget_s / 2 : rules->budget_s;
    if (rules->budget_s > 0 && spent_s(&results->runs, row->seq) + spent_s(state->rejected, row->seq) > budget_s)
        return xfmt("gate: the budget of %g s is spent", budget_s);
    bool enough = cell_is_answered(results, row->cell_id, second ? SET_CONFIRM : SET_FIRST, state);
    return enough ? xstrdup("gate: the interval is narrow enough") : NULL;
}

void gate_warn_if_blind(const Experiment *experiment, const Plan *whole)
{
    unsigned family = family_size(experiment, whole), needed = rounds_needed(family);
    for (unsigned i = 0; i < experiment->rule.cells_count && family > 0; i++) {
        const CellRounds *cell = &experiment->rule.cells[i];
        if (cell->first < needed)
            hzb_note("cell '%s': %u rounds can flag nothing among %u comparisons; it takes %u", cell->cell_id,
                     cell->first, family, needed);
        if (cell->first > WILCOXON_N_MAX)
            hzb_note("cell '%s': more than %d rounds have no p, so nothing can be flagged once %u were measured",
                     cell->cell_id, WILCOXON_N_MAX, cell->first);
    }
}
