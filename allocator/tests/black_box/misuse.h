// Shared by misuse_test and misuse_address_test, which commit one bug in each process: it must end by SIGABRT after one
// line on stderr that names the pointer and the fault.
//
// A case is a bad pointer, what is done to it, and how the caches are settled afterwards: a free of an address inside a
// cached block, or a second free long after the first, may stay in the front until the flush; everything else must be
// caught on the spot.
#ifndef HZ3_TESTS_MISUSE_H
#define HZ3_TESTS_MISUSE_H

#include "support.h"

typedef enum Settle { AT_ONCE, AT_TRIM, AT_EXIT, AT_EXIT_ELSEWHERE, SETTLE_COUNT } Settle;

typedef struct Maker {
    const char *name;
    void *(*make)(size_t size);
    const char *const *env;
} Maker;

typedef struct Action {
    const char *name;
    void (*act)(void *pointer, size_t size);
} Action;

enum { N_ACTIONS = 5 };
extern const Action actions[N_ACTIONS]; // every entry point that takes a pointer
extern const Action action_free;
extern const Action action_realloc;
void act_free(void *pointer, size_t size);

// Adds a case. One of the words must stand in the message.
void add(const Maker *maker, const Action *action, size_t size, Settle settle, const char *const *words);

// Runs the cases that were added.
int misuse_main(int argc, char **argv);

#endif
