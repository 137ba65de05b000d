// A slice of a plan for one of several machines: whole cells, so that no block is split.
#ifndef HZB_SHARD_H
#define HZB_SHARD_H

#include <stdbool.h>

#include "plan/plan.h"

// Reads "i/n" with 1 <= i <= n.
bool shard_parse(const char *text, Shard *shard);

// Leaves the rows of one shard; they keep their seq. Says why not and returns false if there are fewer cells than
// shards.
bool shard_take(const Plan *whole, Shard shard, Plan *part);

#endif
