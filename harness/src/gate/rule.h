// The rule: what counts as worse. harness/README.md says the same in prose.
#ifndef HZB_RULE_H
#define HZB_RULE_H

#include "gate/compare.h"

// A difference counts if chance alone made it in fewer than this share of cases.
extern const double rule_alpha;

// Of a comparison whose threshold and p_holm are set.
Verdict rule_verdict(const Comparison *comparison);

// The least change, as a share, that would have been flagged with a probability of 0.8 by as many rounds with such a
// spread among `family` comparisons. NAN if no change would: there are too few rounds, or no interval.
double rule_visible_change(const Comparison *comparison, unsigned family);
// Rounds from which on a comparison can be significant among so many: the least p of n rounds is 2^(1-n), which Holm
// multiplies by their number.
unsigned rule_rounds_needed(unsigned family);

#endif
