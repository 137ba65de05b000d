// Instructions that a process executes outside of its own program, counted by valgrind's callgrind.
//
// They are what an allocator costs, free of the machine's noise. The program's own instructions are subtracted: the
// same under every allocator, they would hide a part of what changed. Those of the C library and the dynamic linker
// stay, for an allocator may call them or be a part of one.
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
