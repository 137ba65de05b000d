#include "bad_input.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "support.h"

static void *make_stack(void)
{
    static char *kept;
    char local[64] __attribute__((aligned(16))) = {0};
    kept = opaque(local);
    return kept;
}
static void *make_static(void)
{
    static char array[8192] __attribute__((aligned(4096)));
    return array;
}
static void *make_static_inside(void)
{
    return (char *)make_static() + 48;
}
static void *make_code(void)
{
    return (void *)((uintptr_t)&make_code & ~(uintptr_t)15);
}
static void *make_libc_data(void)
{
    return (void *)((uintptr_t)stdout & ~(uintptr_t)15);
}
static void *make_mapping(void)
{
    return map_pages(4 * MIB);
}
static void *make_mapping_inside(void)
{
    return (char *)make_mapping() + 4112;
}
static void *make_mapping_at_2m(void)
{
    uintptr_t start = (uintptr_t)make_mapping();
    return (void *)((start + 2 * MIB - 1) & ~(2 * MIB - 1));
}
static void *make_read_only(void)
{
    return mmap(NULL, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void *make_unmapped(void)
{
    void *block = make_mapping();
    unmap_pages(block, 4 * MIB);
    return opaque(block);
}
static void *make_null_plus_1(void)
{
    return (void *)1;
}
static void *make_0x10(void)
{
    return (void *)16;
}
static void *make_non_canonical(void)
{
    return (void *)((uintptr_t)0x8000 << 48);
}
static void *make_kernel(void)
{
    return (void *)((uintptr_t)0xffff8000u << 32);
}
static void *make_minus_16(void)
{
    return (void *)-(uintptr_t)16;
}
// Near a small block, where a heap may have reserved addresses that it never gave out.
static void *make_never_given(void)
{
    return (void *)(((uintptr_t)opaque(malloc(100)) & ~(2 * MIB - 1)) + 1024 * MIB);
}

const ForeignPointer foreign_pointers[N_FOREIGN] = {
    {"stack", make_stack},
    {"static_array", make_static},
    {"static_inside", make_static_inside},
    {"code", make_code},
    {"libc_data", make_libc_data},
    {"mapping", make_mapping},
    {"mapping_inside", make_mapping_inside},
    {"mapping_at_2m", make_mapping_at_2m},
    {"read_only", make_read_only},
    {"unmapped", make_unmapped},
    {"null_plus_1", make_null_plus_1},
    {"0x10", make_0x10},
    {"non_canonical", make_non_canonical},
    {"kernel", make_kernel},
    {"minus_16", make_minus_16},
    {"never_given", make_never_given},
};
