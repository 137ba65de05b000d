#include "config/paths.h"

#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"

#ifndef HZB_MULTIARCH
#define HZB_MULTIARCH "x86_64-linux-gnu"
#endif

static const char *const library_dirs[] = {
    "/usr/local/lib",
    "/usr/local/lib/" HZB_MULTIARCH,
    "/usr/lib/" HZB_MULTIARCH,
    "/lib/" HZB_MULTIARCH,
    "/usr/lib64",
    "/lib64",
    "/usr/lib",
    "/lib",
};

char *readable_path(const char *path)
{
    char resolved[PATH_MAX];
    return realpath(path, resolved) && access(resolved, R_OK) == 0 ? xstrdup(resolved) : NULL;
}

char *matrix_path(const Options *options, const char *word)
{
    char *dir = options->config_dir ? xstrdup(options->config_dir) : xfmt("%s/../harness", program_dir());
    char *named = xfmt("%s/matrix/%s.yaml", dir, word);
    bool is_name = !strchr(word, '/') && access(word, R_OK) != 0 && access(named, R_OK) == 0;
    free(dir);
    if (is_name) return named;
    free(named);
    return xstrdup(word);
}

char *program_in_path(const char *name)
{
    const char *path = getenv("PATH");
    for (const char *at = path ? path : ""; *at;) {
        size_t length = strcspn(at, ":");
        char *candidate = xfmt("%.*s/%s", (int)length, at, name);
        if (candidate[0] == '/' && access(candidate, X_OK) == 0) return candidate;
        free(candidate);
        at += length + (at[length] == ':');
    }
    return NULL;
}

bool program_is_there(const char *name)
{
    glob_t paths = {0};
    bool found = false;
    if (!strchr(name, '/')) {
        char *path = program_in_path(name);
        found = path != NULL;
        free(path);
        return found;
    }
    if (glob(name, GLOB_NOSORT, NULL, &paths) == 0)
        for (size_t i = 0; i < paths.gl_pathc; i++)
            found = found || access(paths.gl_pathv[i], X_OK) == 0;
    globfree(&paths);
    return found;
}

char *config_path(const char *yaml_path, const Options *options, const char *text)
{
    static const char build[] = "{build}";
    if (strncmp(text, build, sizeof build - 1) == 0)
        return xfmt("%s%s", options_build_dir(options), text + sizeof build - 1);
    if (text[0] == '/') return xstrdup(text);
    char *slash = strrchr(yaml_path, '/');
    return slash ? xfmt("%.*s/%s", (int)(slash - yaml_path), yaml_path, text) : xstrdup(text);
}

char *library_find(const Config *config, const Options *options, const char *preload)
{
    if (strchr(preload, '/')) return readable_path(config_path(config->allocators_path, options, preload));
    for (size_t i = 0; i < sizeof library_dirs / sizeof *library_dirs; i++) {
        char *path = xfmt("%s/%s", library_dirs[i], preload);
        char *found = readable_path(path);
        free(path);
        if (found) return found;
    }
    return NULL;
}
