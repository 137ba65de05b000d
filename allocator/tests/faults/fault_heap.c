#include "fault_heap.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

// One reclaim of a full arena, or one look for an arena of any size. Up to 117 were seen.
#define CALLS_PER_FAILING_CALL 500 // 200, and three for each of a hundred ranges of free pages

// Larger blocks have a piece of the pattern in each page, those above 64 KiB one in some: touching pages is what takes
// the time.
#define WHOLE_BYTES KIB
#define MEDIUM_STEP (4 * KIB)
#define SPAN_STEP (48 * KIB)
#define MAPPING_STEP (256 * KIB)
#define PIECE 16
#define ERRNO_BEFORE 4242

uint64_t fault_calls_of_thread(void) __attribute__((weak));

bool nothing_may_be_refused;

static uint64_t calls_so_far(void)
{
    return fault_calls_of_thread ? fault_calls_of_thread() : 0;
}

static size_t step_of(size_t bytes)
{
    return bytes <= 64 * KIB ? MEDIUM_STEP : bytes <= MIB ? SPAN_STEP : MAPPING_STEP;
}

static size_t piece_at(size_t bytes, size_t offset)
{
    size_t left = bytes - offset;
    return bytes <= WHOLE_BYTES ? bytes : left < PIECE ? left : PIECE;
}

static void fill(const HeapBlock *block)
{
    size_t step = step_of(block->bytes);
    for (size_t at = 0; at < block->bytes; at += step)
        pattern_fill(block->at + at, piece_at(block->bytes, at), block->seed + at);
}

// The first `bytes` of a block: a word of the pattern that is cut there is not looked at.
static void check(const HeapBlock *block, size_t bytes)
{
    size_t step = step_of(block->bytes);
    for (size_t at = 0; at < bytes; at += step) {
        size_t piece = piece_at(block->bytes, at);
        if (piece > bytes - at) piece = (bytes - at) / 8 * 8;
        size_t wrong = pattern_mismatch(block->at + at, piece, block->seed + at);
        EXPECT(wrong == piece, "byte %zu of a block of %zu changed", at + wrong, block->bytes);
    }
}

static void *allocate(HeapForm form, size_t bytes)
{
    switch (form) {
    case BY_MALLOC:
        return malloc(bytes);
    case BY_CALLOC:
        return calloc(1, bytes);
    case BY_MEMALIGN_64:
        return memalign(64, bytes);
    default:
        return memalign(2 * MIB, bytes);
    }
}

static void judge_refusal(Heap *heap, size_t bytes, uint64_t calls)
{
    EXPECT(errno == ENOMEM, "errno after NULL for %zu bytes", bytes);
    EXPECT(calls <= CALLS_PER_FAILING_CALL, "%lu calls to the kernel for %zu bytes in vain", (unsigned long)calls,
           bytes);
    EXPECT(!nothing_may_be_refused, "no %zu bytes although nothing is refused", bytes);
    heap->refused++;
}

bool heap_take(Heap *heap, HeapForm form, size_t bytes)
{
    EXPECT(heap->n < HEAP_BLOCKS_MAX, "the test's table");
    uint64_t before = calls_so_far();
    errno = 0;
    HeapBlock block = {allocate(form, bytes), bytes, heap->seeds++ << 32};
    if (!block.at) {
        judge_refusal(heap, bytes, calls_so_far() - before);
        return false;
    }
    for (size_t at = 0; form == BY_CALLOC && at < bytes; at += step_of(bytes)) {
        size_t piece = piece_at(bytes, at);
        EXPECT(nonzero_offset(block.at + at, piece) == piece, "calloc of %zu bytes is not zero", bytes);
    }
    fill(&block);
    heap->block[heap->n++] = block;
    return true;
}

bool heap_resize(Heap *heap, size_t index, size_t bytes)
{
    HeapBlock *block = &heap->block[index];
    check(block, block->bytes);
    uint64_t before = calls_so_far();
    errno = 0;
    unsigned char *moved = realloc(block->at, bytes);
    if (!moved) {
        judge_refusal(heap, bytes, calls_so_far() - before);
        check(block, block->bytes);
        return false;
    }
    block->at = moved;
    check(block, bytes < block->bytes ? bytes : block->bytes);
    block->bytes = bytes;
    fill(block);
    return true;
}

void heap_give(Heap *heap, size_t index)
{
    check(&heap->block[index], heap->block[index].bytes);
    errno = ERRNO_BEFORE;
    free(heap->block[index].at);
    EXPECT(errno == ERRNO_BEFORE, "free changed errno");
    heap->block[index] = heap->block[--heap->n];
}

void heap_give_all(Heap *heap)
{
    while (heap->n > 0)
        heap_give(heap, heap->n - 1);
}

void heap_check(const Heap *heap)
{
    for (size_t i = 0; i < heap->n; i++)
        check(&heap->block[i], heap->block[i].bytes);
}
