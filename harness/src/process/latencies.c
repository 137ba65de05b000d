#include "process/latencies.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "config/columns.h"

enum { SUB_BITS = 3, SHARES = 3 };

static const char *const kind_names[LATENCY_KINDS] = {"malloc", "free", "remote_free"};

// The least nanoseconds of a bucket.
static uint64_t bucket_ns(unsigned bucket)
{
    if (bucket < 1u << SUB_BITS) return bucket;
    const unsigned exponent = (bucket >> SUB_BITS) - 1;
    return ((UINT64_C(1) << SUB_BITS) + (bucket & ((1u << SUB_BITS) - 1))) << exponent;
}

static uint64_t total(const LatencyPage *page, unsigned kind)
{
    uint64_t n = 0;
    for (unsigned b = 0; b < LATENCY_BUCKETS; b++)
        n += page->counts[kind][b];
    return n;
}

static uint64_t quantile_ns(const LatencyPage *page, unsigned kind, double share)
{
    const double wanted = share * (double)total(page, kind);
    uint64_t before = 0;
    for (unsigned b = 0; b < LATENCY_BUCKETS; b++) {
        before += page->counts[kind][b];
        if ((double)before >= wanted && before > 0) return bucket_ns(b);
    }
    return page->max_ns[kind];
}

bool latencies_are_there(const LatencyPage *page)
{
    return memcmp(page->magic, "HZBLAT_2", sizeof page->magic) == 0;
}

void latencies_fill(const LatencyPage *page, RunRow *row)
{
    static const double shares[SHARES] = {0.5, 0.99, 0.999};
    static const RunColumn columns[LATENCY_KINDS][SHARES + 1] = {
        {RUN_malloc_p50_ns, RUN_malloc_p99_ns, RUN_malloc_p999_ns, RUN_malloc_max_ns},
        {RUN_free_p50_ns, RUN_free_p99_ns, RUN_free_p999_ns, RUN_free_max_ns},
        {RUN_remote_free_p50_ns, RUN_remote_free_p99_ns, RUN_remote_free_p999_ns, RUN_remote_free_max_ns}};
    if (!latencies_are_there(page)) return;
    for (unsigned kind = 0; kind < LATENCY_KINDS; kind++) {
        if (total(page, kind) == 0) continue;
        for (unsigned s = 0; s < SHARES; s++)
            row_set(row, columns[kind][s], "%" PRIu64, quantile_ns(page, kind, shares[s]));
        row_set(row, columns[kind][SHARES], "%" PRIu64, page->max_ns[kind]);
    }
}

bool latencies_write(const LatencyPage *page, const char *path)
{
    FILE *out = file_create(path);
    if (!out) return false;
    fputs("kind,ns,count\n", out);
    for (unsigned kind = 0; kind < LATENCY_KINDS; kind++)
        for (unsigned b = 0; b < LATENCY_BUCKETS; b++)
            if (page->counts[kind][b] > 0)
                fprintf(out, "%s,%" PRIu64 ",%" PRIu64 "\n", kind_names[kind], bucket_ns(b), page->counts[kind][b]);
    return file_finish(out, path);
}

static int by_time(const void *a, const void *b)
{
    const LatencyStall *left = a, *right = b;
    return (left->at_ns > right->at_ns) - (left->at_ns < right->at_ns);
}

bool latencies_write_stalls(const LatencyPage *page, uint64_t start_ns, const char *path)
{
    LatencyStall stalls[LATENCY_STALLS];
    const unsigned count = page->stall_count < LATENCY_STALLS ? (unsigned)page->stall_count : LATENCY_STALLS;
    FILE *out = file_create(path);
    if (!out) return false;
    memcpy(stalls, page->stalls, sizeof stalls);
    qsort(stalls, count, sizeof *stalls, by_time);
    fputs("t_ms,kind,ns\n", out);
    for (unsigned i = 0; i < count; i++)
        if (stalls[i].kind < LATENCY_KINDS)
            fprintf(out, "%.3f,%s,%" PRIu64 "\n", ((double)stalls[i].at_ns - (double)start_ns) / 1e6,
                    kind_names[stalls[i].kind], stalls[i].ns);
    return file_finish(out, path);
}
