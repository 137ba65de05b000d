// hz3's own entry points, beside the malloc family that the library replaces. All are thread-safe. A program that must
// also run without hz3 declares them weak and checks for NULL:
//     extern void hz3_epoch_force(void) __attribute__((weak));
#ifndef HZ3_H
#define HZ3_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Runs one epoch now: returns what the caches between threads did not need since the last epoch to the page maps and
// gives free resident pages back to the kernel. Returns at once when another thread is already running one. Never
// fails.
void hz3_epoch_force(void);

// Reads one event counter by its name ("purged_pages", "alloc_failed", ...). 0 on success; -1, and *value untouched,
// when there is no such counter. Threads that move between CPUs may lose a count.
int hz3_stats_read(const char *name, uint64_t *value);

// The file that HZ3_STATS_FILE names: this header, n_counters names of HZ3_STATS_NAME_BYTES each at names_off, and
// n_stripes stripes of stripe_bytes at data_off, each an array of 64-bit counters in the order of the names. A
// counter's value is the sum over the stripes modulo 2^64. Little endian; offsets in bytes from the start of the file.
#define HZ3_STATS_MAGIC "HZ3STAT1"
#define HZ3_STATS_VERSION 1u
#define HZ3_STATS_NAME_BYTES 32

typedef struct Hz3StatsFileHeader {
    char magic[8]; // written last: zero until the rest is there
    uint32_t version;
    uint32_t n_counters;
    uint32_t n_stripes;
    uint32_t stripe_bytes;
    uint32_t names_off;
    uint32_t data_off;
    uint8_t reserved[32];
} Hz3StatsFileHeader;

#ifdef __cplusplus
}
#endif

#endif
