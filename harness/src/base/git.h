// Git: the state of the tree that this program was built in, and commits of the repository that the caller stands in.
#ifndef HZB_GIT_H
#define HZB_GIT_H

#include <stdbool.h>

#include "base/subprocess.h"

typedef struct GitState {
    char *sha; // short hash of HEAD, "nogit" outside of a repository
    bool dirty;
} GitState;

GitState git_state(void);

// `git` with these words, of which the last is NULL, in the current folder. Otherwise as command_output().
int git_output(StderrUse stderr_use, char **said, ...) __attribute__((sentinel));
// Full hash of the commit that a revision names, or NULL.
char *git_commit(const char *revision);
bool git_is_ancestor(const char *older, const char *younger);

// Makes a worktree of that commit at `path`, where a killed program may have left one. Says what is wrong and returns
// false.
bool git_worktree_add(const char *path, const char *commit);
// Removes a worktree and what the repository knows about it, if there is one.
void git_worktree_remove(const char *path);

#endif
