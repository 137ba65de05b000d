#include "gate/finding.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>

#include "base/util.h"

const char *const verdict_names[VERDICT_COUNT] = {"regression", "failed",    "inconclusive", "improved",
                                                  "unchanged",  "identical", "ungated"};
const char *const overall_names[OVERALL_COUNT] = {"unjudged", "clean", "regression", "inconclusive", "failed"};

const char *const threshold_from_names[THRESHOLD_FROM_COUNT] = {"gate", "aa", "aa capped"};

const char *const finding_number_names[FINDING_NUMBERS] = {
    "n", "base_median", "cand_median", "ratio", "ci_lo", "ci_hi", "p", "p_holm", "threshold", "visible"};
static const size_t number_offsets[FINDING_NUMBERS] = {offsetof(Finding, n),           offsetof(Finding, base_median),
                                                       offsetof(Finding, cand_median), offsetof(Finding, ratio),
                                                       offsetof(Finding, ci_lo),       offsetof(Finding, ci_hi),
                                                       offsetof(Finding, p),           offsetof(Finding, p_holm),
                                                       offsetof(Finding, threshold),   offsetof(Finding, visible)};

double finding_number(const Finding *finding, unsigned i)
{
    assert(i < FINDING_NUMBERS);
    return *(const double *)(const void *)((const char *)finding + number_offsets[i]);
}

void finding_set_number(Finding *finding, unsigned i, double value)
{
    assert(i < FINDING_NUMBERS);
    *(double *)(void *)((char *)finding + number_offsets[i]) = value;
}

Finding *findings_add(Findings *findings, const Finding *finding)
{
    assert(finding->cell_id && finding->metric && finding->base && finding->cand);
    findings->items = xrealloc(findings->items, findings->count + 1, sizeof *findings->items);
    findings->items[findings->count] = *finding;
    return &findings->items[findings->count++];
}

unsigned findings_of(const Findings *findings, Verdict verdict)
{
    unsigned count = 0;
    for (unsigned i = 0; i < findings->count; i++)
        count += findings->items[i].verdict == verdict;
    return count;
}

unsigned findings_known(const Findings *findings)
{
    unsigned count = 0;
    for (unsigned i = 0; i < findings->count; i++)
        count += findings->items[i].known != NULL;
    return count;
}

bool finding_is_red(const Finding *finding)
{
    return finding->verdict == VERDICT_FAILED ||
           (finding->verdict == VERDICT_REGRESSION && finding->confirmation != CONFIRM_NO && !finding->known);
}

char *finding_change_text(const Finding *f)
{
    if (f->missing > 0) return xfmt("gone in %.0f round%s", f->missing, f->missing == 1 ? "" : "s");
    if (!isnan(f->ratio)) return xfmt("%+.2f %%", (f->ratio - 1) * 100);
    bool known = !isnan(f->base_median) && !isnan(f->cand_median);
    return known ? xfmt("%g -> %g", f->base_median, f->cand_median) : xstrdup("?");
}

double finding_gain(const Finding *finding, double ratio)
{
    return finding->direction == DIRECTION_UP ? ratio - 1 : 1 - ratio;
}
