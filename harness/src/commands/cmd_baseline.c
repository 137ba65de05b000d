// `hzb baseline set NAME ALLOCATOR | advance NAME ALLOCATOR [RESULTS] | list | rm NAME`.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/subprocess.h"
#include "commands/commands.h"
#include "config/baseline.h"
#include "config/config_load.h"
#include "gate/verdict.h"
#include "record/manifest.h"

static HzbExit set(const Options *options, const char *name, const char *allocator_name)
{
    Config config;
    Arm arm;
    if (!baseline_name_is_good(name) || !config_load(&config, options->config_dir, NULL)) return HZB_USAGE;
    const CfgAllocator *allocator = config_allocator(&config, allocator_name);
    if (!allocator || !arm_resolve(&config, options, allocator, &arm) || !arm.preload || arm.missing) {
        hzb_error("baseline: allocator '%s': %s", allocator_name,
                  !allocator     ? "not in allocators.yaml"
                  : !arm.preload ? "has no library to keep"
                                 : "its library is not built or installed");
        return HZB_USAGE;
    }
    arm.sha256 = sha256_of_file(arm.preload);
    return arm.sha256 && baseline_set(options, name, &arm) ? HZB_OK : HZB_IO;
}

// The library must still be the one that was judged.
static HzbExit keep_measured(const Options *options, const char *name, const Arm *arm)
{
    char *now = sha256_of_file(arm->preload);
    bool same = now && strcmp(now, arm->sha256) == 0;
    if (!same)
        hzb_error("baseline '%s': %s is not the library that was measured (sha256 %.12s)", name, arm->preload,
                  arm->sha256);
    free(now);
    if (!same) return HZB_ENV_CHANGED;
    return baseline_set(options, name, arm) ? HZB_OK : HZB_IO;
}

static HzbExit advance(const Options *options, const char *name, const char *allocator_name, const char *dir)
{
    Experiment experiment;
    Findings findings;
    if (!baseline_name_is_good(name)) return HZB_USAGE;
    if (!manifest_load(dir, &experiment) || !verdict_read(dir, &findings)) return HZB_IO;
    const Arm *arm = experiment_arm(&experiment, allocator_name);
    if (!arm || !arm->preload || arm->missing) {
        hzb_error("baseline: %s: allocator '%s' %s", dir, allocator_name,
                  arm ? "has no library to keep" : "was not measured");
        return HZB_USAGE;
    }
    if (findings.overall == OVERALL_UNJUDGED) {
        hzb_error("baseline: %s is not judged; first: hzb gate", dir);
        return HZB_USAGE;
    }
    if (findings.overall == OVERALL_CLEAN) return keep_measured(options, name, arm);
    printf("%s stays: the verdict of %s is %s\n", name, experiment.run_id, overall_names[findings.overall]);
    return HZB_OK;
}

static HzbExit list(const Options *options)
{
    baseline_list(options);
    return HZB_OK;
}

static HzbExit rm(const Options *options, const char *name)
{
    if (!baseline_name_is_good(name)) return HZB_USAGE;
    if (!baseline_is_set(options, name)) {
        hzb_error("baseline '%s' is not pinned on this machine", name);
        return HZB_USAGE;
    }
    return baseline_remove(options, name) ? HZB_OK : HZB_IO;
}

HzbExit command_baseline(const Options *options)
{
    char **word = options->targets.items;
    unsigned words = options->targets.count;
    if (words == 0 || (words == 1 && strcmp(word[0], "list") == 0)) return list(options);
    if (words == 3 && strcmp(word[0], "set") == 0) return set(options, word[1], word[2]);
    if (words == 2 && strcmp(word[0], "rm") == 0) return rm(options, word[1]);
    if ((words == 3 || words == 4) && strcmp(word[0], "advance") == 0) {
        char *latest = xfmt("%s/latest", options_output(options));
        HzbExit result = advance(options, word[1], word[2], words == 4 ? word[3] : latest);
        free(latest);
        return result;
    }
    hzb_error("baseline: expected set NAME ALLOCATOR, advance NAME ALLOCATOR [RESULTS], list, or rm NAME");
    return HZB_USAGE;
}
