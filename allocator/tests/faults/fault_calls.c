// The layer between hz3 and the kernel in the build with injected faults. It allocates nothing.
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault_site.h"

#define EXPORT __attribute__((visibility("default")))

extern const FaultSite sites[] __asm__("__start_fault_sites");
extern const FaultSite sites_end[] __asm__("__stop_fault_sites");

static FaultPlan no_plan; // where FAULT_PLAN is not set
static FaultPlan *_Atomic plan;
static _Atomic bool is_disarmed;
static _Thread_local uint64_t calls __attribute__((tls_model("initial-exec")));

static char *append(char *to, const char *end, const char *text)
{
    while (*text != '\0' && to < end - 1)
        *to++ = *text++;
    *to = '\0';
    return to;
}

static void name_sites(FaultPlan *of)
{
    of->n_sites = (uint32_t)(sites_end - sites);
    if (of->n_sites > FAULT_SITES_MAX) abort();
    for (uint32_t i = 0; i < of->n_sites; i++) {
        FaultSiteFigures *figures = &of->site_figures[i];
        const char *slash = strrchr(sites[i].file, '/');
        char *to = figures->name;
        const char *end = to + sizeof figures->name;
        char line[8] = {0};
        int at = (int)sizeof line - 1;
        for (int left = sites[i].line; left != 0; left /= 10)
            line[--at] = (char)('0' + left % 10);
        to = append(to, end, slash != NULL ? slash + 1 : sites[i].file);
        to = append(append(append(append(to, end, ":"), end, line + at), end, " "), end, sites[i].call);
        for (figures->n_errors = 0; sites[i].errors[figures->n_errors] != 0;)
            figures->n_errors++;
    }
}

static FaultPlan *the_plan(void)
{
    FaultPlan *found = atomic_load(&plan);
    if (found != NULL) return found;
    found = &no_plan;
    const char *path = getenv("FAULT_PLAN");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *mapped = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (mapped == MAP_FAILED) abort();
        found = mapped;
        name_sites(found);
    }
    atomic_store(&plan, found);
    return found;
}

static bool is_refused(const FaultPlan *by, uint32_t site, uint64_t nth_of_site, uint64_t nth_of_all)
{
    switch (by->mode) {
    case FAULT_ONCE:
        return site == by->site && nth_of_site == by->k;
    case FAULT_EVER:
        return site == by->site && nth_of_site >= by->k;
    case FAULT_EVERYTHING:
        return nth_of_all >= by->k;
    default:
        return false;
    }
}

// A thread that waits for others may have to look often; what the kernel lends its code for costs no system call.
static bool counts(const FaultSite *site)
{
    static const char *const others[] = {"SYS_futex", "SYS_clock_nanosleep", "sched_yield", "sched_getcpu",
                                         "clock_gettime"};
    bool counts = true;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        counts = counts && strcmp(site->call, others[i]) != 0;
    return counts;
}

int fault_error(const FaultSite *site)
{
    FaultPlan *by = the_plan();
    uint32_t index = (uint32_t)(site - sites);
    calls += counts(site);
    if (by == &no_plan || atomic_load(&is_disarmed)) return 0;
    uint64_t nth_of_site = atomic_fetch_add(&by->site_figures[index].calls, 1) + 1;
    uint64_t nth_of_all = atomic_fetch_add(&by->calls, 1) + 1;
    if (!is_refused(by, index, nth_of_site, nth_of_all)) return 0;
    atomic_fetch_add(&by->fired, 1);
    return site->errors[by->error % by->site_figures[index].n_errors];
}

EXPORT uint64_t fault_calls_of_thread(void)
{
    return calls;
}

EXPORT void fault_disarm(void)
{
    atomic_store(&is_disarmed, true);
}
