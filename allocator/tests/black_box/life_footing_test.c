// What the kernel counts of a heap, by address space, committed data, locked memory and mappings, is what is in use: it
// grows with the blocks and goes back with them. So a limit that comes later, and mlockall, meet no reservation.
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define BURST_BYTES (128 * MIB)
#define BLOCK_BYTES (64 * KIB)
#define BLOCKS (BURST_BYTES / BLOCK_BYTES)

static unsigned char *blocks[BLOCKS];

static void burst(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BLOCK_BYTES);
        EXPECT(blocks[i] != NULL, "block %zu of %zu: %s", i, BLOCKS, strerror(errno));
        memset(blocks[i], 1, BLOCK_BYTES);
    }
}

static void free_burst(void)
{
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    malloc_trim(0);
}

// A line of /proc/self/status, in bytes.
static size_t status_bytes(const char *name)
{
    char line[64];
    read_task_line((int)getpid(), "status", name, line, sizeof line);
    EXPECT(*line, "no %s in /proc", name);
    return strtoul(line + strlen(name), NULL, 10) * KIB;
}

// Committed memory is what RLIMIT_DATA and strict overcommit count.
static void memory_counts_while_it_is_used(const void *arg)
{
    (void)arg;
    free(malloc(1));
    size_t space = address_space_bytes(), data = status_bytes("VmData:");
    EXPECT(space < 64 * MIB, "%zu MiB of address space at the start", space / MIB);
    for (int round = 0; round < 2; round++) {
        burst();
        free_burst();
        size_t space_now = address_space_bytes(), data_now = status_bytes("VmData:");
        EXPECT(space_now < space + 8 * MIB, "%zu KiB of address space, %zu before", space_now / KIB, space / KIB);
        EXPECT(data_now < data + 8 * MIB, "%zu KiB of data, %zu before", data_now / KIB, data / KIB);
    }
}

static void *nothing(void *arg)
{
    return arg;
}

static void a_limit_may_come_later(const void *arg)
{
    (void)arg;
    free(malloc(1));
    struct rlimit limit = {512 * MIB, 512 * MIB};
    EXPECT(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit");
    pthread_t thread;
    int error = pthread_create(&thread, NULL, nothing, NULL);
    EXPECT(error == 0, "pthread_create: %s", strerror(error));
    pthread_join(thread, NULL);
    unmap_pages(map_pages(64 * MIB), 64 * MIB);
    EXPECT(malloc(64 * MIB) != NULL, "64 MiB: %s", strerror(errno));
    burst();
}

// RLIMIT_DATA of 200 MiB: what small blocks have left serves a large one.
static void freed_blocks_leave_room_for_a_mapping(const void *arg)
{
    (void)arg;
    burst();
    free_burst();
    EXPECT(malloc(160 * MIB) != NULL, "160 MiB after as much as that was freed: %s", strerror(errno));
}

static void locked_memory_goes_back(const void *arg)
{
    (void)arg;
    free(malloc(1));
    NEEDS(mlockall(MCL_CURRENT) == 0, "mlockall is not allowed here");
    size_t before = rss_bytes();
    EXPECT(before < 32 * MIB, "mlockall makes %zu KiB resident", before / KIB);
    burst();
    free_burst();
    size_t after = rss_bytes();
    EXPECT(after < before + 8 * MIB, "%zu KiB resident after %zu before", after / KIB, before / KIB);
}

// The pages were locked while their segments were open.
static void locked_pages_go_back(const void *arg)
{
    (void)arg;
    burst();
    NEEDS(mlockall(MCL_CURRENT) == 0, "mlockall is not allowed here");
    size_t before = rss_bytes();
    for (size_t i = 0; i < BLOCKS; i++) {
        if (i % 8 != 0) free(blocks[i]);
    }
    malloc_trim(0);
    size_t after = rss_bytes();
    EXPECT(after + BURST_BYTES / 2 < before, "%zu KiB resident after %zu before", after / KIB, before / KIB);
    for (size_t i = 0; i < BLOCKS; i += 8)
        EXPECT(blocks[i][0] == 1 && blocks[i][BLOCK_BYTES - 1] == 1, "block %zu is lost", i);
}

// The caches lie below the arena, with the tables, which are small yet; and far from where the kernel puts a mapping.
static void caches_lie_apart_from_mappings(const void *arg)
{
    (void)arg;
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = malloc(24);
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    uintptr_t large = (uintptr_t)malloc(2 * MIB), small = (uintptr_t)malloc(16);
    uintptr_t apart = large > small ? large - small : small - large;
    EXPECT(apart > (uintptr_t)1 << 40, "a block of 2 MiB %zu MiB beside the arena", (size_t)apart / MIB);
    char line[256];
    FILE *maps = fopen("/proc/self/maps", "r");
    size_t below = 0;
    EXPECT(maps != NULL, "no /proc");
    while (fgets(line, sizeof line, maps)) {
        uintptr_t from = 0, to = 0;
        char access[8] = "", path[8] = "";
        EXPECT(sscanf(line, "%lx-%lx %7s %*s %*s %*s %7s", &from, &to, access, path) >= 3, "%s", line);
        bool is_ours = strcmp(access, "rw-p") == 0 && path[0] == '\0' && from > (uintptr_t)16 << 40;
        below += is_ours && to <= small / (2 * MIB) * (2 * MIB) ? to - from : 0;
    }
    fclose(maps);
    EXPECT(below > 256 * KIB, "%zu KiB below the arena, and the caches are not among them", below / KIB);
}

// Of two live blocks in one of the kernel's pages, a purge of one would take the other, too.
static void larger_pages_are_refused(const void *arg)
{
    (void)arg;
    static ChildResult result;
    char both[8192];
    NEEDS(preload_path() != NULL, "nothing is preloaded");
    snprintf(both, sizeof both, "LD_PRELOAD=%s/pages_plugin.so %s", program_dir(), preload_path());
    const ChildOptions options = {.env = (const char *const[]){both, NULL}};
    child_run((const char *const[]){"/bin/true", NULL}, &options, &result);
    EXPECT(WIFSIGNALED(result.status) && WTERMSIG(result.status) == SIGABRT, "wait status 0x%x: %s",
           (unsigned)result.status, result.err);
    EXPECT(strstr(result.err, "4096") != NULL, "%s", result.err);
}

static const TestCase cases[] = {
    {.name = "memory_counts_while_it_is_used", .run = memory_counts_while_it_is_used},
    {.name = "a_limit_may_come_later", .run = a_limit_may_come_later},
    {.name = "freed_blocks_leave_room_for_a_mapping",
     .run = freed_blocks_leave_room_for_a_mapping,
     .child = {.data_limit = 200 * MIB}},
    {.name = "locked_memory_goes_back", .run = locked_memory_goes_back},
    {.name = "locked_pages_go_back", .run = locked_pages_go_back},
    {.name = "caches_lie_apart_from_mappings", .run = caches_lie_apart_from_mappings},
    {.name = "larger_pages_are_refused", .run = larger_pages_are_refused},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
