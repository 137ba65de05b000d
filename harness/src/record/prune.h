// Which result folders are old.
#ifndef HZB_PRUNE_H
#define HZB_PRUNE_H

#include <stdbool.h>
#include <time.h>

#include "base/util.h"

// A folder stays if either says so; 0 says nothing.
typedef struct PruneRule {
    unsigned keep; // the newest of each matrix
    time_t since;
} PruneRule;

// The result folders below `results` that need not stay, the oldest first. Never the one that `latest` points to, nor
// one that has another name than hzb gave it: somebody wants that. Baselines are none. False with a message.
bool prune_find(const char *results, const PruneRule *rule, StrList *old);

#endif
