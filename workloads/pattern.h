// Content of a block that tells whose it is. Every word depends on the block's address, its size and its tag (owner and
// count, object.h). A block that was handed out twice, moved to a wrong place, or written to by another thread differs.
#ifndef WORKLOADS_PATTERN_H
#define WORKLOADS_PATTERN_H

#include "ring.h"
#include "rng.h"

#include <string.h>

static inline uint64_t pattern_seed(Block block)
{
    return rng_mix((uint64_t)(uintptr_t)block.ptr ^ rng_mix((uint64_t)block.size << 32 | block.tag));
}

// A step that is odd makes all words of a block different.
static inline uint64_t pattern_word(uint64_t seed, size_t index)
{
    return seed + index * 0x9e3779b97f4a7c15u;
}

static inline void pattern_write(Block block)
{
    const uint64_t seed = pattern_seed(block);
    char *bytes = block.ptr;
    const size_t words = block.size / sizeof seed;
    for (size_t i = 0; i < words; i++) {
        uint64_t word = pattern_word(seed, i);
        memcpy(bytes + i * sizeof word, &word, sizeof word);
    }
    uint64_t last = pattern_word(seed, words);
    memcpy(bytes + words * sizeof last, &last, block.size % sizeof last);
}

// Offset of the first of `n` bytes at `bytes` that is not as `block` had it, or n. For a moved block, `block` is what
// it was before.
static inline size_t pattern_mismatch(const char *bytes, size_t n, Block block)
{
    const uint64_t seed = pattern_seed(block);
    uint64_t differ = 0;
    const size_t words = n / sizeof seed;
    for (size_t i = 0; i < words; i++) {
        uint64_t word;
        memcpy(&word, bytes + i * sizeof word, sizeof word);
        differ |= word ^ pattern_word(seed, i);
    }
    uint64_t last = pattern_word(seed, words);
    if (differ == 0 && memcmp(bytes + words * sizeof last, &last, n % sizeof last) == 0) return n;
    size_t at = 0;
    for (uint64_t word = seed; at < n; at++) {
        if (at % sizeof word == 0) word = pattern_word(seed, at / sizeof word);
        if (bytes[at] != (char)(word >> (at % sizeof word * 8))) break;
    }
    return at;
}

#endif
