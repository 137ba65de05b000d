// What a test tells the library with injected faults, and what it hears from it: a file of this layout, named by
// FAULT_PLAN, that both map shared. It outlives the process, however that ends, and a fork's child shares it.
#ifndef HZ3_FAULT_PLAN_H
#define HZ3_FAULT_PLAN_H

#include <stdint.h>

#define FAULT_SITES_MAX 96
#define FAULT_ERRORS_MAX 3

typedef enum FaultMode {
    FAULT_NOTHING,
    FAULT_ONCE,       // the k-th call of the site
    FAULT_EVER,       // that one and all that follow
    FAULT_EVERYTHING, // every call of every site from the k-th of all calls on
} FaultMode;

typedef struct FaultSiteFigures {
    char name[64]; // file:line call
    uint32_t n_errors;
    _Atomic uint64_t calls;
} FaultSiteFigures;

typedef struct FaultPlan {
    // By the test, before the process starts.
    uint32_t mode;
    uint32_t site;
    uint32_t error; // which of the site's errors
    uint64_t k;     // from 1
    // By the library.
    _Atomic uint64_t fired;
    _Atomic uint64_t calls;
    uint32_t n_sites;
    FaultSiteFigures site_figures[FAULT_SITES_MAX];
} FaultPlan;

#endif
