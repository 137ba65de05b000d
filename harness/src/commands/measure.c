#include "commands/measure.h"

#include "sweep/diag.h"
#include "sweep/sweep.h"

#define LOCK_PATH "/tmp/hzb.lock"

HzbExit measure(const Options *options, const char *dir)
{
    if (!host_lock(options->lock_path ? options->lock_path : LOCK_PATH)) return HZB_IO;
    HzbExit result = sweep(dir, options->test);
    const bool measured = result == HZB_OK || result == HZB_BAD_SAMPLES;
    if (measured && options->lane == LANE_DIAG && !options->test && !diag_run(dir)) return HZB_IO;
    return result;
}
