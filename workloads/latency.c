#include "latency.h"

#include "util.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SUB_BITS = 3, CALIBRATION_NS = 20000000 };

static double ns_per_tick;

#if defined(__x86_64__)
static inline uint64_t ticks_now(void)
{
    return __builtin_ia32_rdtsc();
}
#else
static inline uint64_t ticks_now(void)
{
    return clock_ns();
}
#endif

static void calibrate(void)
{
    const uint64_t start_ns = clock_ns(), start = ticks_now();
    uint64_t now_ns;
    while ((now_ns = clock_ns()) < start_ns + CALIBRATION_NS)
        continue;
    ns_per_tick = (double)(now_ns - start_ns) / (double)(ticks_now() - start);
}

static unsigned bucket_of(uint64_t ns)
{
    if (ns < 1u << SUB_BITS) return (unsigned)ns;
    const unsigned exponent = 63 - (unsigned)__builtin_clzll(ns);
    return ((exponent - SUB_BITS + 1) << SUB_BITS) + (unsigned)(ns >> (exponent - SUB_BITS) & ((1u << SUB_BITS) - 1));
}

static uint64_t bucket_floor_ns(unsigned bucket)
{
    if (bucket < 1u << SUB_BITS) return bucket;
    const unsigned exponent = (bucket >> SUB_BITS) + SUB_BITS - 1;
    return ((UINT64_C(1) << SUB_BITS) + (bucket & ((1u << SUB_BITS) - 1))) << (exponent - SUB_BITS);
}

static void countdown_draw(Latency *latency)
{
    latency->countdown = 1 + rng_bounded((uint32_t)(rng_next(&latency->rng) >> 32), 2 * latency->every - 1);
}

Latency *latency_make(uint64_t every, uint64_t seed, uint64_t stream)
{
    if (ns_per_tick == 0) calibrate();
    Latency *latency = pages_map(sizeof *latency, "the histograms");
    latency->every = every;
    latency->rng = rng_make(~seed, stream);
    countdown_draw(latency);
    return latency;
}

// Once they are full, a longer one takes the place of the shortest.
static void stall_keep(LatencyStalls *stalls, LatencyStall stall)
{
    LatencyStall *place = &stalls->items[0];
    if (stalls->count < LATENCY_STALLS) {
        stalls->items[stalls->count++] = stall;
        return;
    }
    for (unsigned i = 1; i < LATENCY_STALLS; i++)
        if (stalls->items[i].ns < place->ns) place = &stalls->items[i];
    if (stall.ns > place->ns) *place = stall;
}

static void note(Latency *latency, LatencyKind kind, uint64_t ticks)
{
    const uint64_t ns = (uint64_t)((double)ticks * ns_per_tick);
    latency->counts[kind][bucket_of(ns)]++;
    if (ns > latency->max_ns[kind]) latency->max_ns[kind] = ns;
    if (ns >= LATENCY_STALL_NS) stall_keep(&latency->stalls, (LatencyStall){clock_ns() - ns, ns, kind});
    countdown_draw(latency);
}

void *latency_malloc(Latency *latency, size_t size)
{
    const uint64_t start = ticks_now();
    void *block = malloc(size);
    note(latency, LATENCY_MALLOC, ticks_now() - start);
    return block;
}

void latency_free(Latency *latency, void *block, bool is_remote)
{
    const uint64_t start = ticks_now();
    free(block);
    note(latency, is_remote ? LATENCY_REMOTE_FREE : LATENCY_FREE, ticks_now() - start);
}

void latency_merge(LatencyPage *page, const Latency *latency)
{
    for (unsigned kind = 0; kind < LATENCY_KINDS; kind++) {
        if (latency->max_ns[kind] > page->max_ns[kind]) page->max_ns[kind] = latency->max_ns[kind];
        for (unsigned b = 0; b < LATENCY_BUCKETS; b++)
            page->counts[kind][b] += latency->counts[kind][b];
    }
    for (unsigned i = 0; i < latency->stalls.count; i++)
        stall_keep(&page->stalls, latency->stalls.items[i]);
}

// The bucket that holds the value at this share of all.
static uint64_t quantile_ns(const uint64_t *counts, uint64_t n, double share)
{
    uint64_t before = 0;
    for (unsigned b = 0; b < LATENCY_BUCKETS; b++) {
        before += counts[b];
        if ((double)before >= share * (double)n) return bucket_floor_ns(b);
    }
    return 0;
}

void latency_print(const LatencyPage *page)
{
    static const char *const names[] = {"malloc", "free", "remote_free"};
    for (unsigned kind = 0; kind < LATENCY_KINDS; kind++) {
        const uint64_t *counts = page->counts[kind];
        uint64_t n = 0;
        for (unsigned b = 0; b < LATENCY_BUCKETS; b++)
            n += counts[b];
        if (n == 0) continue;
        printf("[LATENCY] %s n=%" PRIu64 " p50=%" PRIu64 " p99=%" PRIu64 " p999=%" PRIu64 " max=%" PRIu64 " ns\n",
               names[kind], n, quantile_ns(counts, n, 0.5), quantile_ns(counts, n, 0.99), quantile_ns(counts, n, 0.999),
               page->max_ns[kind]);
    }
}
