#include "gate/compare.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "process/outcome.h"
#include "record/machine_modes.h"
#include "record/metric.h"
#include "stats/stats.h"

static const double level = 0.95;

bool row_failed_by_itself(const RunRow *row)
{
    return !row_status_is(row, "ok") && !row_status_is(row, "skipped") && !outcome_is_disturbed(row);
}

bool compare_is_gated(const Comparison *comparison)
{
    return comparison->gate && strcmp(comparison->cand->role, "cand") == 0;
}

bool compare_is_identical(const Comparison *c)
{
    return strcmp(c->cand->role, "cand") == 0 && !c->cand->missing && !c->base->missing &&
           arms_are_same(c->cand, c->base);
}

bool compare_is_counted(const Comparison *comparison)
{
    return comparison->column == RUN_instructions;
}

bool compare_has_p(const Comparison *c)
{
    return compare_is_gated(c) && !c->gate->exact && !compare_is_counted(c) && !compare_is_identical(c);
}

double compare_worse_sign(const Comparison *comparison)
{
    return comparison->found.direction == DIRECTION_DOWN ? 1 : -1;
}

static bool in_set(const Results *results, const RunRow *row, RoundSet set)
{
    const CellRounds *rounds = experiment_rounds(&results->experiment, row->field[RUN_cell_id]);
    double round;
    if (!rounds || !row_number(row, RUN_round, &round)) return set == SET_FIRST;
    return (round > rounds->first) == (set == SET_CONFIRM);
}

static bool is_sample_of(const RunRow *row, const char *cell_id, const Arm *arm)
{
    return strcmp(row->field[RUN_cell_id], cell_id) == 0 && strcmp(row->field[RUN_allocator], arm->name) == 0;
}

// Blocks are contiguous in a record.
static const RunRow *same_round(const RunRows *runs, unsigned index, const char *cell_id, const Arm *arm)
{
    assert(index < runs->count);
    const char *round = runs->rows[index].field[RUN_round];
    for (int step = -1; step <= 1; step += 2) {
        for (unsigned i = index; i < runs->count; i += (unsigned)step) { // below 0 wraps around to above count
            const RunRow *row = &runs->rows[i];
            if (strcmp(row->field[RUN_round], round) != 0 || strcmp(row->field[RUN_cell_id], cell_id) != 0) break;
            if (is_sample_of(row, cell_id, arm)) return row;
        }
    }
    return NULL;
}

typedef struct Pairs {
    double *base, *cand;
    unsigned n;
} Pairs;

static bool holds_more(const RunRow *cand, const RunRow *base)
{
    double mine, its;
    return row_number(cand, RUN_idle_rss_kib, &mine) && row_number(base, RUN_idle_rss_kib, &its) && mine > its;
}

// A pair that straddles a change of the machine's mode is none. Samples without probes pair with any.
static bool of_one_mode(const Modes *modes, const RunRow *a, const RunRow *b)
{
    int mode = machine_mode_of(modes, a), other = machine_mode_of(modes, b);
    return mode < 0 || other < 0 || mode == other;
}

// How it ended, which can decide more than its figures.
static void note_end(const RunRow *row, bool is_cand, Comparison *c)
{
    bool failed = row_failed_by_itself(row);
    c->failures |= failed;
    c->cand_failures |= failed && is_cand;
    c->measured |= is_cand && !row_status_is(row, "skipped");
    c->disturbed |= outcome_is_disturbed(row);
}

// Two samples of one round that both ended well.
static void pair_up(const Modes *modes, const RunRow *base, const RunRow *cand, Comparison *c, Pairs *pairs)
{
    double *base_value = &pairs->base[pairs->n], *cand_value = &pairs->cand[pairs->n];
    c->rounds_ok++;
    if (!of_one_mode(modes, base, cand)) return;
    if (!row_number(base, c->column, base_value)) return;
    if (!row_number(cand, c->column, cand_value)) {
        c->found.missing++;
        c->kept += c->column == RUN_idle_return_ms && holds_more(cand, base);
        return;
    }
    c->rounds_more += *cand_value > *base_value;
    c->rounds_less += *cand_value < *base_value;
    pairs->n++;
}

static Pairs collect_pairs(const Results *results, RoundSet set, Comparison *c)
{
    const RunRows *runs = &results->runs;
    const char *cell_id = c->found.cell_id;
    Pairs pairs = {xcalloc(runs->count, sizeof(double)), xcalloc(runs->count, sizeof(double)), 0};
    for (unsigned i = 0; i < runs->count; i++) {
        const RunRow *row = &runs->rows[i];
        bool is_base = is_sample_of(row, cell_id, c->base), is_cand = is_sample_of(row, cell_id, c->cand);
        if ((!is_base && !is_cand) || !in_set(results, row, set)) continue;
        note_end(row, is_cand, c);
        const RunRow *base = is_cand ? same_round(runs, i, cell_id, c->base) : NULL;
        if (base && row_status_is(row, "ok") && row_status_is(base, "ok"))
            pair_up(&results->modes, base, row, c, &pairs);
    }
    return pairs;
}

// ln(cand/base) of each pair; false if some value has no logarithm.
static bool log_ratios(const Pairs *pairs, double *d)
{
    for (unsigned i = 0; i < pairs->n; i++) {
        if (pairs->base[i] <= 0 || pairs->cand[i] <= 0) return false;
        d[i] = log(pairs->cand[i] / pairs->base[i]);
        if (!isfinite(d[i])) return false;
    }
    return true;
}

static void estimate_change(const double *d, unsigned n, Comparison *c)
{
    c->d = stats_hodges_lehmann(d, n);
    c->found.ratio = exp(c->d);
    c->found.p = stats_wilcoxon(d, n);
    Interval ci = stats_interval(d, n, level);
    assert(isnan(ci.lo) ? isnan(ci.hi) : ci.lo <= ci.hi);
    c->d_lo = ci.lo;
    c->d_hi = ci.hi;
    c->found.ci_lo = exp(ci.lo);
    c->found.ci_hi = exp(ci.hi);
}

typedef struct Least {
    double first, second; // NAN if there is one value only
} Least;

static Least least_two(const double *values, unsigned n)
{
    Least least = {NAN, NAN};
    for (unsigned i = 0; i < n; i++) {
        if (!(values[i] >= least.first)) {
            least.second = least.first;
            least.first = values[i];
        } else if (!(values[i] >= least.second)) {
            least.second = values[i];
        }
    }
    return least;
}

// A busy machine can only add to a count, by code that follows the clock. So the least of a few runs is the figure, and
// the next one says how far it can be trusted: the interval is what the two least of either side allow.
static void estimate_count(const Pairs *pairs, Comparison *c)
{
    Least base = least_two(pairs->base, pairs->n), cand = least_two(pairs->cand, pairs->n);
    if (!(base.first > 0) || !(cand.first > 0)) return;
    c->d = log(cand.first / base.first);
    c->d_lo = log(cand.first / base.second);
    c->d_hi = log(cand.second / base.first);
    c->found.ratio = exp(c->d);
    c->found.ci_lo = exp(c->d_lo);
    c->found.ci_hi = exp(c->d_hi);
}

static void measure(const Results *results, RoundSet set, Comparison *c)
{
    Pairs pairs = collect_pairs(results, set, c);
    double *d = xcalloc(pairs.n, sizeof *d);
    assert(pairs.n + c->found.missing <= c->rounds_ok && c->kept <= c->found.missing);
    assert(c->rounds_more + c->rounds_less <= pairs.n);
    c->found.n = pairs.n;
    if (pairs.n > 0) {
        c->found.base_median = stats_median(pairs.base, pairs.n);
        c->found.cand_median = stats_median(pairs.cand, pairs.n);
        if (compare_is_counted(c))
            estimate_count(&pairs, c);
        else if (log_ratios(&pairs, d))
            estimate_change(d, pairs.n, c);
    }
    free(d);
    free(pairs.base);
    free(pairs.cand);
}

static void add(const Results *results, RoundSet set, Comparisons *list, Comparison c)
{
    c.d = c.d_lo = c.d_hi = NAN;
    for (unsigned i = 0; i < FINDING_NUMBERS; i++)
        finding_set_number(&c.found, i, NAN);
    c.found.n = 0;
    if (!compare_is_identical(&c)) measure(results, set, &c);
    list->items = xrealloc(list->items, list->count + 1, sizeof c);
    list->items[list->count++] = c;
}

static const CfgGate *gate_of(const Rule *rule, RunColumn column)
{
    for (unsigned g = 0; g < rule->gates_count; g++)
        if (run_column(rule->gates[g].metric) == (int)column) return &rule->gates[g];
    return NULL;
}

// An A/A arm says how far apart equals seem to be: with another base it says nothing.
static bool is_compared(const Arm *base, const Arm *cand)
{
    return strcmp(cand->role, "base") != 0 && (strcmp(cand->role, "aa") != 0 || arms_are_same(base, cand));
}

// The workload's own metrics, and exact gates, which hold for every workload.
static void compare_arms(const Results *results, const PlanRow *cell, RoundSet set, CompareScope scope, const Arm *base,
                         const Arm *cand, Comparisons *list)
{
    const Experiment *experiment = &results->experiment;
    const Workload *workload = experiment_workload(experiment, cell->workload);
    bool judged = strcmp(base->role, "base") == 0 && strcmp(cand->role, "ref") != 0;
    for (int column = 0; column < RUN_COLUMN_COUNT; column++) {
        const CfgMetric *metric = metric_of(workload, (RunColumn)column);
        const CfgGate *gate = judged ? gate_of(&experiment->rule, (RunColumn)column) : NULL;
        if (gate ? !metric && !gate->exact : !metric || scope == COMPARE_GATED) continue;
        add(results, set, list,
            (Comparison){.found = {.cell_id = cell->cell_id,
                                   .workload = cell->workload,
                                   .params = cell->params,
                                   .metric = run_column_names[column],
                                   .base = base->name,
                                   .cand = cand->name,
                                   .direction = metric ? metric->direction : DIRECTION_DOWN,
                                   .verdict = VERDICT_UNGATED},
                         .cell = cell,
                         .column = (RunColumn)column,
                         .base = base,
                         .cand = cand,
                         .gate = gate});
    }
}

void compare_cell(const Results *results, const char *cell_id, RoundSet set, CompareScope scope,
                  Comparisons *comparisons)
{
    const Experiment *experiment = &results->experiment;
    const PlanRow *cell = results_cell(results, cell_id);
    bool has_base = false;
    for (unsigned b = 0; b < experiment->arm_count; b++)
        has_base |= strcmp(experiment->arms[b].role, "base") == 0;
    for (unsigned b = 0; b < experiment->arm_count; b++) {
        const Arm *base = &experiment->arms[b];
        if (has_base ? strcmp(base->role, "base") != 0 : b > 0) continue;
        for (unsigned c = 0; c < experiment->arm_count; c++)
            if (c != b && is_compared(base, &experiment->arms[c]))
                compare_arms(results, cell, set, scope, base, &experiment->arms[c], comparisons);
    }
}
