#include "policy/hz3_s65_medium_reclaim.h"

#include "base/hz3_knobs.h"
#include "middle/hz3_central.h"

void hz3_s65_medium_reclaim_tick(uint64_t max_runs)
{
    if (hz3_knobs.S65_RELEASE_COVERAGE) {
        hz3_central_drain_medium(HZ3_DRAIN_SURPLUS, max_runs);
    }
}
