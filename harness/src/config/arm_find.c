#include "config/arm_find.h"

#include <string.h>

#include "config/baseline.h"
#include "config/variant.h"

bool arm_find(const Config *config, const Options *options, const char *name, Arm *arm)
{
    size_t prefix = strlen(BASELINE_PREFIX);
    if (strncmp(name, BASELINE_PREFIX, prefix) == 0) return baseline_arm(options, name + prefix, arm);
    if (!arm_resolve(config, options, config_allocator(config, name), arm)) {
        hzb_error("allocator '%s': library '%s' not found%s; install or build it, or mark it 'optional: true'",
                  arm->name, arm->preload, strchr(arm->preload, '/') ? "" : " in the system's library folders");
        return false;
    }
    if (!arm->build_defs) return true;
    arm->preload = variant_build(options_build_dir(options), arm->build_defs);
    return arm->preload != NULL;
}
