#include "gate/rule.h"

#include <math.h>
#include <string.h>

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

static bool reaches_beyond_on_the_worse_side(const Worsening *w)
{
    return w->change > 0 && w->worst > w->limit;
}

static bool reaches_beyond_on_the_better_side(const Worsening *w)
{
    return w->change <= 0 && w->best < -w->limit;
}

// False while p_holm is NAN, unknown.
static bool is_significant(const Comparison *c)
{
    return c->found.p_holm < rule_alpha;
}

static Verdict interval_verdict(const Comparison *c)
{
    if (!has_interval(c)) return VERDICT_INCONCLUSIVE;
    const Worsening w = worsening_of(c);
    if (reaches_beyond_on_the_worse_side(&w) && is_significant(c)) return VERDICT_REGRESSION;
    if (reaches_beyond_on_the_better_side(&w) && is_significant(c)) return VERDICT_IMPROVED;
    if (lies_inside_the_threshold(&w)) return VERDICT_UNCHANGED;
    return VERDICT_INCONCLUSIVE;
}

// --- both, and what comes before the figures ---

static bool is_this_very_base(const Comparison *c)
{
    return strcmp(c->cand->same_as, c->base->name) == 0;
}

static bool candidate_failed(const Comparison *c)
{
    return c->cand_failures || (c->measured && c->rounds_ok == 0);
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
    if (c->cand->same_as) return is_this_very_base(c) ? VERDICT_IDENTICAL : VERDICT_INCONCLUSIVE;
    if (candidate_failed(c)) return VERDICT_FAILED;
    if (gives_nothing_back_in_most_rounds(c)) return VERDICT_REGRESSION;
    if (!has_pairs(c)) return VERDICT_INCONCLUSIVE;
    Verdict verdict = c->gate->exact ? exact_verdict(c) : interval_verdict(c);
    return can_be_believed(c, verdict) ? verdict : VERDICT_INCONCLUSIVE;
}
