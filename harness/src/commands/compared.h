// The shared first half of compare and bisect.
#ifndef HZB_COMPARED_H
#define HZB_COMPARED_H

#include "config/options.h"

// What a command tells `git bisect run` about a commit by its exit code. It gives up at any above 127.
enum { BISECT_GOOD = 0, BISECT_BAD = 1, BISECT_SKIP = 125, BISECT_GIVE_UP = 255 };

// Turns the two targets into the sides of a comparison and makes the matrix the target. Says so and returns false if
// there are not two.
bool compared_options(const Options *given, Options *options);

#endif
