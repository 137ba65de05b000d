// Does a node's memory stay with its threads? On a machine with several memory nodes, under LD_PRELOAD of a lane:
//   blocks    each node's two threads free each other's blocks, and while one node's heap grows the other's shrinks:
//             at least 95 of 100 refills and of resident bytes must be the node's own
//   handover  one node allocates what another frees: at least 9 of 10 blocks must go back to a depot of the first
//   all       with HZ3_ARENA_SIZE and without a fallback: what one node has freed is enough for the other to fill the
//             arena as far
// Pages are asked of the kernel (move_pages without a target), not of the allocator.
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NODES_MAX = 8, SLOTS = 3000, ROUNDS = 6, OPS = 12000, PAGE = 4096, HANDED = 2000, HANDOVERS = 30 };

extern int hz3_stats_read(const char *name, uint64_t *value) __attribute__((weak));

typedef struct Block {
    size_t bytes;
} Block;

typedef struct Node {
    cpu_set_t cpus;
    _Atomic(Block *) slot[SLOTS];
} Node;

static Node nodes[NODES_MAX];
static uint32_t n_nodes;
static bool has_failed;

static void check(bool is_so, const char *what, double is)
{
    static int n;
    printf("%sok %d - %s: %.3f\n", is_so ? "" : "not ", ++n, what, is);
    if (!is_so) {
        printf("FAILED: %s: %.3f\n", what, is);
    }
    has_failed = has_failed || !is_so;
}

// --- the machine -------------------------------------------------------------------------------------------------

static bool read_cpus(uint32_t node, cpu_set_t *cpus)
{
    char path[80];
    snprintf(path, sizeof path, "/sys/devices/system/node/node%u/cpulist", node);
    FILE *list = fopen(path, "r");
    if (list == NULL) {
        return false;
    }
    CPU_ZERO(cpus);
    uint32_t first, last;
    while (fscanf(list, "%u", &first) == 1) {
        last = fscanf(list, "-%u", &last) == 1 ? last : first;
        for (uint32_t cpu = first; cpu <= last; cpu++) {
            CPU_SET(cpu, cpus);
        }
        if (fgetc(list) != ',') {
            break;
        }
    }
    fclose(list);
    return CPU_COUNT(cpus) != 0;
}

static void go_to(uint32_t node)
{
    if (sched_setaffinity(0, sizeof nodes[node].cpus, &nodes[node].cpus) != 0) {
        perror("sched_setaffinity");
        _exit(1);
    }
}

// Adds the block's resident pages to the sums.
static void count_pages(const Block *block, uint32_t node, uint64_t *near, uint64_t *all)
{
    void *page[512];
    int is_on[512];
    uintptr_t end = (uintptr_t)block + block->bytes;
    for (uintptr_t at = (uintptr_t)block & ~(uintptr_t)(PAGE - 1); at < end;) {
        unsigned long n = 0;
        for (; n < 512 && at < end; at += PAGE) {
            page[n++] = (void *)at; // NOLINT(performance-no-int-to-ptr)
        }
        if (syscall(SYS_move_pages, 0, n, page, NULL, is_on, 0) != 0) {
            perror("move_pages");
            _exit(1);
        }
        for (unsigned long i = 0; i < n; i++) {
            *near += is_on[i] == (int)node;
            *all += is_on[i] >= 0;
        }
    }
}

static uint64_t stat(const char *name)
{
    uint64_t value = 0;
    if (hz3_stats_read == NULL || hz3_stats_read(name, &value) != 0) {
        fprintf(stderr, "node_traffic: no counter %s: is hz3 preloaded?\n", name);
        _exit(1);
    }
    return value;
}

// --- blocks ------------------------------------------------------------------------------------------------------

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static Block *make_block(size_t bytes)
{
    Block *block = malloc(bytes);
    if (block == NULL) {
        fprintf(stderr, "node_traffic: out of memory\n");
        _exit(1);
    }
    memset(block, 1, bytes);
    block->bytes = bytes;
    return block;
}

// Most are small, some medium, a few spans.
static size_t draw_bytes(uint64_t *state)
{
    uint32_t kind = next_random(state) % 256;
    return 16 + next_random(state) % (kind == 0 ? 500000 : kind < 16 ? 32000 : 2000);
}

static pthread_barrier_t barrier;

typedef struct Worker {
    pthread_t thread;
    uint32_t node;
    uint64_t random;
} Worker;

static void *work(void *arg)
{
    Worker *self = arg;
    go_to(self->node);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        bool shrinks = (round + self->node) % 2 != 0;
        uint32_t used = shrinks ? SLOTS / 10 : SLOTS;
        for (uint32_t i = used; i < SLOTS; i++) {
            free(atomic_exchange(&nodes[self->node].slot[i], NULL));
        }
        for (uint32_t i = 0; i < OPS; i++) {
            uint32_t at = next_random(&self->random) % used;
            free(atomic_exchange(&nodes[self->node].slot[at], make_block(draw_bytes(&self->random))));
        }
    }
    return NULL;
}

static void blocks(void)
{
    Worker worker[2 * NODES_MAX];
    pthread_barrier_init(&barrier, NULL, 2 * n_nodes);
    for (uint32_t i = 0; i < 2 * n_nodes; i++) {
        worker[i] = (Worker){.node = i / 2, .random = i + 1};
        pthread_create(&worker[i].thread, NULL, work, &worker[i]);
    }
    for (uint32_t i = 0; i < 2 * n_nodes; i++) {
        pthread_join(worker[i].thread, NULL);
    }
    uint64_t near = 0, all = 0;
    for (uint32_t node = 0; node < n_nodes; node++) {
        for (uint32_t i = 0; i < SLOTS; i++) {
            if (nodes[node].slot[i] != NULL) {
                count_pages(nodes[node].slot[i], node, &near, &all);
                free(nodes[node].slot[i]);
            }
        }
    }
    double refills = 1 - (double)stat("refills_far") / (double)(stat("refills") + 1);
    check(refills >= 0.95, "refills from the own node", refills);
    check((double)near >= 0.95 * (double)all, "resident bytes on the own node", (double)near / (double)all);
}

// --- handover ----------------------------------------------------------------------------------------------------

static Block *handed[HANDED];

static void *free_all(void *arg)
{
    (void)arg;
    go_to(1);
    for (uint32_t i = 0; i < HANDED; i++) {
        free(handed[i]);
    }
    return NULL;
}

static void handover(void)
{
    for (uint32_t round = 0; round < HANDOVERS; round++) {
        for (uint32_t i = 0; i < HANDED; i++) {
            handed[i] = make_block(1000);
        }
        pthread_t other;
        pthread_create(&other, NULL, free_all, NULL);
        pthread_join(other, NULL);
    }
    double sent = (double)stat("sent_home") / ((double)HANDED * HANDOVERS);
    check(sent >= 0.9, "share of blocks that go back to the node they lie on", sent);
}

// --- all ---------------------------------------------------------------------------------------------------------

// Fills the arena with blocks that are a list, and frees them.
static uint64_t fill(uint32_t node)
{
    typedef struct Link {
        struct Link *next;
    } Link;
    Link *newest = NULL;
    uint64_t n = 0;
    go_to(node);
    for (Link *link; (link = malloc(2048)) != NULL; n++) {
        link->next = newest;
        newest = link;
    }
    while (newest != NULL) {
        Link *next = newest->next;
        free(newest);
        newest = next;
    }
    return n;
}

static void all_of_it(void)
{
    uint64_t first = fill(0);
    uint64_t second = fill(1);
    check(second >= first - first / 100, "share of the arena that the other node gets", (double)second / (double)first);
}

int main(int argc, char **argv)
{
    while (n_nodes < NODES_MAX && read_cpus(n_nodes, &nodes[n_nodes].cpus)) {
        n_nodes++;
    }
    if (n_nodes < 2) {
        printf("ok 1 - node_traffic # SKIP one memory node\n");
        return 0;
    }
    go_to(0);
    const char *part = argc == 2 ? argv[1] : "";
    if (strcmp(part, "blocks") == 0) {
        blocks();
    } else if (strcmp(part, "handover") == 0) {
        handover();
    } else if (strcmp(part, "all") == 0) {
        all_of_it();
    } else {
        fprintf(stderr, "node_traffic: '%s': expected blocks, handover or all\n", part);
        return 2;
    }
    return has_failed ? 1 : 0;
}
