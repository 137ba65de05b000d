// Instructions that a process executes for its allocator, counted by valgrind's callgrind.
//
// The program's own are subtracted: the same under every allocator, they would hide a part of what changed. So is what
// the program calls in the C library, such as waiting, which follows the clock; but not malloc and its kin. What the
// allocator itself calls there stays. Then nothing is left that the machine could change: runs agree to the last one.
#ifndef HZB_CALLGRIND_H
#define HZB_CALLGRIND_H

#include <stdint.h>

#include "base/util.h"

// What valgrind says it is, "valgrind-3.19.0"; NULL if it is not installed. The caller frees it.
char *callgrind_version(void);
// Puts valgrind in front of a command line. The counts go to the file `output`.
void callgrind_arguments(const char *output, StrList *argv);
// From that file; -1 if there are none, as after a crash.
int64_t callgrind_instructions(const char *output, const char *program);

#endif
