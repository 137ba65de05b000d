// Included before every source file of the build with injected faults: each call that may be refused becomes a site,
// which asks fault_error() first. The headers come before the macros, so only calls are replaced.
#ifndef HZ3_FAULT_CALLS_H
#define HZ3_FAULT_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "fault_site.h"

// All sites of the library lie side by side in one section.
#define FAULT_ERROR(call, ...)                                                                                         \
    ({                                                                                                                 \
        static FaultSite fault_site                                                                                    \
            __attribute__((section("fault_sites"), used, aligned(8))) = {__FILE__, __LINE__, call, {__VA_ARGS__}};     \
        fault_error(&fault_site);                                                                                      \
    })
#define ERRORS(...) __VA_ARGS__
// A call that says why in errno, or by its value.
#define SETS_ERRNO(call, name, refused, errors)                                                                        \
    ({                                                                                                                 \
        int fault_e = FAULT_ERROR(name, errors);                                                                       \
        fault_e != 0 ? (errno = fault_e, (refused)) : (call);                                                          \
    })
#define RETURNS_ERROR(call, name, errors)                                                                              \
    ({                                                                                                                 \
        int fault_e = FAULT_ERROR(name, errors);                                                                       \
        fault_e != 0 ? fault_e : (call);                                                                               \
    })

#define mmap(...) SETS_ERRNO(mmap(__VA_ARGS__), "mmap", MAP_FAILED, ERRORS(ENOMEM, EPERM))
#define munmap(...) SETS_ERRNO(munmap(__VA_ARGS__), "munmap", -1, ERRORS(ENOMEM, EINVAL))
#define mremap(...) SETS_ERRNO(mremap(__VA_ARGS__), "mremap", MAP_FAILED, ERRORS(ENOMEM, ENOSYS))
#define mprotect(...) SETS_ERRNO(mprotect(__VA_ARGS__), "mprotect", -1, ERRORS(ENOMEM, EACCES))
#define madvise(...) SETS_ERRNO(madvise(__VA_ARGS__), "madvise", -1, ERRORS(EINVAL, EAGAIN))
#define open(...) SETS_ERRNO(open(__VA_ARGS__), "open", -1, ERRORS(EMFILE, EEXIST))
#define unlink(...) SETS_ERRNO(unlink(__VA_ARGS__), "unlink", -1, ERRORS(EACCES))
#define prctl(...) SETS_ERRNO(prctl(__VA_ARGS__), "prctl", -1, ERRORS(EPERM))
#define sysinfo(...) SETS_ERRNO(sysinfo(__VA_ARGS__), "sysinfo", -1, ERRORS(EPERM))
#define getrlimit(...) SETS_ERRNO(getrlimit(__VA_ARGS__), "getrlimit", -1, ERRORS(EPERM))
#define clock_gettime(...) SETS_ERRNO(clock_gettime(__VA_ARGS__), "clock_gettime", -1, ERRORS(EINVAL))
#define sched_yield() SETS_ERRNO(sched_yield(), "sched_yield", -1, ERRORS(EPERM))
#define sched_getcpu() SETS_ERRNO(sched_getcpu(), "sched_getcpu", -1, ERRORS(ENOSYS))
#define sched_getaffinity(...) SETS_ERRNO(sched_getaffinity(__VA_ARGS__), "sched_getaffinity", -1, ERRORS(EINVAL))
// Of the numbers that hz3 uses. EAGAIN from a futex means that the word has changed.
#define syscall(number, ...) SETS_ERRNO(syscall(number, ##__VA_ARGS__), #number, -1, ERRORS(ENOSYS, EPERM, EAGAIN))

// The descriptor is gone also when close() complains.
#define close(fd) SETS_ERRNO(close(fd), "close", (close(fd), -1), ERRORS(EINTR, EIO))

#define pthread_create(...) RETURNS_ERROR(pthread_create(__VA_ARGS__), "pthread_create", ERRORS(EAGAIN, EINVAL, EPERM))
#define pthread_attr_init(...) RETURNS_ERROR(pthread_attr_init(__VA_ARGS__), "pthread_attr_init", ERRORS(ENOMEM))
#define pthread_attr_setstacksize(...)                                                                                 \
    RETURNS_ERROR(pthread_attr_setstacksize(__VA_ARGS__), "pthread_attr_setstacksize", ERRORS(EINVAL))
#define pthread_key_create(...)                                                                                        \
    RETURNS_ERROR(pthread_key_create(__VA_ARGS__), "pthread_key_create", ERRORS(EAGAIN, ENOMEM))
#define pthread_setspecific(...) RETURNS_ERROR(pthread_setspecific(__VA_ARGS__), "pthread_setspecific", ERRORS(ENOMEM))
#define posix_fallocate(...) RETURNS_ERROR(posix_fallocate(__VA_ARGS__), "posix_fallocate", ERRORS(ENOSPC, EINTR))
#define __register_atfork(...) RETURNS_ERROR(__register_atfork(__VA_ARGS__), "__register_atfork", ERRORS(ENOMEM))

#endif
