// The columns of runs.csv. What the YAML files call a metric is the name of one of them.
#ifndef HZB_COLUMNS_H
#define HZB_COLUMNS_H

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
    X(idle_return_ms)                                                                                                  \
    X(probe_pp_ns)                                                                                                     \
    X(probe_pp_after_ns)                                                                                               \
    X(probe_cpu_ns)                                                                                                    \
    X(probe_cpu_after_ns)                                                                                              \
    X(probe_mem_ns)                                                                                                    \
    X(probe_mem_after_ns)                                                                                              \
    X(instructions)                                                                                                    \
    X(rss_mib_s)                                                                                                       \
    X(peak_pss_kib)                                                                                                    \
    X(processes)                                                                                                       \
    X(cgroup_peak_kib)                                                                                                 \
    X(malloc_p50_ns)                                                                                                   \
    X(malloc_p99_ns)                                                                                                   \
    X(malloc_p999_ns)                                                                                                  \
    X(malloc_max_ns)                                                                                                   \
    X(free_p50_ns)                                                                                                     \
    X(free_p99_ns)                                                                                                     \
    X(free_p999_ns)                                                                                                    \
    X(free_max_ns)                                                                                                     \
    X(remote_free_p50_ns)                                                                                              \
    X(remote_free_p99_ns)                                                                                              \
    X(remote_free_p999_ns)                                                                                             \
    X(remote_free_max_ns)

#define X(name) RUN_##name,
typedef enum RunColumn { RUN_COLUMNS(X) RUN_COLUMN_COUNT } RunColumn;
#undef X

extern const char *const run_column_names[RUN_COLUMN_COUNT];
// Index of a column by name, or -1.
int run_column(const char *name);

#endif
