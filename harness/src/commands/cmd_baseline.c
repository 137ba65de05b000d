// `hzb baseline set NAME ALLOCATOR | list | rm NAME`.
#include <string.h>

#include "base/subprocess.h"
#include "commands/commands.h"
#include "config/baseline.h"
#include "config/config_load.h"

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
    hzb_error("baseline: expected set NAME ALLOCATOR, list, or rm NAME");
    return HZB_USAGE;
}
