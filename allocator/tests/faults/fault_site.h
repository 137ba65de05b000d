// A call of hz3's sources that a test may have refused, and the layer that decides it.
#ifndef HZ3_FAULT_SITE_H
#define HZ3_FAULT_SITE_H

#include "fault_plan.h"

typedef struct FaultSite {
    const char *file;
    int line;
    const char *call;
    int errors[FAULT_ERRORS_MAX + 1]; // 0 at the end
} FaultSite;

// 0, or the error that this call must return.
__attribute__((visibility("hidden"))) int fault_error(const FaultSite *site);

// For the program under test; weak there, since it also runs without this build.
uint64_t fault_calls_of_thread(void); // system calls so far but those that wait
void fault_disarm(void);              // from here on all calls are made

#endif
