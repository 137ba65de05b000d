// The shared first half of stats and gate.
#ifndef HZB_JUDGE_H
#define HZB_JUDGE_H

#include <stdbool.h>

#include "gate/gate.h"
#include "gate/verdict.h"

typedef struct Judged {
    Results results;
    Comparisons comparisons;
    Findings findings;
} Judged;

// Judges a result folder and writes its stats.csv. Says what is wrong and returns false.
bool judge_folder(const char *dir, Judged *judged);

#endif
