// hz3 at a git revision, built once into {build}/revs/<commit>/ from a worktree that is removed afterwards.
#ifndef HZB_REVISION_H
#define HZB_REVISION_H

// The folder of all that is built from revisions, made if it is not there. NULL with a message.
char *revision_folder(const char *build_dir);
// Path of the library of a commit, given by its full hash; built unless it is there. NULL with a message.
char *revision_library(const char *build_dir, const char *commit);

#endif
