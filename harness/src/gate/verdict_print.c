#include "gate/verdict_print.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "gate/gate.h"

static char *verdict_text(const Finding *f)
{
    static const char *const regression[] = {"REGRESSION", "regression, not confirmed", "REGRESSION, confirmed"};
    static const char *const improved[] = {"improved", "improved, not confirmed", "improved, confirmed"};
    if (f->known) return xfmt("regression, known until %s: %s", f->known->until, f->known->why);
    if (f->verdict == VERDICT_REGRESSION) return xstrdup(regression[f->confirmation]);
    return xstrdup(f->verdict == VERDICT_IMPROVED ? improved[f->confirmation] : verdict_names[f->verdict]);
}

static char *limit_text(const Finding *found)
{
    static const char *const marks[THRESHOLD_FROM_COUNT] = {"", " A/A", " A/A, capped"};
    if (isnan(found->threshold)) return xstrdup("exact");
    return xfmt("%.1f %%%s", found->threshold * 100, marks[found->threshold_from]);
}

// An exact count hides nothing, and what is the same library has nothing to hide.
static char *visible_text(const Comparison *c)
{
    if (c->gate->exact || c->found.verdict == VERDICT_IDENTICAL) return xstrdup("-");
    return isfinite(c->found.visible) ? xfmt("%.1f %%", c->found.visible * 100) : xstrdup("none");
}

static char *missing_text(const Comparison *c)
{
    if (c->found.missing > 0)
        return xfmt(" (in %.0f round%s only %s has a value)", c->found.missing, c->found.missing == 1 ? "" : "s",
                    c->found.base);
    bool none = c->found.n == 0 && c->rounds_ok > 0;
    return none ? xfmt(" (%s has no value)", c->found.base) : xstrdup("");
}

static char *change_text(double ratio)
{
    return isfinite(ratio) ? xfmt("%+.2f %%", (ratio - 1) * 100) : xstrdup("-");
}

// A count is shown as it is, for it may have been 0 and then has no ratio.
static char *count_text(const Finding *f)
{
    return isnan(f->cand_median) ? xstrdup("-") : xfmt("%g, was %g", f->cand_median, f->base_median);
}

char *verdict_line(const Finding *f)
{
    char *lo = change_text(f->ci_lo), *hi = change_text(f->ci_hi);
    const bool is_count = isnan(f->threshold);
    char *change = is_count ? count_text(f) : change_text(f->ratio);
    char *interval = is_count ? xstrdup("") : xfmt(" (%s .. %s)", lo, hi);
    char *verdict = verdict_text(f);
    char *line = xfmt("%s in %s: %s%s, %s", f->metric, f->cell_id, change, interval, verdict);
    char *const texts[] = {lo, hi, change, interval, verdict};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    return line;
}

char *known_line(const CfgKnown *known)
{
    return xfmt("%s in %s%s%s until %s: %s", known->metric, known->cell, known->arm ? " of " : "",
                known->arm ? known->arm : "", known->until, known->why);
}

static void print_comparison(const Comparison *c, int cell_width, int arms_width, FILE *out)
{
    char *change = change_text(c->found.ratio), *lo = change_text(c->found.ci_lo), *hi = change_text(c->found.ci_hi);
    char *p = isnan(c->found.p_holm) ? xstrdup("-") : xfmt("%.4f", c->found.p_holm);
    char *limit = limit_text(&c->found), *visible = visible_text(c);
    char *arms = xfmt("%s : %s", c->found.cand, c->found.base), *missing = missing_text(c);
    char *verdict = verdict_text(&c->found);
    if (c->gate->exact) {
        free(change);
        change = count_text(&c->found);
    }
    fprintf(out, "  %-*s  %-14s  %-*s  %3.0f  %10s  %9s ..%9s  %6s  %6s  %7s  %s%s%s\n", cell_width, c->found.cell_id,
            c->found.metric, arms_width, arms, c->found.n, change, lo, hi, p, limit, visible, verdict, missing,
            compare_is_gated(c) ? "" : " (A/A)");
    char *const texts[] = {change, lo, hi, p, limit, visible, arms, missing, verdict};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
}

static void print_failures(const Findings *findings, FILE *out)
{
    if (findings->failure_count > 0) fputs("\nSamples that do not count:\n", out);
    for (unsigned i = 0; i < findings->failure_count; i++) {
        const Failure *failure = &findings->failures[i];
        fprintf(out, "  %s, %s: %.0f %s (%s)\n", failure->cell_id, failure->allocator, failure->count, failure->status,
                failure->reason);
    }
}

static void print_expired(const Findings *findings, FILE *out)
{
    if (findings->expired_count > 0) fputs("\nNo longer known, as their last day has passed:\n", out);
    for (unsigned i = 0; i < findings->expired_count; i++) {
        char *line = known_line(&findings->expired[i]);
        fprintf(out, "  %s\n", line);
        free(line);
    }
}

void verdict_print(const Results *results, const Comparisons *comparisons, const Findings *findings, FILE *out)
{
    size_t cell_width = 4, arms_width = 11;
    for (unsigned i = 0; i < comparisons->count; i++) {
        const Comparison *c = &comparisons->items[i];
        size_t arms = strlen(c->found.cand) + 3 + strlen(c->found.base);
        if (c->gate && strlen(c->found.cell_id) > cell_width) cell_width = strlen(c->found.cell_id);
        if (c->gate && arms > arms_width) arms_width = arms;
    }
    fprintf(out, "  %-*s  %-14s  %-*s  %3s  %10s  %20s  %6s  %6s  %7s  %s\n", (int)cell_width, "cell", "metric",
            (int)arms_width, "cand : base", "n", "change", "95 % interval", "p", "limit", "visible", "verdict");
    for (unsigned i = 0; i < comparisons->count; i++)
        if (comparisons->items[i].gate) print_comparison(&comparisons->items[i], (int)cell_width, (int)arms_width, out);
    print_failures(findings, out);
    print_expired(findings, out);
    if (results->runs.count < results->plan.count)
        fprintf(out, "\n%u of %u samples are recorded.\n", results->runs.count, results->plan.count);
    fputs("\nvisible: the least change that these rounds would have flagged in four of five cases\n", out);
    fprintf(out, "verdict: %s%s\n", overall_names[findings->overall],
            gate_is_blind(results, comparisons) ? ", and blind: nothing came to a verdict, or the record is not whole"
                                                : "");
}
