// Part of the library under `make coverage`: a process that leaves by abort() or _exit() keeps its counters.
//
// gcc's runtime writes them at exit() only, and it calls malloc to do so. Whoever aborts may hold hz3's locks, so while
// a thread writes it gets its memory from a pool.
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define POOL_BYTES ((size_t)4 << 20)

void __gcov_dump(void);

// hz3's own, renamed by coverage.mk.
void *hz3_covered_malloc(size_t size);
void *hz3_covered_calloc(size_t count, size_t size);
void *hz3_covered_realloc(void *p, size_t size);
void hz3_covered_free(void *p);

static _Alignas(16) unsigned char pool[POOL_BYTES]; // zero, and used once
static size_t pool_used;
static _Atomic bool is_dumped;
static _Thread_local bool is_dumping;

static void *pool_take(size_t bytes)
{
    size_t at = pool_used;
    pool_used += (bytes + 15) & ~(size_t)15;
    return pool_used <= POOL_BYTES ? pool + at : NULL;
}

static bool is_of_pool(const void *p)
{
    return (uintptr_t)p - (uintptr_t)pool < POOL_BYTES;
}

EXPORT void *malloc(size_t size)
{
    return is_dumping ? pool_take(size) : hz3_covered_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    return is_dumping ? pool_take(count * size) : hz3_covered_calloc(count, size);
}

EXPORT void *realloc(void *p, size_t size)
{
    if (!is_dumping) return hz3_covered_realloc(p, size);
    void *larger = pool_take(size);
    if (larger != NULL && is_of_pool(p)) {
        size_t readable = (size_t)(pool + POOL_BYTES - (unsigned char *)p);
        memmove(larger, p, size < readable ? size : readable);
    }
    return larger;
}

EXPORT void free(void *p)
{
    if (!is_of_pool(p)) hz3_covered_free(p);
}

static void dump_once(void)
{
    if (atomic_exchange(&is_dumped, true)) return;
    is_dumping = true;
    __gcov_dump();
    is_dumping = false;
}

_Noreturn EXPORT void _exit(int status)
{
    dump_once();
    for (;;) {
        syscall(SYS_exit_group, status);
    }
}

_Noreturn EXPORT void _Exit(int status)
{
    _exit(status);
}

_Noreturn EXPORT void abort(void)
{
    dump_once();
    void (*next)(void) = (void (*)(void))(uintptr_t)dlsym(RTLD_NEXT, "abort");
    next();
    __builtin_unreachable();
}
