#include "record/metric.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/util.h"

const ShownMetric shown_metrics[SHOWN_METRICS] = {
    {RUN_ops_per_s, "M ops/s"},           {RUN_peak_rss_kib, "peak RSS MiB"},
    {RUN_idle_rss_kib, "idle RSS MiB"},   {RUN_post_rss_kib, "RSS after MiB"},
    {RUN_live_peak_kib, "live peak MiB"}, {RUN_live_at_fail_kib, "live at fail MiB"},
    {RUN_alloc_failed, "alloc_failed"},   {RUN_reclaim_pages, "reclaim_pages"},
    {RUN_instructions, "M instructions"},
};

const CfgMetric *metric_of(const Workload *workload, RunColumn column)
{
    assert(column < RUN_COLUMN_COUNT);
    for (unsigned m = 0; m < workload->metrics_count; m++)
        if (run_column(workload->metrics[m].name) == (int)column) return &workload->metrics[m];
    return NULL;
}

static bool ends_in(const char *name, const char *tail)
{
    size_t length = strlen(name), tail_length = strlen(tail);
    return length >= tail_length && strcmp(name + length - tail_length, tail) == 0;
}

bool metric_is_of_speed(const char *name)
{
    static const char *const others[] = {"_kib",         "_mib_s",       "_pages",        "_calls",
                                         "alloc_failed", "instructions", "idle_return_ms"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (ends_in(name, others[i])) return false;
    return true;
}

const char *metric_unit(const char *name)
{
    if (ends_in(name, "_per_s") || strcmp(name, "instructions") == 0) return "M";
    if (ends_in(name, "_kib")) return "MiB";
    if (ends_in(name, "_mib_s")) return "MiB s";
    if (ends_in(name, "_ns")) return "ns";
    return ends_in(name, "_s") ? "s" : "";
}

char *metric_text(const char *name, double value)
{
    assert(isfinite(value));
    const char *unit = metric_unit(name);
    if (strcmp(name, "instructions") == 0) return xfmt("%.3f", value / 1e6); // exact to less than a per mille
    if (strcmp(unit, "M") == 0) return xfmt(value < 1e5 ? "%.3g" : "%.2f", value / 1e6);
    if (strcmp(unit, "MiB") == 0) return xfmt("%.1f", value / 1024);
    if (strcmp(unit, "MiB s") == 0) return xfmt("%.1f", value);
    return xfmt(strcmp(unit, "s") == 0 ? "%.3f" : "%.0f", value);
}

char *metric_label(const char *name)
{
    static const struct {
        const char *name, *label;
    } labels[] = {{"ops_per_s", "ops/s"},       {"peak_rss_kib", "peak RSS"},   {"idle_rss_kib", "idle RSS"},
                  {"post_rss_kib", "post RSS"}, {"live_peak_kib", "live peak"}, {"wall_s", "wall time"},
                  {"work_s", "work time"}};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (strcmp(labels[i].name, name) == 0) return xstrdup(labels[i].label);
    return xstrdup(name);
}
