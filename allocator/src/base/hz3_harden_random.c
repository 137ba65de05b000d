#include "base/hz3_harden_random.h"

#include "base/hz3_os.h"

// The finalizer of splitmix64: what goes in does not show in what comes out.
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

uint64_t hz3_harden_secret(void)
{
    static _Atomic uint64_t secret; // 0: not asked yet; threads that ask at once get the same answer
    uint64_t known = atomic_load_explicit(&secret, memory_order_relaxed);
    if (HZ3_UNLIKELY(known == 0)) {
        known = mix(hz3_os_random_seed() | 1);
        atomic_store_explicit(&secret, known, memory_order_relaxed);
    }
    return known;
}

uint32_t hz3_harden_random_below(uint32_t n)
{
    if (!HZ3_HARDENED) {
        return 0;
    }
    static HZ3_TLS uint64_t counter;
    static _Atomic uint64_t threads;
    if (HZ3_UNLIKELY(counter == 0)) {
        counter = mix(hz3_harden_secret() ^ (atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) + 1));
    }
    counter += 0x9E3779B97F4A7C15ull;
    return (uint32_t)((mix(counter) >> 32) * n >> 32);
}

void hz3_harden_shuffle(void **objects, uint32_t n)
{
    if (!hz3_harden_has(HZ3_WORD_RANDOM)) {
        return;
    }
    for (uint32_t i = n; i > 1; i--) {
        uint32_t at = hz3_harden_random_below(i);
        void *object = objects[i - 1];
        objects[i - 1] = objects[at];
        objects[at] = object;
    }
}
