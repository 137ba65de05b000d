/* Candidate against base in one cell and one metric: pairs of one round, and what they come to. */
#ifndef HZB_COMPARE_H
#define HZB_COMPARE_H

#include <stdbool.h>

#include "record/results.h"

/* The first set of rounds flags, the second confirms: other processes, other seeds. */
typedef enum { SET_FIRST, SET_CONFIRM } RoundSet;

typedef enum {
    RULING_NONE, /* not gated */
    RULING_REGRESSION,
    RULING_IMPROVED,
    RULING_UNCHANGED,
    RULING_INCONCLUSIVE,
    RULING_IDENTICAL,
    RULING_FAILED,
} Ruling;

typedef enum { CONFIRM_UNKNOWN, CONFIRM_NO, CONFIRM_YES } Confirmation;

/* Numbers are NAN while unknown. */
typedef struct {
    const PlanRow *cell; /* any row of it */
    RunColumn column;
    Direction direction;
    const Arm *base, *cand;
    const CfgGate *gate; /* NULL: for information only */
    bool failures;       /* some sample of either arm went wrong by itself, not by the machine's doing */
    bool cand_failures;
    unsigned rounds_ok; /* in which both ended well, with a value or without */
    bool disturbed;     /* the machine spoilt some sample of either arm */
    unsigned n;         /* pairs */
    unsigned missing;   /* rounds in which the base has a value and the candidate, which ended well, has none */
    unsigned kept;      /* of these, for a time to give memory back: in which it still holds more than the base */
    bool measured;      /* some sample of the candidate is there, whatever it is worth */
    double base_median, cand_median;
    double d, d_lo, d_hi; /* ln(cand/base): Hodges-Lehmann and, from INTERVAL_N_MIN pairs on, its interval */
    double p, p_holm;
    double threshold; /* relative: 0.03 is 3 % */
    unsigned rounds_more, rounds_less;
    Ruling ruling;
    Confirmation confirmation;
} Comparison;

typedef struct {
    Comparison *items;
    unsigned count;
} Comparisons;

/* Adds the gated comparisons of a cell or, with COMPARE_ALL, also those of peers and of metrics without a gate; without
   thresholds and rulings. Without a base the first arm stands for it and nothing is gated. */
typedef enum { COMPARE_GATED, COMPARE_ALL } CompareScope;
void compare_cell(const Results *results, const char *cell_id, RoundSet set, CompareScope scope,
                  Comparisons *comparisons);
bool compare_is_gated(const Comparison *comparison);
/* The sign that makes more than 0 worse. */
double compare_worse_sign(const Comparison *comparison);

/* A sample that is neither ok nor skipped, and not for what the machine did. */
bool row_failed_by_itself(const RunRow *row);

#endif
