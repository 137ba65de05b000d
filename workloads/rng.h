// Random numbers for the workloads: xoshiro256++ seeded by splitmix64 (both by Blackman and Vigna, public domain
// algorithms). Every thread has a stream of its own, so what it does never depends on how threads interleave.
#ifndef WORKLOADS_RNG_H
#define WORKLOADS_RNG_H

#include <stdint.h>

typedef struct Rng {
    uint64_t s[4];
} Rng;

static inline uint64_t rng_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint64_t rng_rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline Rng rng_make(uint64_t seed, uint64_t stream)
{
    Rng rng;
    uint64_t x = rng_mix(seed) ^ rng_mix(~stream);
    for (int i = 0; i < 4; i++)
        rng.s[i] = x = rng_mix(x);
    return rng;
}

static inline uint64_t rng_next(Rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rng_rotate(s[0] + s[3], 23) + s[0];
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rng_rotate(s[3], 45);
    return result;
}

// Maps 32 random bits to 0..n-1 without a division; the bias is at most n / 2^32.
static inline uint64_t rng_bounded(uint32_t bits, uint64_t n)
{
    return (bits * n) >> 32;
}

// The limit below which 32 random bits fall in `percent` of all cases.
static inline uint64_t rng_percent_limit(uint64_t percent)
{
    return (percent << 32) / 100;
}

// Sizes from min to max, small ones more often: half of them lie in the lowest eighth of the range.
static inline uint32_t rng_size_cubed(Rng *rng, uint64_t min, uint64_t max)
{
    const uint64_t u = rng_next(rng) >> 43; // 21 bits: the cube fits in 63
    return (uint32_t)(min + (((u * u * u) >> 42) * (max - min + 1) >> 21));
}

// Sizes from min (at least 1) to max: a size that is twice as large is drawn half as often, down to one in 2^31.
static inline uint32_t rng_size_halving(Rng *rng, uint64_t min, uint64_t max)
{
    const uint64_t r = rng_next(rng);
    const uint64_t low = min << __builtin_ctzll(r >> 32 | UINT64_C(1) << 31);
    if (low > max) return (uint32_t)(min + rng_bounded((uint32_t)r, (max < 2 * min ? max + 1 : 2 * min) - min));
    return (uint32_t)(low + rng_bounded((uint32_t)r, (max < 2 * low ? max + 1 : 2 * low) - low));
}

#endif
