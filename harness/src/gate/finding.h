// What the gate finds about one metric of one cell, and about a result folder. The gate makes it, stats.csv and
// verdict.json keep it (verdict.h), and reports read it back.
#ifndef HZB_FINDING_H
#define HZB_FINDING_H

#include <stdbool.h>

#include "config/config.h"

// The worst first: the order in which they are shown.
typedef enum Verdict {
    VERDICT_REGRESSION,
    VERDICT_FAILED,
    VERDICT_INCONCLUSIVE,
    VERDICT_IMPROVED,
    VERDICT_UNCHANGED,
    VERDICT_IDENTICAL,
    VERDICT_UNGATED, // compared, but of no consequence
    VERDICT_COUNT
} Verdict;

extern const char *const verdict_names[VERDICT_COUNT];

// Whether a second set of rounds says the same.
typedef enum Confirmation { CONFIRM_UNKNOWN, CONFIRM_NO, CONFIRM_YES } Confirmation;

// Of a whole result folder; OVERALL_UNJUDGED without a verdict.json.
typedef enum Overall {
    OVERALL_UNJUDGED,
    OVERALL_CLEAN,
    OVERALL_REGRESSION,
    OVERALL_INCONCLUSIVE,
    OVERALL_FAILED
} Overall;
enum { OVERALL_COUNT = OVERALL_FAILED + 1 };

extern const char *const overall_names[OVERALL_COUNT];

// Where a threshold comes from: the matrix, what equal libraries showed on this host, or the most that may count of it.
typedef enum { THRESHOLD_GATE, THRESHOLD_NOISE, THRESHOLD_CAPPED, THRESHOLD_FROM_COUNT } ThresholdFrom;
extern const char *const threshold_from_names[THRESHOLD_FROM_COUNT];

// Candidate against base. Numbers are NAN where they are unknown.
typedef struct Finding {
    const char *cell_id, *workload, *params, *metric, *base, *cand;
    Direction direction;
    double n;       // pairs
    double missing; // rounds in which only the base has a value; 0 in stats.csv, which has no such column
    double base_median, cand_median;
    double ratio, ci_lo, ci_hi; // cand / base
    double p, p_holm;
    double threshold; // as a share: 0.05 for 5 %
    double visible;   // the least change, as a share, that these rounds would have flagged in four of five cases
    ThresholdFrom threshold_from;
    Verdict verdict;
    Confirmation confirmation;
    const CfgKnown *known; // of a regression that is known, or NULL
} Finding;

// Samples of one allocator in one cell that went wrong in one way.
typedef struct Failure {
    const char *cell_id, *allocator, *status, *reason;
    double count;
} Failure;

typedef struct Findings {
    Overall overall;
    Finding *items;
    unsigned count;
    Failure *failures;
    unsigned failure_count;
    CfgKnown *expired; // what was known until a day that has passed
    unsigned expired_count;
} Findings;

// The numbers of a finding, by the names that both files give them; `n` is the first.
// Those from FINDING_NUMBERS_OLD on are missing in the files of an older hzb.
enum { FINDING_NUMBERS = 10, FINDING_NUMBERS_OLD = 9 };
extern const char *const finding_number_names[FINDING_NUMBERS];
double finding_number(const Finding *finding, unsigned i);
void finding_set_number(Finding *finding, unsigned i, double value);

Finding *findings_add(Findings *findings, const Finding *finding);
unsigned findings_of(const Findings *findings, Verdict verdict);
unsigned findings_known(const Findings *findings);
// Makes the gate red: failed, or a regression that is not known and that no second set of rounds contradicts.
bool finding_is_red(const Finding *finding);
// How far it changed, for people: "+3.21 %", "gone in 1 round", for a count without a ratio "0 -> 1"; "?" if unknown.
// The caller frees it.
char *finding_change_text(const Finding *finding);
// Relative change of the candidate, above 0 if it got better. NAN if unknown.
double finding_gain(const Finding *finding, double ratio);

#endif
