// Ranking: how far each allocator is from the best one of each cell, over all cells of a matrix.
#ifndef HZB_RANKING_H
#define HZB_RANKING_H

#include "record/results.h"
#include "report/text_table.h"

// Of one metric. Ratios are of medians and at least 1: 1.5 is half again as much time, or memory, as the best one's.
typedef struct Ranking {
    RunColumn column;
    StrList arms;       // those that have a figure in any cell
    StrList cells;      // those whose workload is judged by this metric and that some arm has a figure of
    double *ratios;     // [cell * arms.count + arm], NAN = unknown
    double *low, *high; // the least and the most of it, round by round
    double *means;      // geometric, over the cells that all arms have; NAN without such a cell
    unsigned whole;     // how many cells those are
} Ranking;

Ranking ranking_make(const Results *results, RunColumn column);
void ranking_free(Ranking *ranking);
// 1 for the least mean; arms of the same mean share a rank. A place is nobody else's: the first arm has the better one.
unsigned ranking_place(const Ranking *ranking, unsigned arm);
unsigned ranking_rank(const Ranking *ranking, unsigned arm);

// What the ratios are of, in words.
char *ranking_title(const Ranking *ranking);
// "hz3 is 3rd of 9 in time: in the geometric mean 1.26 times the best allocator of each cell"; NULL without its mean.
char *ranking_sentence(const Ranking *ranking, const char *arm);
// A row for each cell, then the geometric mean and the rank. No rows when nothing is known of any arm.
TextTable ranking_table(const Ranking *ranking, bool markdown);

#endif
