// Claims: what a matrix says about its own figures, and whether the record bears it out.
#ifndef HZB_CLAIMS_H
#define HZB_CLAIMS_H

#include "record/results.h"
#include "report/text_table.h"

// CLAIM_OPEN: part of the interval is on the other side of the bound, or there is no figure.
typedef enum ClaimVerdict { CLAIM_HOLDS, CLAIM_OPEN, CLAIM_FAILS, CLAIM_VERDICTS } ClaimVerdict;

extern const char *const claim_verdict_names[CLAIM_VERDICTS];

typedef struct ClaimFigure {
    double median, lo, hi; // NAN: no figure
    const char *versus;    // the arm that it is a ratio to, NULL for a figure as it is
    ClaimVerdict verdict;
} ClaimFigure;

ClaimFigure claim_figure(const Results *results, const CfgClaim *claim);
// How many claims end so.
unsigned claims_of(const Results *results, ClaimVerdict verdict);
// "at least 0.9", "0.9 to 1.1"; the caller frees it.
char *claim_bound_text(const CfgClaim *claim);
TextTable claims_table(const Results *results);

#endif
