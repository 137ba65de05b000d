// Facts about this machine that figures depend on.
#ifndef HZB_HOST_H
#define HZB_HOST_H

#include <jansson.h>
#include <stdint.h>

// hostname, machine_id, kernel, cpu_model, ... as a JSON object; unknown = null.
json_t *host_facts(void);

// Value of a `Key:` line of a /proc file in its own unit, -1 if it is not there.
int64_t proc_value(const char *path, const char *key);
// The word in brackets of a sysfs choice such as "always [madvise] never", or NULL.
char *sysfs_choice(const char *path);
// What follows `key` and a colon in /proc/cpuinfo, up to the end of the line, or NULL.
char *cpuinfo_field(const char *key);

// Time of all CPUs since boot in ticks, and how much of it another guest had.
typedef struct CpuTicks {
    uint64_t total;
    uint64_t steal;
} CpuTicks;
CpuTicks cpu_ticks(void);
// Microseconds in which some task waited for a CPU since boot; -1 without pressure stall information.
int64_t psi_cpu_us(void);
// Load of the last minute, -1 if unknown.
double load1(void);

#endif
