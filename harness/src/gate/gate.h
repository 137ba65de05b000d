// What a record comes to: all comparisons judged, and the verdict over them.
#ifndef HZB_GATE_H
#define HZB_GATE_H

#include "gate/compare.h"
#include "gate/noise.h"

// Some cells by one set of rounds: thresholds, p over their family, verdicts. Nothing is confirmed.
Comparisons gate_judge_cells(const Results *results, const StrList *cells, RoundSet set, CompareScope scope,
                             const Noise *noise);
// Regressed or improved: what a second set of rounds is asked about.
bool gate_is_flagged(const Comparison *comparison);
// The cells in which something about a candidate is flagged.
StrList gate_flagged_cells(const Comparisons *comparisons);

// The first set, judged, with what the second one says about the flagged.
Comparisons gate_judge(const Results *results, const Noise *noise);
// Nothing can be said: the record is not whole, or no gated comparison came to a verdict.
bool gate_is_blind(const Results *results, const Comparisons *comparisons);
Overall gate_overall(const Results *results, const Comparisons *comparisons);
// All of it, as it is kept.
Findings gate_findings(const Results *results, const Comparisons *comparisons);

#endif
