#include "base/hz3_stats.h"

#include <errno.h>
#include <string.h>

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "hz3.h"

typedef struct StatsPage {
    Hz3StatsFileHeader header;
    char names[HZ3_STAT_COUNT][HZ3_STATS_NAME_BYTES];
    Hz3StatStripe stripes[HZ3_SHARDS_MAX];
} StatsPage;

static StatsPage private_page;
static StatsPage *page = &private_page;
Hz3StatStripe *hz3_stat_stripes = private_page.stripes;

static const char *const counter_names[] = {
#define HZ3_COUNTER(name, meaning) #name,
#include "base/hz3_stats.def"
#undef HZ3_COUNTER
};

#define HZ3_COUNTER(name, meaning) _Static_assert(sizeof #name <= HZ3_STATS_NAME_BYTES, "counter name fits its field");
#include "base/hz3_stats.def"
#undef HZ3_COUNTER

uint64_t hz3_stats_sum(Hz3Counter counter)
{
    uint64_t sum = 0;
    for (uint32_t s = 0; s < HZ3_SHARDS_MAX; s++) {
        sum += atomic_load_explicit(&hz3_stat_stripes[s].value[counter], memory_order_relaxed);
    }
    return sum;
}

void *hz3_alloc_failed(void)
{
    hz3_stat_add(alloc_failed, 1);
    errno = ENOMEM;
    return NULL;
}

void hz3_stats_init(void)
{
    if (hz3_knobs.STATS_FILE == NULL) {
        return;
    }
    bool exists;
    StatsPage *mapped = hz3_os_map_new_file(hz3_knobs.STATS_FILE, sizeof *mapped, &exists);
    if (mapped == NULL) {
        if (!exists) { // else it is the parent's: a program that starts others publishes its own counters only
            hz3_log("hz3: HZ3_STATS_FILE=%s: cannot create it; the counters are not published", hz3_knobs.STATS_FILE);
        }
        return;
    }
    for (uint32_t i = 0; i < HZ3_STAT_COUNT; i++) {
        strcpy(mapped->names[i], counter_names[i]);
    }
    mapped->header.version = HZ3_STATS_VERSION;
    mapped->header.n_counters = HZ3_STAT_COUNT;
    mapped->header.n_stripes = HZ3_SHARDS_MAX;
    mapped->header.stripe_bytes = sizeof(Hz3StatStripe);
    mapped->header.names_off = offsetof(StatsPage, names);
    mapped->header.data_off = offsetof(StatsPage, stripes);
    // The magic last: a reader that sees it sees the rest.
    atomic_thread_fence(memory_order_release);
    memcpy(mapped->header.magic, HZ3_STATS_MAGIC, sizeof mapped->header.magic);
    page = mapped;
    hz3_stat_stripes = mapped->stripes;
}

void hz3_stats_fork_child(void)
{
    if (page == &private_page) {
        return;
    }
    if (!hz3_os_make_private(page, hz3_page_round_up(sizeof *page))) {
        page = &private_page;
        hz3_stat_stripes = private_page.stripes;
    }
}

static unsigned long long sum_of(Hz3Counter counter)
{
    return hz3_stats_sum(counter);
}

static unsigned long long coalesced(void)
{
    unsigned long long entries = sum_of(HZ3_STAT_ledger_enq);
    unsigned long long calls = sum_of(HZ3_STAT_boundary_calls);
    return calls > entries ? calls - entries : 0;
}

void hz3_stats_print(const char *front, uint32_t ledger_drops)
{
    hz3_log("[HZ3_BUILD] lane=%s front=%s defs=%s", HZ3_LANE, front, HZ3_BUILD_DEFS);
    hz3_log("[HZ3_S65] enq=%llu coalesce=%llu purged_pages=%llu madvise_calls=%llu idle_ticks=%llu busy_ticks=%llu "
            "drop=%u",
            sum_of(HZ3_STAT_ledger_enq), coalesced(), sum_of(HZ3_STAT_purged_pages), sum_of(HZ3_STAT_madvise_calls),
            sum_of(HZ3_STAT_idle_ticks), sum_of(HZ3_STAT_busy_ticks), ledger_drops);
    hz3_log("[HZ3_S65_MEDIUM] reclaim_runs=%llu reclaim_pages=%llu boundary_calls=%llu", sum_of(HZ3_STAT_reclaim_runs),
            sum_of(HZ3_STAT_reclaim_medium_pages), sum_of(HZ3_STAT_boundary_calls));
    hz3_log("[HZ3_S45] reclaim_calls=%llu reclaim_pages=%llu alloc_failed=%llu", sum_of(HZ3_STAT_reclaim_calls),
            sum_of(HZ3_STAT_reclaim_pages), sum_of(HZ3_STAT_alloc_failed));
    for (uint32_t i = 0; i < HZ3_STAT_COUNT; i++) {
        hz3_log("[HZ3_STATS] %s=%llu", counter_names[i], sum_of((Hz3Counter)i));
    }
}

HZ3_EXPORT int hz3_stats_read(const char *name, uint64_t *value)
{
    for (uint32_t i = 0; i < HZ3_STAT_COUNT; i++) {
        if (strcmp(name, counter_names[i]) == 0) {
            *value = hz3_stats_sum((Hz3Counter)i);
            return 0;
        }
    }
    return -1;
}
