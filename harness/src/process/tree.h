// Tree: a process that knows nothing of hzb, and all that descend from it. Their memory is summed, and each of them
// must have mapped the allocator that was asked for.
#ifndef HZB_TREE_H
#define HZB_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/util.h"

typedef struct TreeProcess {
    pid_t pid;
    int statm_fd;
    bool is_here;         // found by the walk that goes on now
    bool is_proven;       // once at least
    uint64_t stack_start; // then; a process that goes on with another program is proven again
} TreeProcess;

typedef struct Tree {
    pid_t launcher;      // not part of it, and the parent of all that lost theirs
    const char *library; // NULL: the C library's malloc
    const StrList *known;
    TreeProcess *items;
    unsigned count, room;
    unsigned proven; // processes so far
    char *fault;     // of the first that has another allocator
} Tree;

void tree_start(Tree *tree, pid_t launcher, const char *library, const StrList *known);
// Looks for processes that came and went, and gives the RSS of those that are there.
int64_t tree_rss_kib(Tree *tree);
// The same, with each shared page divided by the number of those who share it. The kernel takes milliseconds for it.
int64_t tree_pss_kib(const Tree *tree);
void tree_free(Tree *tree);

#endif
