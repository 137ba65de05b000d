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

#endif
