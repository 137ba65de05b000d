// The state of the source tree that this program was built in.
#ifndef HZB_GIT_H
#define HZB_GIT_H

#include <stdbool.h>

typedef struct GitState {
    char *sha; // short hash of HEAD, "nogit" outside of a repository
    bool dirty;
} GitState;

GitState git_state(void);

#endif
