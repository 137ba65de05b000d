// An allocator as it is measured: a library that was found, and its environment.
#ifndef HZB_ARM_H
#define HZB_ARM_H

#include <stdbool.h>

#include "base/files.h"
#include "config/config.h"
#include "config/options.h"

typedef struct Arm {
    char *name;
    char *role;    // base, cand, ref or aa
    char *preload; // absolute path; NULL = the C library's own malloc
    char *sha256;  // of the library; NULL without one
    char *stats_file_env;
    char *build; // what the library says of itself; "" when it says nothing
    StrList env;
    char *same_as;    // a candidate with the library and environment of every base, the first of which this is: nothing
                      // to run, nothing to decide
    char *build_defs; // built when it is first run; NULL = the library is found
    bool missing;     // optional and not found: its samples are recorded as skipped
    FileId id;
} Arm;

// One allocator with all that it inherits; its library is looked up, not yet hashed. A library that is not found has
// its configured name in `preload` and sets `missing`. Returns false if it is missing and not optional.
bool arm_resolve(const Config *config, const Options *options, const CfgAllocator *allocator, Arm *arm);
// What the allocator's build line says: lane, front in use, definitions. It is asked under the arm's own environment,
// as machine and environment decide part of it. Of an arm without counters the version; "" when nobody says it.
char *arm_build(const Arm *arm);
// A base or a candidate: what a matrix is about. Peers and A/A arms stand beside it.
bool arm_is_asked(const char *role);
// The same library in the same environment.
bool arms_are_same(const Arm *a, const Arm *b);

#endif
