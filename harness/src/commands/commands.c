#include "commands/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "config/experiment.h"
#include "gate/gate.h"
#include "plan/plan.h"
#include "plan/shard.h"
#include "record/resultdir.h"
#include "record/results.h"
#include "report/table.h"
#include "sweep/diag.h"
#include "sweep/progress.h"
#include "sweep/sweep.h"

#define LOCK_PATH "/tmp/hzb.lock"

/* The shared first half of plan and run. */
typedef struct {
    Config config;
    Experiment experiment;
    Plan whole; /* before a shard was taken */
    Plan plan;
} Planned;

static bool make_plan(const Options *options, Planned *planned)
{
    if (!config_load(&planned->config, options->config_dir, options->target) ||
        !experiment_make(&planned->config, options, &planned->experiment) ||
        !plan_make(&planned->config, options, &planned->experiment, &planned->whole))
        return false;
    planned->plan = planned->whole;
    return options->shard.count == 0 || shard_take(&planned->whole, options->shard, &planned->plan);
}

static char *make_folder(const Options *options, const char *output, Planned *planned)
{
    return resultdir_make(output, &planned->config, &planned->experiment, &planned->plan,
                          options->shard.count ? &planned->whole : NULL);
}

static void announce(const Planned *planned)
{
    char *eta = duration_text(plan_expect_s(&planned->plan));
    hzb_note("%u processes, %u allocators, about %s", planned->plan.count, planned->experiment.arm_count, eta);
    free(eta);
    gate_warn_if_blind(&planned->experiment, &planned->whole);
}

HzbExit command_plan(const Options *options)
{
    Planned planned;
    if (!make_plan(options, &planned)) return HZB_USAGE;
    plan_write(&planned.plan, stdout);
    if (fflush(stdout) != 0) return HZB_IO;
    announce(&planned);
    return HZB_OK;
}

static HzbExit measure(const Options *options, const char *dir)
{
    if (!host_lock(options->lock_path ? options->lock_path : LOCK_PATH)) return HZB_IO;
    HzbExit result = sweep(dir, options->test);
    const bool measured = result == HZB_OK || result == HZB_BAD_SAMPLES;
    if (measured && options->lane == LANE_DIAG && !options->test && !diag_run(dir)) return HZB_IO;
    return result;
}

/* One tiny round whose figures nobody keeps: the folder stays only if something went wrong, for its logs. */
static HzbExit verify(const Options *options, Planned *planned)
{
    const char *tmp = getenv("TMPDIR");
    char *output = xfmt("%s/hzb-test-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(output)) {
        hzb_error("%s: %s", output, strerror(errno));
        return HZB_IO;
    }
    char *dir = make_folder(options, output, planned);
    HzbExit result = dir ? measure(options, dir) : HZB_IO;
    if (result == HZB_OK) {
        printf("test: %u processes ok\n", planned->plan.count);
        resultdir_remove(output);
    } else {
        hzb_error("test failed; records and logs are in %s", dir ? dir : output);
    }
    return result;
}

HzbExit command_run(const Options *options)
{
    Planned planned;
    const char *output = options_output(options);
    if (!make_plan(options, &planned)) return HZB_USAGE;
    if (options->test && !options->dry_run) return verify(options, &planned);
    announce(&planned);
    if (options->dry_run) return HZB_OK;
    char *dir = make_folder(options, output, &planned);
    if (!dir || !resultdir_set_latest(output, planned.experiment.run_id)) return HZB_IO;
    printf("%s\n", dir);
    fflush(stdout);
    return measure(options, dir);
}

const char *options_output(const Options *options)
{
    return options->output ? options->output : RESULTS_DIR;
}

const char *options_result_dir(const Options *options)
{
    return options->target ? options->target : RESULTS_DIR "/latest";
}

HzbExit command_resume(const Options *options)
{
    return measure(options, options_result_dir(options));
}

HzbExit command_table(const Options *options)
{
    Results results;
    if (!results_load(options_result_dir(options), &results)) return HZB_IO;
    table_print(&results, options->markdown, stdout);
    return fflush(stdout) == 0 ? HZB_OK : HZB_IO;
}
