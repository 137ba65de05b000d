// The workload's end of the HZB1 protocol; does nothing when $HZB_FD is not set.
#ifndef WORKLOADS_HZB_CLIENT_H
#define WORKLOADS_HZB_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct HzbResult {
    uint64_t ops;
    uint64_t work_ns;
    uint64_t checksum;
    uint64_t alloc_failed;
    uint64_t live_peak;
    uint64_t live_at_fail;
    uint64_t blocks; // allocated and freed; printed, not sent
    bool has_remote; // the two below are meaningful
    double fallback_pct;
    double actual_remote_pct;
} HzbResult;

// The descriptor that the variable names, -1 when it is not set; dies when it is no open descriptor.
int hzb_inherited_fd(const char *variable);

void hzb_open(void);

// Marks the start of a phase. Cycle is 0 where there is none.
void hzb_phase(const char *name, unsigned cycle);

// Sends the final line and waits until the harness lets the process go.
void hzb_finish(const HzbResult *result);

#endif
