#include "gate/stopping.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gate/rule.h"
#include "stats/stats.h"

// An exact gate is answered by any round.
static bool is_estimated(const Comparison *c)
{
    return compare_is_gated(c) && !c->gate->exact && !compare_is_identical(c);
}

// Of an experiment, whatever was measured of it.
static unsigned family_size(const Experiment *experiment, const Plan *plan)
{
    Results results = {.experiment = *experiment, .plan = *plan, .cells = plan_cells(plan)};
    Comparisons list = {0};
    unsigned size = 0;
    for (unsigned i = 0; i < results.cells.count; i++)
        compare_cell(&results, results.cells.items[i], SET_FIRST, COMPARE_GATED, &list);
    for (unsigned i = 0; i < list.count; i++)
        size += compare_has_p(&list.items[i]);
    list_free(&results.cells);
    free(list.items);
    return size;
}

// No wider than the threshold, so that a change as large as that does not hide in it, from enough rounds to flag it.
static bool is_narrow(const Comparison *c, unsigned needed)
{
    return c->found.n >= needed && c->d_hi - c->d_lo <= log1p(c->found.threshold);
}

// Something changed, and it is not known yet whether by more than the limit, or not surely enough among so many
// comparisons: more rounds can still tell. The cell was judged alone, so its p is not the final one; Holm multiplies it
// by at most the size of the family.
static bool can_still_be_decided(const Comparison *c, unsigned family)
{
    bool is_on_one_side = c->d_lo > 0 || c->d_hi < 0;
    bool is_sure = c->found.p * family < rule_alpha;
    return is_on_one_side && (c->found.verdict == VERDICT_INCONCLUSIVE || !is_sure);
}

// An interval that lies inside the threshold answers the question however wide it is. What has no pairs gets none by
// more rounds, unless it was the machine that spoilt them.
static bool is_answered(const Comparison *c, unsigned family)
{
    if (!is_estimated(c)) return true;
    if (c->found.n == 0) return c->rounds_ok > 0 || c->cand_failures || !c->disturbed;
    if (compare_is_counted(c)) return c->found.verdict != VERDICT_INCONCLUSIVE;
    return c->found.verdict == VERDICT_UNCHANGED ||
           (is_narrow(c, rule_rounds_needed(family)) && !can_still_be_decided(c, family));
}

// Of the first set, counted once; the merged slices are judged together.
static unsigned first_family(const Results *results, GateState *state)
{
    if (state->family == 0)
        state->family = family_size(&results->experiment, state->whole ? state->whole : &results->plan);
    return state->family;
}

static bool cell_is_answered(const Results *results, const char *cell_id, RoundSet set, GateState *state)
{
    const StrList cells = {(char *[]){(char *)cell_id}, 1};
    Comparisons list = gate_judge_cells(results, &cells, set, COMPARE_GATED, &state->noise);
    unsigned family = set == SET_FIRST ? first_family(results, state) : state->flags;
    bool answered = true;
    for (unsigned i = 0; answered && i < list.count; i++)
        answered = is_answered(&list.items[i], family);
    free(list.items);
    return answered;
}

// Of processes that ended, before the one with number `seq`: what a killed hzb was doing does not count twice after a
// resume.
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
        Comparisons first = gate_judge_cells(results, &results->cells, SET_FIRST, COMPARE_GATED, &state->noise);
        state->flagged = gate_flagged_cells(&first);
        for (unsigned i = 0; i < first.count; i++)
            state->flags += compare_has_p(&first.items[i]) && gate_is_flagged(&first.items[i]);
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
    if (!rounds || arm_is_asked(row->role)) return NULL;
    if (row->round > rounds->first) return "gate: only candidates need to be confirmed";
    bool is_reference = strcmp(row->role, "ref") == 0;
    return is_reference && row->round > rounds->min ? "gate: more rounds are for what is gated" : NULL;
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
    // Half of it is kept for the second set, which would else confirm with less than it took to flag.
    double budget_s = rules->confirm && !second ? rules->budget_s / 2 : rules->budget_s;
    if (rules->budget_s > 0 && spent_s(&results->runs, row->seq) + spent_s(state->rejected, row->seq) > budget_s)
        return xfmt("gate: the budget of %g s is spent", budget_s);
    bool enough = cell_is_answered(results, row->cell_id, second ? SET_CONFIRM : SET_FIRST, state);
    return enough ? xstrdup("gate: the interval is narrow enough") : NULL;
}

// Rounds of a count say the same again: a few of them are enough.
static bool is_counted_cell(const Experiment *experiment, const Plan *plan, const char *cell_id)
{
    for (unsigned i = 0; i < plan->count; i++)
        if (strcmp(plan->rows[i].cell_id, cell_id) == 0)
            return experiment_workload(experiment, plan->rows[i].workload)->counter != NULL;
    return false;
}

void gate_warn_if_blind(const Experiment *experiment, const Plan *whole)
{
    unsigned family = family_size(experiment, whole), needed = rule_rounds_needed(family);
    for (unsigned i = 0; i < experiment->rule.cells_count && family > 0; i++) {
        const CellRounds *cell = &experiment->rule.cells[i];
        if (is_counted_cell(experiment, whole, cell->cell_id)) continue;
        if (cell->first < needed)
            hzb_note("cell '%s': %u rounds can flag nothing among %u comparisons; it takes %u", cell->cell_id,
                     cell->first, family, needed);
        if (cell->first > WILCOXON_N_MAX)
            hzb_note("cell '%s': more than %d rounds have no p, so nothing can be flagged once %u were measured",
                     cell->cell_id, WILCOXON_N_MAX, cell->first);
    }
}
