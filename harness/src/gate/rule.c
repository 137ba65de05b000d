#include "gate/rule.h"

#include <math.h>

const double rule_alpha = 0.05;

// --- a count: one more in any round is worse, whatever the statistics say ---

static bool some_round_is_worse(const Comparison *c)
{
    return c->found.direction == DIRECTION_DOWN ? c->rounds_more > 0 : c->rounds_less > 0;
}

static bool some_round_is_better(const Comparison *c)
{
    return c->found.direction == DIRECTION_DOWN ? c->rounds_less > 0 : c->rounds_more > 0;
}

static Verdict exact_verdict(const Comparison *c)
{
    if (some_round_is_worse(c)) return VERDICT_REGRESSION;
    if (some_round_is_better(c)) return VERDICT_IMPROVED;
    return VERDICT_UNCHANGED;
}

// --- a measure: where its interval lies, and whether that is more than chance ---

// How much worse the candidate is, as ln(cand/base) with the sign that makes more than 0 worse.
typedef struct Worsening {
    double change;      // the estimate
    double best, worst; // the ends of its interval
    double limit;       // the threshold
} Worsening;

static Worsening worsening_of(const Comparison *c)
{
    double sign = compare_worse_sign(c);
    return (Worsening){.change = sign * c->d,
                       .best = fmin(sign * c->d_lo, sign * c->d_hi),
                       .worst = fmax(sign * c->d_lo, sign * c->d_hi),
                       .limit = log1p(c->found.threshold)};
}

static bool has_interval(const Comparison *c)
{
    return !isnan(c->d_lo);
}

static bool lies_inside_the_threshold(const Worsening *w)
{
    return w->worst <= w->limit && w->best >= -w->limit;
}

// A limit is a limit: what is estimated to lie within it is no regression, however sure the estimate is.
static bool is_worse_by_more_than_the_limit(const Worsening *w)
{
    return w->change > w->limit && w->best > 0;
}

static bool is_better_by_more_than_the_limit(const Worsening *w)
{
    return w->change < -w->limit && w->worst < 0;
}

// False while p_holm is NAN, unknown. A count has no chance in it.
static bool is_significant(const Comparison *c)
{
    return compare_is_counted(c) || c->found.p_holm < rule_alpha;
}

static Verdict interval_verdict(const Comparison *c)
{
    if (!has_interval(c)) return VERDICT_INCONCLUSIVE;
    const Worsening w = worsening_of(c);
    if (is_worse_by_more_than_the_limit(&w) && is_significant(c)) return VERDICT_REGRESSION;
    if (is_better_by_more_than_the_limit(&w) && is_significant(c)) return VERDICT_IMPROVED;
    if (lies_inside_the_threshold(&w)) return VERDICT_UNCHANGED;
    return VERDICT_INCONCLUSIVE;
}

// --- both, and what comes before the figures ---

// What the machine disturbed has not failed.
static bool candidate_failed(const Comparison *c)
{
    return c->cand_failures || (c->measured && c->rounds_ok == 0 && !c->disturbed);
}

// What it does in some rounds only is not judged by those alone.
static bool gives_nothing_back_in_most_rounds(const Comparison *c)
{
    return c->kept > c->found.n;
}

static bool has_pairs(const Comparison *c)
{
    return c->found.n > 0;
}

// Rounds in which only the base has a value leave the question open; so do failures, of an improvement.
static bool can_be_believed(const Comparison *c, Verdict verdict)
{
    if (verdict == VERDICT_REGRESSION) return true;
    if (verdict == VERDICT_IMPROVED && c->failures) return false;
    return c->found.missing == 0;
}

Verdict rule_verdict(const Comparison *c)
{
    if (!c->gate) return VERDICT_UNGATED;
    if (compare_is_identical(c)) return VERDICT_IDENTICAL;
    if (candidate_failed(c)) return VERDICT_FAILED;
    if (gives_nothing_back_in_most_rounds(c)) return VERDICT_REGRESSION;
    if (!has_pairs(c)) return VERDICT_INCONCLUSIVE;
    Verdict verdict = c->gate->exact ? exact_verdict(c) : interval_verdict(c);
    return can_be_believed(c, verdict) ? verdict : VERDICT_INCONCLUSIVE;
}

// --- what a night could have seen ---

unsigned rule_rounds_needed(unsigned family)
{
    unsigned n = 1;
    while (family * ldexp(1, 1 - (int)n) >= rule_alpha)
        n++;
    return n;
}

// The normal distribution's quantile for a share above a half, by halving.
static double normal_quantile(double share)
{
    double lo = 0, hi = 10;
    for (int i = 0; i < 60; i++) {
        double middle = (lo + hi) / 2;
        if (erfc(-middle / sqrt(2)) / 2 < share)
            lo = middle;
        else
            hi = middle;
    }
    return lo;
}

// The rank test loses little against the normal one, so the interval's width stands for the spread of the estimate.
double rule_visible_change(const Comparison *c, unsigned family)
{
    if (!c->gate || c->gate->exact || !has_interval(c)) return NAN;
    if (compare_is_counted(c)) return expm1(fmax(log1p(c->found.threshold), c->d_hi - c->d_lo));
    if (c->found.n < rule_rounds_needed(family)) return NAN;
    double error = (c->d_hi - c->d_lo) / (2 * normal_quantile(0.975)), power = normal_quantile(0.8);
    double beyond_limit = log1p(c->found.threshold) + power * error;
    double beyond_chance = (normal_quantile(1 - rule_alpha / (2 * fmax(family, 1))) + power) * error;
    return expm1(fmax(beyond_limit, beyond_chance));
}
