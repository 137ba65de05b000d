// One of the two that `hzb compare` is given: a git revision, an allocator's name, baseline:NAME, or a library's path.
#ifndef HZB_SIDE_H
#define HZB_SIDE_H

#include <stdbool.h>

#include "config/arm.h"

#define REVISION_PREFIX "rev:"
#define ALLOCATOR_PREFIX "allocator:"

// The arm that a word means, with its library found or built, not yet hashed. A word that means two things is refused.
// With a prefix from above, or as a path with a slash, it means only one. Says what is wrong and returns false.
bool side_find(const Config *config, const Options *options, const char *word, Arm *arm);
// Whether a word means one thing. Builds nothing. Says what is wrong and returns false.
bool side_is_clear(const Config *config, const char *word);

// The full hash of the commit that a word means as a git revision, or NULL.
char *side_revision(const char *word);
// The arm's name of a commit that is given by its full hash.
char *side_revision_name(const char *commit);

#endif
