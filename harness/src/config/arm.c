#include "config/arm.h"

#include <stdlib.h>
#include <string.h>

#include "base/subprocess.h"
#include "base/util.h"
#include "config/library_version.h"
#include "config/paths.h"

// Applies the ancestors first, so that the nearest setting wins.
static void inherit(const Config *config, const CfgAllocator *allocator, Arm *arm, const char **preload, bool *optional)
{
    if (allocator->inherits) inherit(config, config_allocator(config, allocator->inherits), arm, preload, optional);
    if (allocator->preload || allocator->build_defs) {
        *preload = allocator->preload;
        arm->build_defs = allocator->build_defs;
    }
    if (allocator->stats_file_env) arm->stats_file_env = xstrdup(allocator->stats_file_env);
    if (allocator->optional) *optional = true;
    for (unsigned i = 0; i < allocator->env_count; i++)
        pairs_set(&arm->env, allocator->env[i]);
}

bool arm_resolve(const Config *config, const Options *options, const CfgAllocator *allocator, Arm *arm)
{
    const char *preload = NULL;
    bool optional = false;
    *arm = (Arm){.name = xstrdup(allocator->name), .role = xstrdup("ref")};
    inherit(config, allocator, arm, &preload, &optional);
    if (!preload) return true; // with build_defs the library is made when the arm is used
    char *found = library_find(config, options, preload);
    arm->missing = !found;
    arm->preload = found                  ? found
                   : strchr(preload, '/') ? config_path(config->allocators_path, options, preload)
                                          : xstrdup(preload);
    return found || optional;
}

char *arm_build(const Arm *arm)
{
    static const char mark[] = "[HZ3_BUILD] ";
    if (arm->missing) return xstrdup("");
    if (!arm->stats_file_env || !arm->preload) return library_version(arm->preload);
    char *preload = xfmt("LD_PRELOAD=%s", arm->preload), *said = NULL;
    const char **argv = xcalloc(arm->env.count + 8 /* 7 words and NULL */, sizeof *argv);
    unsigned argc = 0;
    argv[argc++] = "timeout";
    argv[argc++] = "10";
    argv[argc++] = "env";
    argv[argc++] = "-i";
    for (unsigned i = 0; i < arm->env.count; i++)
        argv[argc++] = arm->env.items[i];
    argv[argc++] = preload;
    argv[argc++] = "HZ3_STATS=1";
    argv[argc++] = "/bin/true";
    bool ran = command_output(argv, STDERR_JOINED, &said) == 0;
    char *line = ran ? strstr(said, mark) : NULL;
    const char *text = line ? line + sizeof mark - 1 : "";
    char *build = xfmt("%.*s", (int)strcspn(text, "\n"), text);
    free(argv);
    free(preload);
    free(said);
    return build;
}

static bool texts_equal(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool arm_is_asked(const char *role)
{
    return strcmp(role, "base") == 0 || strcmp(role, "cand") == 0;
}

bool arms_are_same(const Arm *a, const Arm *b)
{
    bool same = texts_equal(a->sha256, b->sha256) && a->env.count == b->env.count;
    for (unsigned i = 0; same && i < a->env.count; i++)
        same = list_has(&b->env, a->env.items[i]);
    return same;
}
