// Small things every workload needs; none of them calls malloc.
#ifndef WORKLOADS_UTIL_H
#define WORKLOADS_UTIL_H

#include <stddef.h>
#include <stdint.h>

enum { CACHE_LINE = 64, EXIT_USAGE = 64, EXIT_INTERNAL = 70 };

// Prints "program: message" on stderr and ends the process at once, from any thread.
_Noreturn void die(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Zeroed private pages that are only backed when touched; dies naming `what` when the kernel refuses.
void *pages_map(size_t bytes, const char *what);

uint64_t clock_ns(void);
void sleep_until_ns(uint64_t deadline_ns);

#endif
