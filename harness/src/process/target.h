// The measured process as /proc shows it.
#ifndef HZB_TARGET_H
#define HZB_TARGET_H

#include <stdint.h>
#include <sys/types.h>

#include "base/util.h"

// Descriptor to read the RSS from, kept open over the process's life; -1 on failure.
int target_open_statm(pid_t pid);
// Half a microsecond; 0 once the process has ended.
int64_t target_rss_kib(int statm_fd);

typedef struct TargetMemory {
    int64_t peak_kib; // VmHWM: since the last target_reset_peak()
    int64_t swap_kib;
} TargetMemory;

// -1 for what is unknown.
TargetMemory target_memory(pid_t pid);
void target_reset_peak(pid_t pid);
int64_t target_majflt(pid_t pid);
// CPU time so far; -1 once it has ended.
int64_t target_cpu_ms(pid_t pid);
// Where the stack begins that the process got when it began its program: another one with each program that it begins,
// for the kernel draws it. 0: unknown.
uint64_t target_stack_start(pid_t pid);

// NULL if the process has mapped the library `wanted` (NULL: none) and no other of `known`; else what is wrong. A
// mistyped LD_PRELOAD runs on glibc's malloc and exits with 0, so this is the only proof there is.
char *target_allocator_fault(pid_t pid, const char *wanted, const StrList *known);
// The same of a program that may be linked with another allocator: one that is preloaded stands before it.
char *target_program_fault(pid_t pid, const char *wanted, const StrList *known);

#endif
