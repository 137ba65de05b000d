// To be preloaded: every 200th malloc takes 5 ms, as if a purger held a lock.
#include <stddef.h>
#include <time.h>

extern void *__libc_malloc(size_t size);

void *malloc(size_t size)
{
    static _Thread_local unsigned count;
    const struct timespec stall = {.tv_nsec = 5000000};
    if (++count % 200 == 0) nanosleep(&stall, NULL);
    return __libc_malloc(size);
}
