/* What the gate found in a result folder: stats.csv and verdict.json, read for showing. */
#ifndef HZB_FINDINGS_H
#define HZB_FINDINGS_H

#include <stdbool.h>

#include "config/config.h"

/* The worst first: the order in which they are shown. */
typedef enum {
    VERDICT_REGRESSION,
    VERDICT_FAILED,
    VERDICT_INCONCLUSIVE,
    VERDICT_IMPROVED,
    VERDICT_UNCHANGED,
    VERDICT_IDENTICAL,
    VERDICT_UNGATED, /* compared, but of no consequence */
    VERDICT_COUNT
} Verdict;

extern const char *const verdict_names[VERDICT_COUNT];

typedef enum { CONFIRMED_UNKNOWN, CONFIRMED_NO, CONFIRMED_YES } Confirmed;

/* One metric of one cell, candidate against base. Numbers are NAN where they are unknown. */
typedef struct {
    char *cell_id, *metric, *base, *cand;
    Direction direction;
    double n;
    double missing; /* rounds in which only the base has a value; 0 in stats.csv, which has no such column */
    double base_median, cand_median;
    double ratio, ci_lo, ci_hi; /* cand / base */
    double p, p_holm;
    double threshold; /* as a share: 0.05 for 5 % */
    Verdict verdict;
    Confirmed confirmed;
} Finding;

typedef struct {
    char *cell_id, *allocator, *status, *reason;
    double count;
} Failure;

typedef struct {
    char *overall; /* clean, regression, inconclusive or failed; NULL without a verdict.json */
    Finding *items;
    unsigned count;
    Failure *failures;
    unsigned failure_count;
} Findings;

/* Reads what is there; a folder without either file has no findings. Says what is wrong with a file that is there and
   returns false. Worst verdicts come first, otherwise the order is the files'. */
bool findings_load(const char *dir, Findings *findings);

unsigned findings_of(const Findings *findings, Verdict verdict);
/* Relative change of the candidate, above 0 if it got better. NAN if unknown. */
double finding_gain(const Finding *finding, double ratio);

#endif
