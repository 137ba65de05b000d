#include "config/revision.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/git.h"
#include "base/util.h"

static const char library_file[] = "libhakozuna_hz3_scale.so";

char *revision_folder(const char *build_dir)
{
    char whole[PATH_MAX];
    if (!realpath(build_dir, whole)) {
        hzb_error("%s: %s", build_dir, strerror(errno));
        return NULL;
    }
    char *revs = xfmt("%s/revs", whole);
    return folder_make(revs) ? revs : NULL;
}

static bool make_library(const char *tree, const char *objects, const char *commit)
{
    char *said = NULL;
    const char *argv[] = {"make",
                          "--no-print-directory",
                          "-s",
                          xfmt("-j%ld", sysconf(_SC_NPROCESSORS_ONLN)),
                          "-C",
                          xfmt("%s/allocator", tree),
                          xfmt("BUILD=%s", objects),
                          "all_ldpreload_scale",
                          NULL};
    bool ok = command_output(argv, STDERR_JOINED, &said) == 0;
    if (!ok) hzb_error("revision %.10s: make failed:\n%s", commit, said ? said : "make cannot be run");
    free(said);
    return ok;
}

// Without what says from which lines and by which link it came. So a commit that changes only comments makes the same
// bytes as the one before.
static bool strip_library(const char *built)
{
    char *said = NULL;
    const char *argv[] = {"strip", "--strip-debug", "--remove-section=.note.gnu.build-id", built, NULL};
    bool ok = command_output(argv, STDERR_JOINED, &said) == 0;
    if (!ok) hzb_error("strip %s: %s", built, said ? said : "strip cannot be run");
    free(said);
    return ok;
}

// Filled under another name, so that a folder named after a commit is whole.
static bool keep_library(const char *revs, const char *built, const char *commit)
{
    char *fresh = xfmt("%s/new", revs), *dir = xfmt("%s/%s", revs, commit);
    folder_remove(fresh);
    bool ok = folder_make(fresh) && file_copy(built, xfmt("%s/%s", fresh, library_file));
    if (ok && rename(fresh, dir) != 0) {
        hzb_error("%s: %s", dir, strerror(errno));
        ok = false;
    }
    if (!ok) folder_remove(fresh);
    free(fresh);
    free(dir);
    return ok;
}

static bool build(const char *revs, const char *commit)
{
    char *tree = xfmt("%s/tree", revs), *objects = xfmt("%s/objects", revs);
    char *built = xfmt("%s/%s", objects, library_file);
    folder_remove(objects); // of a build that was killed
    bool ok = git_worktree_add(tree, commit) && folder_make(objects) && make_library(tree, objects, commit) &&
              strip_library(built) && keep_library(revs, built, commit);
    git_worktree_remove(tree);
    folder_remove(objects);
    free(tree);
    free(objects);
    free(built);
    return ok;
}

char *revision_library(const char *build_dir, const char *commit)
{
    char *revs = revision_folder(build_dir);
    if (!revs) return NULL;
    char *library = xfmt("%s/%s/%s", revs, commit, library_file);
    if (access(library, R_OK) == 0) return library;
    int lock = file_lock(xfmt("%s/build.lock", revs), "another hzb that builds a revision");
    if (lock < 0) return NULL;
    bool ok = access(library, R_OK) == 0; // built by that one
    if (!ok) {
        hzb_note("building revision %.10s", commit);
        ok = build(revs, commit);
    }
    close(lock);
    return ok ? library : NULL;
}
