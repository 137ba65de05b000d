// Driver: the shell that waits until a server is ready, lets a client work on it, and looks at what came of it. It is
// no part of what is measured, and no allocator is preloaded into it.
#ifndef HZB_DRIVER_H
#define HZB_DRIVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Driver {
    pid_t pid;                 // 0 = none
    int pidfd, pipe;           // -1 = none
    uint64_t begin_ns, end_ns; // of the client; 0 = not yet
} Driver;

typedef struct DriverSpec {
    const char *ready, *client, *check; // commands of the shell; check may be NULL, its output is a file
    const char *work_dir, *log_path;
} DriverSpec;

// In the work folder: what the check printed.
#define DRIVER_CHECKED "check.out"

void driver_none(Driver *driver);
bool driver_start(const DriverSpec *spec, Driver *driver);
// Reads what it has said by now; returns the phase that begins, or NULL.
const char *driver_hear(Driver *driver);
// Once its pidfd says that it has ended: true if all went well.
bool driver_reap(Driver *driver);
void driver_kill(Driver *driver);

#endif
