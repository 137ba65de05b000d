#include "config/side.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/git.h"
#include "base/subprocess.h"
#include "config/arm_find.h"
#include "config/paths.h"
#include "config/revision.h"

// The allocator whose environment a revision gets.
static const char revised_allocator[] = "hz3";
enum { COMMIT_DIGITS = 10, LIBRARY_DIGITS = 8 };

// What follows the prefix, or NULL.
static const char *after(const char *word, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(word, prefix, length) == 0 ? word + length : NULL;
}

char *side_revision_name(const char *commit)
{
    return xfmt(REVISION_PREFIX "%.*s", COMMIT_DIGITS, commit);
}

char *side_revision(const char *word)
{
    const char *revision = after(word, REVISION_PREFIX);
    return git_commit(revision ? revision : word);
}

static bool revision_arm(const Config *config, const Options *options, const char *commit, Arm *arm)
{
    const CfgAllocator *like = config_allocator(config, revised_allocator);
    *arm = (Arm){0};
    if (like) arm_resolve(config, options, like, arm); // whether its own library is built doesn't matter here
    arm->name = side_revision_name(commit);
    arm->missing = false;
    arm->build_defs = NULL;
    arm->preload = revision_library(options_build_dir(options), commit);
    return arm->preload != NULL;
}

// Named after the file and its bytes: another library of that name is another arm.
static bool library_arm(const char *path, Arm *arm)
{
    char *sha256 = sha256_of_file(path);
    const char *slash = strrchr(path, '/');
    char *stem = xstrdup(slash ? slash + 1 : path);
    stem[strcspn(stem, ".")] = 0;
    for (char *c = stem; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("_-", *c)) *c = '_';
    *arm = (Arm){.name = xfmt("%s:%.*s", stem, LIBRARY_DIGITS, sha256 ? sha256 : ""), .preload = readable_path(path)};
    if (!sha256 || !arm->preload) hzb_error("'%s': no readable library", path);
    free(stem);
    free(sha256);
    return arm->preload != NULL;
}

static bool is_file(const char *path)
{
    FileId id;
    return file_id(path, &id);
}

typedef struct Meanings {
    const CfgAllocator *allocator;
    bool file;
    char *commit; // NULL = it is no revision
} Meanings;

static Meanings meanings_of(const Config *config, const char *word)
{
    const char *allocator = after(word, ALLOCATOR_PREFIX), *revision = after(word, REVISION_PREFIX);
    if (allocator) return (Meanings){.allocator = config_allocator(config, allocator)};
    if (revision) return (Meanings){.commit = side_revision(word)};
    return (Meanings){config_allocator(config, word), is_file(word), side_revision(word)};
}

static bool means_one_thing(const Config *config, const Meanings *m, const char *word)
{
    const int count = (m->allocator != NULL) + m->file + (m->commit != NULL);
    if (count == 0)
        hzb_error("'%s': expected a git revision, an allocator of %s, " BASELINE_PREFIX "NAME or the path of a library",
                  word, config->allocators_path);
    if (count > 1)
        hzb_error("'%s' means several things; write one of:%s%s%s%s%s%s", word,
                  m->allocator ? " " ALLOCATOR_PREFIX : "", m->allocator ? word : "",
                  m->commit ? " " REVISION_PREFIX : "", m->commit ? word : "", m->file ? " ./" : "",
                  m->file ? word : "");
    return count == 1;
}

bool side_is_clear(const Config *config, const char *word)
{
    if (after(word, BASELINE_PREFIX)) return true;
    const Meanings meanings = meanings_of(config, word);
    return means_one_thing(config, &meanings, word);
}

bool side_find(const Config *config, const Options *options, const char *word, Arm *arm)
{
    if (after(word, BASELINE_PREFIX)) return arm_find(config, options, word, arm);
    const Meanings meanings = meanings_of(config, word);
    if (!means_one_thing(config, &meanings, word)) return false;
    if (meanings.commit) return revision_arm(config, options, meanings.commit, arm);
    if (meanings.file) return library_arm(word, arm);
    if (!arm_find(config, options, meanings.allocator->name, arm)) return false;
    if (arm->missing) hzb_error("allocator '%s': its library '%s' is not installed", arm->name, arm->preload);
    return !arm->missing;
}
