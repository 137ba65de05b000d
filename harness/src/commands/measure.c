#include "commands/measure.h"

#include <signal.h>
#include <stdio.h>

#include "process/quiet.h"
#include "record/machine_modes.h"
#include "record/resultdir.h"
#include "sweep/diag.h"
#include "sweep/sweep.h"

#define LOCK_PATH "/tmp/hzb.lock"

static bool lock_host(const Options *options)
{
    return host_lock(options->lock_path ? options->lock_path : LOCK_PATH);
}

// A reader of hzb's output that is gone, as head is, ends no sweep: its files in memory would stay for ever.
static void outlive_readers(void)
{
    signal(SIGPIPE, SIG_IGN);
}

HzbExit measure(const Options *options, const char *dir)
{
    outlive_readers();
    if (!lock_host(options)) return HZB_IO;
    if (options->wait_quiet_s > 0) quiet_wait(options->wait_quiet_s);
    HzbExit result = sweep(dir, options->test ? SWEEP_VERIFY : options->again ? SWEEP_AGAIN : SWEEP_REST);
    const bool measured = result == HZB_OK || result == HZB_BAD_SAMPLES;
    if (measured && options->lane == LANE_DIAG && !options->test && !diag_run(dir)) return HZB_IO;
    return result;
}

char *measure_folder(const Options *options, const char *output, Planned *planned)
{
    planned->experiment.modes_before = machine_modes_before(output);
    return resultdir_make(output, &planned->config, &planned->experiment, &planned->plan,
                          options->shard.count ? &planned->whole : NULL);
}

HzbExit measure_new(const Options *options, Planned *planned, char **dir)
{
    const char *output = options_output(options);
    *dir = NULL;
    outlive_readers();
    planned_announce(planned);
    if (options->dry_run) return HZB_OK;
    *dir = measure_folder(options, output, planned);
    if (!*dir) return HZB_IO;
    printf("%s\n", *dir);
    fflush(stdout);
    // `latest` stays what it is while this run waits for another.
    if (!lock_host(options) || !resultdir_set_latest(output, planned->experiment.run_id)) return HZB_IO;
    return measure(options, *dir);
}
