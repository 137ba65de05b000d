#include "config/variant.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/subprocess.h"
#include "base/util.h"

static uint64_t hash_of(const char *text)
{
    uint64_t hash = 0;
    for (; *text; text++)
        hash = mix64(hash ^ (unsigned char)*text);
    return hash;
}

// make decides what is up to date; a variant that is costs one make that does nothing.
char *variant_build(const char *build_dir, const char *defs)
{
    assert(*defs);
    char whole[PATH_MAX], *said;
    if (!realpath(build_dir, whole)) {
        hzb_error("%s: %s", build_dir, strerror(errno));
        return NULL;
    }
    char *source = xfmt("%s/../allocator", program_dir());
    if (!folder_has(source, "Makefile")) {
        hzb_error("build_defs '%s': no sources of hz3 in %s; an installed hzb has none, call that of the source tree",
                  defs, source);
        return NULL;
    }
    char *variants = xfmt("%s/variants", whole), *dir = xfmt("%s/%016" PRIx64, variants, hash_of(defs));
    char *library = xfmt("%s/libhakozuna_hz3_scale.so", dir);
    mkdir(variants, 0755);
    mkdir(dir, 0755);
    const char *argv[] = {"make",
                          "--no-print-directory",
                          "-s",
                          "-C",
                          source,
                          xfmt("BUILD=%s", dir),
                          xfmt("HZ3_LDPRELOAD_DEFS_EXTRA=%s", defs),
                          xfmt("%s/libhakozuna_hz3_scale.so", dir),
                          NULL};
    if (command_output(argv, STDERR_JOINED, &said) == 0) return library;
    hzb_error("build_defs '%s': make failed:\n%s", defs, said ? said : "");
    return NULL;
}
