// What a result folder comes to, in words: what a report opens with.
#ifndef HZB_HEADLINE_H
#define HZB_HEADLINE_H

#include "report/report.h"

enum { HEADLINES_MAX = 6 };

// Of a judged record what got worse or better, the worst first; of another one who is best in each cell, and by how
// much the first candidate is not. At most HEADLINES_MAX sentences without a full stop; the last may count what is left
// out.
StrList headlines(const Report *report);

#endif
