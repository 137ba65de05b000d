// A seccomp filter that refuses one system call to the whole process, from now on and for ever.
#ifndef HZ3_FAULT_FORBID_H
#define HZ3_FAULT_FORBID_H

#include <stdbool.h>

// SYS_clone3 stands for both clones. False: this kernel lets nobody do that.
bool forbid_call(int number, int error);

#endif
