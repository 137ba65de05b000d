// A profiler as people write them: preloaded in front of the allocator, finds the real functions by dlsym(RTLD_NEXT)
// from inside the first call.
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

unsigned long wrapper_calls(void);

static _Atomic unsigned long calls;

unsigned long wrapper_calls(void)
{
    return calls;
}

static void *next_symbol(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (!symbol) abort();
    return symbol;
}

void *malloc(size_t size)
{
    static void *(*next)(size_t);
    if (!next) next = (void *(*)(size_t))next_symbol("malloc");
    calls++;
    return next(size);
}

void free(void *block)
{
    static void (*next)(void *);
    if (!next) next = (void (*)(void *))next_symbol("free");
    calls++;
    next(block);
}

void *realloc(void *block, size_t size)
{
    static void *(*next)(void *, size_t);
    if (!next) next = (void *(*)(void *, size_t))next_symbol("realloc");
    calls++;
    return next(block, size);
}
