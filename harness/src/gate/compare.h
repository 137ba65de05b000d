// Candidate against base in one cell and one metric: pairs of one round, and what they come to.
#ifndef HZB_COMPARE_H
#define HZB_COMPARE_H

#include <stdbool.h>

#include "gate/finding.h"
#include "record/results.h"

// The first set of rounds flags, the second confirms: other processes, other seeds.
typedef enum RoundSet { SET_FIRST, SET_CONFIRM } RoundSet;

// What is found, and what it is found from. Numbers are NAN while unknown.
typedef struct Comparison {
    Finding found;
    const PlanRow *cell; // any row of it
    RunColumn column;
    const Arm *base, *cand;
    const CfgGate *gate; // NULL: for information only
    bool failures;       // some sample of either arm went wrong by itself, not by the machine's doing
    bool cand_failures;
    bool disturbed;     // the machine spoilt some sample of either arm
    bool measured;      // some sample of the candidate is there, whatever it is worth
    unsigned rounds_ok; // in which both ended well, with a value or without
    unsigned kept;      // of found.missing, for a time to give memory back: in which it still holds more than the base
    unsigned rounds_more, rounds_less;
    double d, d_lo, d_hi; // ln(cand/base): Hodges-Lehmann and, from INTERVAL_N_MIN pairs on, its interval
} Comparison;

typedef struct Comparisons {
    Comparison *items;
    unsigned count;
} Comparisons;

// Adds the gated comparisons of a cell or, with COMPARE_ALL, also those of peers and of metrics without a gate; without
// thresholds and rulings. Without a base the first arm stands for it and nothing is gated.
typedef enum CompareScope { COMPARE_GATED, COMPARE_ALL } CompareScope;
void compare_cell(const Results *results, const char *cell_id, RoundSet set, CompareScope scope,
                  Comparisons *comparisons);
bool compare_is_gated(const Comparison *comparison);
// A candidate with the library and the environment of its base: there is nothing to tell them apart by.
bool compare_is_identical(const Comparison *comparison);
// Gated by a test of chance: one of the family that Holm's correction is over.
bool compare_has_p(const Comparison *comparison);
// Counted without noise: three runs that agree say what hundreds of others would.
bool compare_is_counted(const Comparison *comparison);
// The sign that makes more than 0 worse.
double compare_worse_sign(const Comparison *comparison);

// A sample that is neither ok nor skipped, and not for what the machine did.
bool row_failed_by_itself(const RunRow *row);

#endif
