#include "gate/known.h"

#include <assert.h>
#include <string.h>

// Days as text compare as days do; created_utc begins with one.
static bool has_expired(const Experiment *experiment, const CfgKnown *known)
{
    const char *created = experiment->created_utc;
    return created && strncmp(created, known->until, strlen(known->until)) > 0;
}

static const CfgKnown *known_of(const Experiment *experiment, const Finding *found)
{
    for (unsigned i = 0; i < experiment->rule.known_count; i++) {
        const CfgKnown *known = &experiment->rule.known[i];
        bool same_arm = !known->arm || strcmp(known->arm, found->cand) == 0;
        if (same_arm && strcmp(known->cell, found->cell_id) == 0 && strcmp(known->metric, found->metric) == 0)
            return known;
    }
    return NULL;
}

void known_mark(const Experiment *experiment, Comparisons *comparisons)
{
    for (unsigned i = 0; i < comparisons->count; i++) {
        Comparison *c = &comparisons->items[i];
        const CfgKnown *known = known_of(experiment, &c->found);
        if (known && !has_expired(experiment, known) && compare_is_gated(c) && c->found.verdict == VERDICT_REGRESSION)
            c->found.known = known;
    }
}

void known_collect_expired(const Experiment *experiment, Findings *findings)
{
    const Rule *rule = &experiment->rule;
    assert(findings->expired_count == 0);
    findings->expired = xcalloc(rule->known_count, sizeof *findings->expired);
    for (unsigned i = 0; i < rule->known_count; i++)
        if (has_expired(experiment, &rule->known[i])) findings->expired[findings->expired_count++] = rule->known[i];
}
