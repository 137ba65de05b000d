#include "config/library_version.h"

#include <gnu/libc-version.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/subprocess.h"
#include "base/util.h"

// What harness/peers.sh says about a library that it built: LIBRARY.version in the place of LIBRARY.so.
static char *version_beside(const char *path)
{
    size_t length = strlen(path);
    if (length < 3 || strcmp(path + length - 3, ".so") != 0) return NULL;
    char *beside = xfmt("%.*s.version", (int)length - 3, path);
    char *text = file_line(beside);
    free(beside);
    return text;
}

// dpkg knows a library by the path that its package has, which need not begin as the resolved one.
static char *debian_version(const char *path)
{
    char *pattern = xfmt("*/%s", strrchr(path, '/') + 1), *owner = NULL, *version = NULL;
    const char *search[] = {"dpkg-query", "--search", pattern, NULL};
    bool found = command_output(search, STDERR_DROPPED, &owner) == 0;
    if (found) {
        owner[strcspn(owner, ": ")] = '\0'; // "package:amd64: path"
        const char *show[] = {"dpkg-query", "--show", "--showformat=${Package} ${Version}\n", owner, NULL};
        found = command_output(show, STDERR_DROPPED, &version) == 0;
    }
    if (found)
        version[strcspn(version, "\n")] = '\0';
    else
        version = xstrdup("");
    free(pattern);
    free(owner);
    return version;
}

char *library_version(const char *path)
{
    if (!path) return xfmt("glibc %s", gnu_get_libc_version());
    char *beside = version_beside(path);
    if (beside) return beside;
    bool is_system = strncmp(path, "/usr/", 5) == 0 || strncmp(path, "/lib", 4) == 0;
    return is_system ? debian_version(path) : xstrdup("");
}
