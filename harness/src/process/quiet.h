// Waiting until nothing else needs the machine.
#ifndef HZB_QUIET_H
#define HZB_QUIET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/host.h"

// What the machine was doing at a moment.
typedef struct Bustle {
    uint64_t at_ns;
    double load1;
    CpuTicks ticks;
    int64_t psi_cpu_us;
} Bustle;

Bustle bustle_now(void);
// Why the machine is not quiet, from two looks at it, or NULL.
char *bustle_between(const Bustle *before, const Bustle *after);

// Waits until the machine is quiet, at most so many seconds. Says what it waits for and how that ended. False if the
// time ran out.
bool quiet_wait(unsigned seconds_max);

#endif
