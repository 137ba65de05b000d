// The rule: what counts as worse. harness/README.md says the same in prose.
#ifndef HZB_RULE_H
#define HZB_RULE_H

#include "gate/compare.h"

// A difference counts if chance alone made it in fewer than this share of cases.
extern const double rule_alpha;

// Of a comparison whose threshold and p_holm are set.
Verdict rule_verdict(const Comparison *comparison);

#endif
