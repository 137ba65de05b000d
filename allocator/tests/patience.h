// A limit of time that a busy machine stretches: where three times as many tasks want to run as there are CPUs, a
// second uses up a third of one. A hang still ends. .ci/Patience.pm is the same for scripts.
//
//     for (Patience patience = patience_of_ms(20000); !happened() && patience_lasts(&patience);)
//         sleep_ms(10);
#ifndef HZ3_TESTS_PATIENCE_H
#define HZ3_TESTS_PATIENCE_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Gives the CPU away for a moment. On a busy machine a yield would wait until every other task has had its slice.
static inline void give_cpu_away(void)
{
    const struct timespec least = {0, 1};
    nanosleep(&least, NULL);
}

#define PATIENCE_STOPPED_NS 1000000000 // a longer step: we were stopped, and so were those that we wait for

typedef struct Patience {
    int64_t left_ns;
    int64_t seen_ns;
} Patience;

static inline int64_t patience_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// Tasks that run or want to, without this one, for each CPU; at least 1, or TEST_PATIENCE on a machine that is slow by
// itself. Allocates nothing, and signal handlers may call it. The file has "0.50 1.20 1.10 3/345 6789" when there are 3
// of them.
static inline double patience_slowness(void)
{
    char text[128];
    int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    text[bytes < 0 ? 0 : bytes] = '\0';
    const char *slash = strchr(text, '/');
    while (slash != NULL && slash > text && slash[-1] != ' ')
        slash--;
    double others = slash != NULL ? (double)strtoul(slash, NULL, 10) - 1 : 0;
    double slowness = others / (double)sysconf(_SC_NPROCESSORS_ONLN);
    const char *set = getenv("TEST_PATIENCE");
    double least = set != NULL ? (double)strtoul(set, NULL, 10) : 1;
    least = least > 1 ? least : 1;
    return slowness > least ? slowness : least;
}

static inline Patience patience_of_ms(unsigned ms)
{
    return (Patience){.left_ns = (int64_t)ms * 1000000, .seen_ns = patience_now_ns()};
}

// Whether some of it is left. Called often, for the machine may be busy at one time and not at another.
static inline bool patience_lasts(Patience *patience)
{
    int64_t now_ns = patience_now_ns();
    int64_t step_ns = now_ns - patience->seen_ns;
    step_ns = step_ns < PATIENCE_STOPPED_NS ? step_ns : PATIENCE_STOPPED_NS;
    patience->seen_ns = now_ns;
    patience->left_ns -= (int64_t)((double)step_ns / patience_slowness());
    return patience->left_ns > 0;
}

#endif
