/* The record: runs.csv (one row a planned process), rejected.csv (same columns: attempts that the machine disturbed and
   that were made again) and counters.csv. A sample counts once its row in runs.csv is on the disk; everything else
   about it (curve, logs, counters) is written before. */
#ifndef HZB_RECORD_H
#define HZB_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#define RUN_COLUMNS(X)                                                                                                 \
    X(run_id)                                                                                                          \
    X(seq)                                                                                                             \
    X(round)                                                                                                           \
    X(slot)                                                                                                            \
    X(cell_id)                                                                                                         \
    X(workload)                                                                                                        \
    X(params)                                                                                                          \
    X(allocator)                                                                                                       \
    X(role)                                                                                                            \
    X(lib_sha256)                                                                                                      \
    X(bin_sha256)                                                                                                      \
    X(seed)                                                                                                            \
    X(status)                                                                                                          \
    X(invalid_reason)                                                                                                  \
    X(exit_code)                                                                                                       \
    X(signal)                                                                                                          \
    X(start_utc)                                                                                                       \
    X(wall_s)                                                                                                          \
    X(work_s)                                                                                                          \
    X(cpu_user_s)                                                                                                      \
    X(cpu_sys_s)                                                                                                       \
    X(ops)                                                                                                             \
    X(ops_per_s)                                                                                                       \
    X(peak_rss_kib)                                                                                                    \
    X(post_rss_kib)                                                                                                    \
    X(idle_rss_kib)                                                                                                    \
    X(live_peak_kib)                                                                                                   \
    X(minflt)                                                                                                          \
    X(majflt)                                                                                                          \
    X(nvcsw)                                                                                                           \
    X(nivcsw)                                                                                                          \
    X(reclaim_calls)                                                                                                   \
    X(reclaim_pages)                                                                                                   \
    X(purged_pages)                                                                                                    \
    X(madvise_calls)                                                                                                   \
    X(alloc_failed)                                                                                                    \
    X(fallback_pct)                                                                                                    \
    X(actual_remote_pct)                                                                                               \
    X(checksum)                                                                                                        \
    X(steal_ticks)                                                                                                     \
    X(psi_cpu_us)                                                                                                      \
    X(load1)                                                                                                           \
    X(live_at_fail_kib)                                                                                                \
    X(idle_return_ms)

#define X(name) RUN_##name,
typedef enum { RUN_COLUMNS(X) RUN_COLUMN_COUNT } RunColumn;
#undef X

extern const char *const run_column_names[RUN_COLUMN_COUNT];
/* Index of a column by name, or -1. */
int run_column(const char *name);

/* A row of runs.csv; NULL or "" = unknown. */
typedef struct {
    char *field[RUN_COLUMN_COUNT];
} RunRow;

void row_set(RunRow *row, RunColumn column, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool row_number(const RunRow *row, RunColumn column, double *value);
bool row_status_is(const RunRow *row, const char *status);
void row_clear(RunRow *row);

typedef struct {
    RunRow *rows;
    unsigned count;
} RunRows;

bool runs_load(const char *dir, RunRows *runs);
bool rejected_load(const char *dir, RunRows *rejected);
/* Writes the header lines into a new result folder. */
bool record_create(const char *dir);
/* Drops torn last rows, and the counters of samples that have no row in runs.csv. */
bool record_repair(const char *dir);
bool runs_append(const char *dir, const RunRow *row);
bool rejected_append(const char *dir, const RunRow *row);
/* Replaces runs.csv in one step: used when a whole block turns out invalid. */
bool runs_replace(const char *dir, const RunRows *runs);
bool counters_append(const char *dir, unsigned seq, char *const names[], const uint64_t values[], unsigned count);

#endif
