#include "support_audit.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCKS_MAX 8192
#define LARGE (32 * KIB)
#define EDGE ((size_t)4096)
#define AUDIT_BLOCKS 300
#define AUDIT_BLOCKS_LARGE 16

typedef struct Block {
    unsigned char *at;
    size_t bytes;
} Block;

// Outside of the heap, and sorted by address only for the check.
static Block live[BLOCKS_MAX], held[BLOCKS_MAX], by_address[2 * BLOCKS_MAX];
static size_t n_live, n_held;

static _Noreturn void broken(const char *what, const Block *block)
{
    child_note("audit=broken: %s, block %p of %zu bytes", what, (void *)block->at, block->bytes);
    _exit(0);
}

// Large blocks are filled at both ends only.
static size_t head_bytes(const Block *block)
{
    return block->bytes > LARGE ? EDGE : block->bytes;
}

static void block_fill(const Block *block)
{
    size_t head = head_bytes(block);
    pattern_fill(block->at, head, (uintptr_t)block->at);
    if (head < block->bytes) pattern_fill(block->at + block->bytes - EDGE, EDGE, ~(uintptr_t)block->at);
}

static bool block_is_intact(const Block *block)
{
    size_t head = head_bytes(block);
    if (pattern_mismatch(block->at, head, (uintptr_t)block->at) != head) return false;
    return head == block->bytes ||
           pattern_mismatch(block->at + block->bytes - EDGE, EDGE, ~(uintptr_t)block->at) == EDGE;
}

static void add(Block *blocks, size_t *n, void *at, size_t bytes)
{
    Block block = {at, bytes};
    if (*n == BLOCKS_MAX || at == NULL) broken("no block", &block);
    block_fill(&block);
    blocks[(*n)++] = block;
}

static int compare_blocks(const void *left, const void *right)
{
    const Block *l = left, *r = right;
    return (l->at > r->at) - (l->at < r->at);
}

static void check_all(void)
{
    memcpy(by_address, live, n_live * sizeof *live);
    memcpy(by_address + n_live, held, n_held * sizeof *held);
    size_t n = n_live + n_held;
    qsort(by_address, n, sizeof *by_address, compare_blocks);
    for (size_t i = 1; i < n; i++) {
        if (by_address[i - 1].at + by_address[i - 1].bytes > by_address[i].at) broken("overlap", &by_address[i]);
    }
    for (size_t i = 0; i < n; i++) {
        if (!block_is_intact(&by_address[i])) broken("pattern lost", &by_address[i]);
    }
}

void *audit_begin(size_t size)
{
    static const size_t others[] = {16, 48, 200, 1000, 5000, 40000};
    void *target = NULL;
    size_t around = size > LARGE ? 4 : 12;
    for (size_t i = 0; i < 2 * around; i++) {
        if (i == around) target = malloc(size);
        add(live, &n_live, malloc(size), size);
    }
    for (size_t i = 0; i < 4 * COUNT_OF(others); i++)
        add(live, &n_live, malloc(others[i / 4]), others[i / 4]);
    child_note("pointer=%p", target);
    return target;
}

void audit_live(void *block, size_t bytes)
{
    add(live, &n_live, block, bytes);
}

void audit_own_write(const void *at, size_t bytes)
{
    const unsigned char *from = at;
    for (size_t i = 0; i < n_live; i++) {
        if (live[i].at >= from + bytes || live[i].at + live[i].bytes <= from) continue;
        child_note("neighbour");
        block_fill(&live[i]);
    }
}

static void allocate_all(size_t size, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add(held, &n_held, i % 7 == 6 ? calloc(1, size) : malloc(size), size);
}

static void free_every(size_t step)
{
    size_t kept = 0;
    for (size_t i = 0; i < n_held; i++) {
        if (i % step == 0) {
            free(held[i].at);
        } else {
            held[kept++] = held[i];
        }
    }
    n_held = kept;
}

typedef struct Round {
    size_t size, blocks;
} Round;

static void *audit_round(void *arg)
{
    static const size_t others[] = {16, 48, 200, 1000, 5000, 40000};
    const Round *round = arg;
    allocate_all(round->size, round->blocks);
    check_all();
    free_every(2);
    for (size_t i = 0; i < COUNT_OF(others); i++)
        allocate_all(others[i], others[i] > LARGE ? 4 : 30);
    allocate_all(round->size, round->blocks / 4);
    check_all();
    free_every(1);
    return NULL;
}

void audit_end(size_t size, size_t cached)
{
    size_t more = size > LARGE ? AUDIT_BLOCKS_LARGE : AUDIT_BLOCKS;
    Round round = {size, cached + more};
    audit_round(&round);
    malloc_trim(0);
    round.blocks = more;
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, audit_round, &round) == 0, "pthread_create");
    pthread_join(thread, NULL);
    audit_round(&round);
    for (size_t i = 0; i < n_live; i++)
        free(live[i].at);
    malloc_trim(0);
    child_note("audit=clean");
}
