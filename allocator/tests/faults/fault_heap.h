// The blocks of one thread of the workload: each allocation is judged when it is made, each block when it goes.
#ifndef HZ3_FAULT_HEAP_H
#define HZ3_FAULT_HEAP_H

#include "support.h"

#define HEAP_BLOCKS_MAX 1024

typedef struct HeapBlock {
    unsigned char *at;
    size_t bytes;
    uint64_t seed;
} HeapBlock;

typedef struct Heap {
    HeapBlock block[HEAP_BLOCKS_MAX];
    size_t n;
    uint64_t seeds;
    size_t refused; // how many allocations were
} Heap;

typedef enum HeapForm { BY_MALLOC, BY_CALLOC, BY_MEMALIGN_64, BY_MEMALIGN_2M } HeapForm;

// NULL must come with ENOMEM, after a bounded number of calls to the kernel. False: it was NULL.
bool heap_take(Heap *heap, HeapForm form, size_t bytes);
// What cannot be had leaves the block as it was.
bool heap_resize(Heap *heap, size_t index, size_t bytes);
void heap_give(Heap *heap, size_t index); // the last block takes its place
void heap_give_all(Heap *heap);
void heap_check(const Heap *heap);

// While set, a refusal fails the case.
extern bool nothing_may_be_refused;

#endif
