#include "report/plot_latency.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/csvio.h"
#include "base/files.h"

enum { KINDS = 3, BUCKETS_MAX = 512 };

static const char *const kinds[KINDS] = {"malloc", "free", "remote_free"};

typedef struct Histogram {
    uint64_t ns[BUCKETS_MAX], count[BUCKETS_MAX], total;
    unsigned buckets;
} Histogram;

static void add(Histogram *histogram, uint64_t ns, uint64_t count)
{
    unsigned at = 0;
    while (at < histogram->buckets && histogram->ns[at] < ns)
        at++;
    histogram->total += count;
    if (at < histogram->buckets && histogram->ns[at] == ns) {
        histogram->count[at] += count;
        return;
    }
    if (histogram->buckets == BUCKETS_MAX) return; // more than the lane has: not its file
    const size_t behind = histogram->buckets - at;
    memmove(&histogram->ns[at + 1], &histogram->ns[at], behind * sizeof *histogram->ns);
    memmove(&histogram->count[at + 1], &histogram->count[at], behind * sizeof *histogram->count);
    histogram->ns[at] = ns;
    histogram->count[at] = count;
    histogram->buckets++;
}

static void add_sample(const Results *results, const RunRow *row, Histogram histograms[KINDS])
{
    char *path = xfmt("%s/rss/%s.latency.csv", results->dir, row->field[RUN_seq]);
    CsvTable table;
    const bool loaded = folder_has(results->dir, path + strlen(results->dir) + 1) && csv_load(path, &table);
    free(path);
    if (!loaded) return;
    const int kind_at = csv_column(&table, "kind"), ns_at = csv_column(&table, "ns"),
              count_at = csv_column(&table, "count");
    for (unsigned r = 0; kind_at >= 0 && ns_at >= 0 && count_at >= 0 && r < table.row_count; r++) {
        uint64_t ns, count;
        if (!parse_u64(table.rows[r][ns_at], &ns) || !parse_u64(table.rows[r][count_at], &count)) continue;
        for (unsigned k = 0; k < KINDS; k++)
            if (strcmp(table.rows[r][kind_at], kinds[k]) == 0) add(&histograms[k], ns, count);
    }
    csv_free_table(&table);
}

static unsigned put(const Histogram *histogram, const char *kind, const char *allocator, FILE *out)
{
    uint64_t above = histogram->total;
    for (unsigned b = 0; b < histogram->buckets; b++) {
        above -= histogram->count[b];
        fprintf(out, "%s,%s,%" PRIu64 ",%.6g\n", kind, allocator, histogram->ns[b],
                (double)above / (double)histogram->total);
    }
    return histogram->buckets;
}

unsigned latency_rows(const Results *results, const char *cell_id, FILE *out)
{
    const unsigned arms = results->experiment.arm_count;
    Histogram *histograms = xcalloc(arms * (size_t)KINDS, sizeof *histograms);
    unsigned rows = 0;
    fputs("kind,allocator,ns,share_above\n", out);
    for (unsigned a = 0; a < arms; a++)
        for (unsigned i = 0; i < results->runs.count; i++) {
            const RunRow *row = &results->runs.rows[i];
            if (strcmp(row->field[RUN_cell_id], cell_id) == 0 && row_status_is(row, "ok") &&
                strcmp(row->field[RUN_allocator], results->experiment.arms[a].name) == 0)
                add_sample(results, row, &histograms[a * KINDS]);
        }
    for (unsigned k = 0; k < KINDS; k++)
        for (unsigned a = 0; a < arms; a++)
            rows += put(&histograms[a * KINDS + k], kinds[k], results->experiment.arms[a].name, out);
    free(histograms);
    return rows;
}

unsigned stalls_load(const Results *results, const char *seq, Stall **stalls)
{
    char *name = xfmt("rss/%s.stalls.csv", seq), *path = xfmt("%s/%s", results->dir, name);
    CsvTable table;
    unsigned count = 0;
    *stalls = NULL;
    const bool loaded = folder_has(results->dir, name) && csv_load(path, &table);
    free(name);
    free(path);
    if (!loaded) return 0;
    const int t_at = csv_column(&table, "t_ms"), ns_at = csv_column(&table, "ns");
    *stalls = xcalloc(table.row_count + 1, sizeof **stalls);
    for (unsigned r = 0; t_at >= 0 && ns_at >= 0 && r < table.row_count; r++) {
        Stall stall;
        if (!parse_double(table.rows[r][t_at], &stall.t_ms) || !parse_double(table.rows[r][ns_at], &stall.ms)) continue;
        stall.ms /= 1e6;
        (*stalls)[count++] = stall;
    }
    csv_free_table(&table);
    return count;
}
