// An arm by the name that a matrix gives it: an allocator of allocators.yaml, or baseline:NAME.
#ifndef HZB_ARM_FIND_H
#define HZB_ARM_FIND_H

#include <stdbool.h>

#include "config/arm.h"

// With its library found or built, not yet hashed. Says what is wrong and returns false.
bool arm_find(const Config *config, const Options *options, const char *name, Arm *arm);

#endif
