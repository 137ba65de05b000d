// Hardened lane: which words of HZ3_HARDEN are on, and numbers that an attacker of the program cannot guess. In every
// other lane HZ3_HARDENED is 0 and all of this folds away.
#ifndef HZ3_HARDEN_RANDOM_H
#define HZ3_HARDEN_RANDOM_H

#include "base/hz3_knobs.h"
#include "base/hz3_types.h"

// The words of the knob, in its order (hz3_knobs.def).
typedef enum Hz3HardenWord {
    HZ3_WORD_CANARY = 1 << 0,
    HZ3_WORD_ZERO = 1 << 1,
    HZ3_WORD_RANDOM = 1 << 2,
    HZ3_WORD_GUARD = 1 << 3,
    HZ3_WORD_QUARANTINE = 1 << 4,
} Hz3HardenWord;

static inline bool hz3_harden_has(Hz3HardenWord word)
{
    return HZ3_HARDENED && (hz3_knobs.HARDEN & (uint64_t)word) != 0;
}

// The same number all through the life of the process and of its forks.
uint64_t hz3_harden_secret(void);

// Uniform enough in [0, n), n > 0.
uint32_t hz3_harden_random_below(uint32_t n);

// Without the word `random` the order stays.
void hz3_harden_shuffle(void **objects, uint32_t n);

#endif
