// Sizes, patterns and figures about the process.
#include "support.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static size_t boundary_step(size_t size)
{
    if (size < 128) return 16;
    size_t step = 4;
    while (step * 8 <= size)
        step *= 2;
    return size < 32 * KIB ? step : size < MIB ? step / 2 : step * 4;
}

size_t boundary_sizes(size_t *sizes, size_t capacity, size_t max)
{
    size_t n = 0;
    size_t boundary = 16;
    while (boundary <= max && n + 3 <= capacity) {
        for (int around = -1; around <= 1; around++) {
            size_t size = boundary + (size_t)(ptrdiff_t)around;
            if (size <= max && (n == 0 || size > sizes[n - 1])) sizes[n++] = size;
        }
        boundary += boundary_step(boundary);
    }
    return n;
}

uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t random_size(uint64_t *state, size_t max)
{
    int max_bits = 64 - __builtin_clzll(max);
    int bits = 1 + (int)(random_next(state) % (unsigned)max_bits);
    size_t size = (size_t)random_next(state) & (((size_t)1 << bits) - 1);
    return size == 0 ? 1 : size > max ? max : size;
}

// Each 8-byte word is a function of the seed and of its index, so a block shifted by a word does not match either.
static uint64_t pattern_word(uint64_t seed, size_t index)
{
    uint64_t z = (seed + index + 1) * 0x9e3779b97f4a7c15u;
    return z ^ (z >> 29);
}

void pattern_fill(void *block, size_t bytes, uint64_t seed)
{
    unsigned char *to = block;
    size_t words = bytes / 8;
    for (size_t i = 0; i < words; i++) {
        uint64_t word = pattern_word(seed, i);
        memcpy(to + 8 * i, &word, 8);
    }
    uint64_t last = pattern_word(seed, words);
    memcpy(to + 8 * words, &last, bytes % 8);
}

size_t pattern_mismatch(const void *block, size_t bytes, uint64_t seed)
{
    const unsigned char *from = block;
    size_t words = bytes / 8;
    for (size_t i = 0; i < words; i++) {
        uint64_t word = pattern_word(seed, i);
        if (memcmp(from + 8 * i, &word, 8) != 0) return 8 * i;
    }
    uint64_t last = pattern_word(seed, words);
    return memcmp(from + 8 * words, &last, bytes % 8) != 0 ? 8 * words : bytes;
}

size_t nonzero_offset(const void *block, size_t bytes)
{
    const unsigned char *from = block;
    if (bytes == 0 || (from[0] == 0 && memcmp(from, from + 1, bytes - 1) == 0)) return bytes;
    size_t i = 0;
    while (from[i] == 0)
        i++;
    return i;
}

bool is_aligned(const void *block, size_t alignment)
{
    return ((uintptr_t)block & (alignment - 1)) == 0;
}

__attribute__((noinline)) void *opaque(const void *pointer)
{
    uintptr_t bits = (uintptr_t)pointer;
    __asm__ volatile("" : "+r"(bits));
    return (void *)bits;
}

static size_t statm_pages(int field)
{
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    EXPECT(n > 0, "reading /proc/self/statm");
    const char *at = text;
    for (int i = 0; i < field; i++)
        at = strchr(at, ' ') + 1;
    return strtoul(at, NULL, 10);
}

size_t rss_bytes(void)
{
    return statm_pages(1) * (size_t)sysconf(_SC_PAGESIZE);
}

size_t address_space_bytes(void)
{
    return statm_pages(0) * (size_t)sysconf(_SC_PAGESIZE);
}

bool run_on_cpu(size_t nth)
{
    static cpu_set_t allowed; // as it was at the first call, before a thread was kept anywhere
    if (CPU_COUNT(&allowed) == 0 && sched_getaffinity(0, sizeof allowed, &allowed) != 0) return false;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || nth-- != 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        return sched_setaffinity(0, sizeof one, &one) == 0;
    }
    return false;
}

void sleep_ms(unsigned ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) {
    }
}

void *map_pages(size_t bytes)
{
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(block != MAP_FAILED, "mmap of %zu bytes for the test itself", bytes);
    return block;
}

void unmap_pages(void *block, size_t bytes)
{
    munmap(block, bytes);
}

const char *program_dir(void)
{
    static char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    EXPECT(n > 0, "readlink /proc/self/exe");
    path[n] = '\0';
    return dirname(path);
}

const char *preload_path(void)
{
    return getenv("LD_PRELOAD");
}
