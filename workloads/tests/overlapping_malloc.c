// A broken allocator, to be preloaded: blocks of 1000 to 1999 bytes all lie at one place, blocks of 2000 to 2999 bytes
// at two places half a block apart. All other sizes are sound. realloc forgets what was in a block that goes to or
// comes from these places.
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t size);
extern void __libc_free(void *block);
extern void *__libc_realloc(void *block, size_t size);

static char place[4096] __attribute__((aligned(16)));

static bool is_ours(const void *block)
{
    return (const char *)block >= place && (const char *)block < place + sizeof place;
}

void *malloc(size_t size)
{
    static _Thread_local unsigned count;
    if (size >= 1000 && size < 2000) return place;
    if (size >= 2000 && size < 3000) return place + (count++ % 2) * 1008;
    return __libc_malloc(size);
}

void free(void *block)
{
    if (!is_ours(block)) __libc_free(block);
}

void *realloc(void *block, size_t size)
{
    if (!is_ours(block) && (size < 1000 || size >= 3000)) return __libc_realloc(block, size);
    free(block);
    return malloc(size);
}
