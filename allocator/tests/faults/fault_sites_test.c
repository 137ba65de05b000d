// Every call that hz3's sources make to the kernel, refused: the k-th one of a call site, that one and all that follow,
// or all calls of all sites from the k-th on. Each fault has a process of its own. FAULTS_STRIDE=n takes every n-th.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault_plan.h"
#include "fault_run.h"

#define STRIDE_DEFAULT 61
#define EVERY_K_UP_TO 24 // then each is a quarter more than the one before
#define SHOWN_MAX 12
#define TRIES_MAX 4

// What differs from run to run: the C library's thread data, stacks, slabs of one CPU or of two.
#define USED_NOISE (4 * KIB)
#define RESIDENT_NOISE_KIB 2048
#define ADDRESS_NOISE_KIB 768

typedef struct Config {
    const char *name;
    const char *env[RUN_ENV_MAX];
} Config;

#define COMMON                                                                                                         \
    "HZ3_EPOCH_TICK_MS=1", "HZ3_PURGER_START=256K", "HZ3_MAPPED_CACHE_BYTES=24M", "HZ3_SHARDS=2", "HZ3_FRONT_BYTES=64K"

static const Config configs[] = {
    {"CPU front", {COMMON, "HZ3_FRONT=cpu", "HZ3_ARENA_SIZE=32M"}},
    // A thread's memory goes with it, so that whoever still uses it is caught.
    {"thread front",
     {COMMON, "HZ3_FRONT=thread", "HZ3_ARENA_SIZE=32M", "GLIBC_TUNABLES=glibc.pthread.stack_cache_size=0"}},
    {"no purger, no batches", {COMMON, "HZ3_PURGER=0", "HZ3_S65_BATCH=0"}},
    {"small arena", {COMMON, "HZ3_ARENA_SIZE=4M"}},
    {"small arena, no fallback", {COMMON, "HZ3_ARENA_SIZE=4M", "HZ3_ARENA_FALLBACK_MMAP=0", "HZ3_OOM_SHOT=1"}},
    {"budget", {COMMON, "HZ3_ARENA_SIZE=32M", "HZ3_MEM_BUDGET=6M"}},
    {"no restartable sequences", {COMMON, "HZ3_ARENA_SIZE=32M", "GLIBC_TUNABLES=glibc.pthread.rseq=0"}},
};

static FaultPlan *plan;
static char plan_path[64] = "/tmp/hz3_fault_plan_XXXXXX";
static char plan_env[96], stats_env[96];
static char stats_path[80];

static char site_names[FAULT_SITES_MAX][sizeof(plan->site_figures[0].name)];
static unsigned long runs, injections, failures, refusals;
static unsigned long calls_of_site[FAULT_SITES_MAX], fired_of_site[FAULT_SITES_MAX];

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_site(uint32_t site, const char *call)
{
    return strstr(site_names[site], call) != NULL;
}

static void run_with_plan(const Config *config, uint32_t mode, uint32_t site, uint64_t k, uint32_t error,
                          RunResult *result)
{
    static const char *preload_env;
    if (!preload_env) preload_env = build_path("LD_PRELOAD=%s/libhakozuna_hz3_%s.so", "faults");
    const char *env[RUN_ENV_MAX + 4] = {preload_env, plan_env, stats_env};
    for (size_t i = 0; config->env[i]; i++)
        env[3 + i] = config->env[i];
    unlink(stats_path);
    memset(plan, 0, sizeof *plan);
    *plan = (FaultPlan){.mode = mode, .site = site, .k = k, .error = error};
    bool no_handlers = mode == FAULT_EVERYTHING || (mode == FAULT_EVER && is_site(site, "__register_atfork"));
    run_workload(env, no_handlers ? "--no-fork-beside-threads" : NULL, result);
}

// ---- what a run is judged by ----

typedef struct Series {
    const Config *config;
    RunResult clean;
    uint64_t calls[FAULT_SITES_MAX];
    uint64_t calls_of_all;
    unsigned long number, failed, fired;
} Series;

// Addresses that munmap refuses to take back are lost, with nothing in them if they can be purged.
// An arena whose first place is refused is one reservation, with half a GiB for slabs and caches in it.
#define RESERVED_KIB (640 * KIB)

static size_t kib_that_may_be_lost(uint32_t mode, uint32_t site)
{
    bool is_without_limit = mode == FAULT_EVERYTHING || is_site(site, "munmap");
    return is_without_limit ? SIZE_MAX / 2 : is_site(site, " mmap") ? RESERVED_KIB : 0;
}

// A cached mapping that the kernel does not take back counts as used.
#define CACHED_BYTES (4 * KIB * KIB)

// mmap is what memory comes from; what fails beside it has a way around.
static bool may_refuse(const Series *series, uint32_t mode, uint32_t site)
{
    return mode == FAULT_EVERYTHING || is_site(site, " mmap") || series->clean.refused != 0;
}

static bool may_lack_arena(uint32_t mode, uint32_t site)
{
    return mode == FAULT_EVERYTHING || is_site(site, " mmap") || is_site(site, "mprotect");
}

static void judge_held(const Held *held, const Held *clean, uint32_t mode, uint32_t site, RunResult *result)
{
    // A stack of the default size, where the small one is refused.
    size_t stack_kib = is_site(site, "pthread_") ? 8 * KIB + 64 : 0;
    size_t lost_kib = stack_kib + kib_that_may_be_lost(mode, site);
    size_t resident_kib = mode == FAULT_EVERYTHING ? lost_kib : 0; // the purge was refused, too
    // What the C library keeps for its threads are mappings where there was no arena.
    size_t pages = may_lack_arena(mode, site) ? 8 : 0;
    size_t cached = mode == FAULT_EVERYTHING ? CACHED_BYTES : 0;
    bool same = held->used <= clean->used + USED_NOISE + pages * 4 * KIB + cached &&
                held->mappings <= clean->mappings + pages &&
                held->resident_kib <= clean->resident_kib + RESIDENT_NOISE_KIB + resident_kib &&
                held->address_kib <= clean->address_kib + ADDRESS_NOISE_KIB + lost_kib;
    if (same || result->why[0]) return;
    snprintf(result->why, sizeof result->why,
             "held at the end: %zu bytes (without a fault %zu), %zu mappings (%zu), %zu KiB of addresses (%zu), "
             "%zu KiB resident (%zu)",
             held->used, clean->used, held->mappings, clean->mappings, held->address_kib, clean->address_kib,
             held->resident_kib, clean->resident_kib);
}

// ---- one fault after the other ----

// What another thread is about to give back is held, too, when that thread has lost its CPU. A leak is there each time.
static void run_and_judge(Series *series, uint32_t mode, uint32_t site, uint64_t k, uint32_t error, RunResult *result)
{
    bool may_be_chance = true;
    for (int tries = 0; may_be_chance && tries < TRIES_MAX; tries++) {
        run_with_plan(series->config, mode, site, k, error, result);
        runs++;
        if (!may_refuse(series, mode, site)) judge_refusals(result);
        may_be_chance = result->why[0] == '\0';
        for (unsigned i = 0; i < result->n_held; i++)
            judge_held(&result->held[i], &series->clean.held[i], mode, site, result);
        may_be_chance &= result->why[0] != '\0';
    }
}

static void inject(Series *series, uint32_t mode, uint32_t site, uint64_t k, uint32_t error)
{
    static const char *const mode_names[] = {"nothing", "once", "for ever", "everything"};
    static RunResult result;
    run_and_judge(series, mode, site, k, error, &result);
    for (uint32_t i = 0; i < plan->n_sites; i++)
        calls_of_site[i] += plan->site_figures[i].calls;
    unsigned long fired = plan->fired != 0;
    injections += fired;
    series->fired += fired;
    fired_of_site[site] += mode != FAULT_EVERYTHING ? fired : 0;
    refusals += result.refused;
    if (result.why[0] && ++series->failed <= SHOWN_MAX) {
        printf("#   %s: %s %s, call %lu, error %u, fired %lu times: %s\n", series->config->name, mode_names[mode],
               mode == FAULT_EVERYTHING ? "" : site_names[site], (unsigned long)k, error, (unsigned long)plan->fired,
               result.why);
    }
}

static bool is_chosen(Series *series)
{
    const char *stride = getenv("FAULTS_STRIDE");
    unsigned long every = stride ? strtoul(stride, NULL, 10) : STRIDE_DEFAULT;
    return every <= 1 || series->number++ % every == 0;
}

static uint64_t next_k(uint64_t k)
{
    return k + 1 + (k > EVERY_K_UP_TO ? k / 4 : 0);
}

static void inject_all(Series *series, uint32_t n_sites, const uint32_t *n_errors)
{
    for (uint32_t site = 0; site < n_sites; site++) {
        for (uint64_t k = 1; k <= series->calls[site]; k = next_k(k)) {
            // The first call takes every error, the others one in turn.
            for (uint32_t error = 0; error < n_errors[site]; error++) {
                if (k > 1 && error != k % n_errors[site]) continue;
                if (is_chosen(series)) inject(series, FAULT_ONCE, site, k, error);
                if (is_chosen(series)) inject(series, FAULT_EVER, site, k, error);
            }
        }
    }
    for (uint64_t k = 1; k <= series->calls_of_all; k = next_k(k)) {
        if (is_chosen(series)) inject(series, FAULT_EVERYTHING, 0, k, 0);
    }
}

// The calls that each site makes without a fault, and what is held then. False: not even that works.
static bool census(Series *series)
{
    run_with_plan(series->config, FAULT_NOTHING, 0, 0, 0, &series->clean);
    for (uint32_t i = 0; i < plan->n_sites; i++) {
        memcpy(site_names[i], plan->site_figures[i].name, sizeof site_names[i]);
        series->calls[i] = plan->site_figures[i].calls;
        calls_of_site[i] += series->calls[i];
    }
    series->calls_of_all = plan->calls;
    if (series->clean.n_held != 2 && !series->clean.why[0]) strcpy(series->clean.why, "no figures");
    if (series->clean.why[0]) printf("#   %s, nothing refused: %s\n", series->config->name, series->clean.why);
    return series->clean.why[0] == '\0';
}

static void test_config(const Config *config, int number)
{
    static Series series;
    uint32_t n_errors[FAULT_SITES_MAX];
    series = (Series){.config = config};
    if (!census(&series)) {
        series.failed = 1;
    } else {
        for (uint32_t i = 0; i < plan->n_sites; i++)
            n_errors[i] = plan->site_figures[i].n_errors;
        inject_all(&series, plan->n_sites, n_errors);
        if (series.fired == 0) {
            series.failed++;
            printf("#   %s: no fault was injected\n", config->name);
        }
    }
    failures += series.failed;
    printf("%sok %d - %s: %lu faults injected, %lu failures\n", series.failed ? "not " : "", number, config->name,
           series.fired, series.failed);
}

// ---- the whole ----

static void open_plan(void)
{
    int fd = mkstemp(plan_path);
    EXPECT(fd >= 0 && ftruncate(fd, sizeof *plan) == 0, "a file for the plan");
    plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT(plan != MAP_FAILED, "the plan");
    close(fd);
    snprintf(plan_env, sizeof plan_env, "FAULT_PLAN=%s", plan_path);
    snprintf(stats_path, sizeof stats_path, "%s.stats", plan_path);
    snprintf(stats_env, sizeof stats_env, "HZ3_STATS_FILE=%s", stats_path);
}

// Those that come only after another fault included.
static bool every_site_is_reached(void)
{
    bool all = true;
    for (uint32_t i = 0; i < plan->n_sites; i++) {
        const char *name = site_names[i];
        printf("#   %-44s %9lu calls %6lu faults\n", name, calls_of_site[i], fired_of_site[i]);
        if (starts(name, "hz3_os.c") && calls_of_site[i] == 0) all = false;
    }
    return all;
}

int main(int argc, char **argv)
{
    const char *wanted = argc > 1 ? argv[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    open_plan();
    printf("1..%zu\n", COUNT_OF(configs) + 2);
    int number = 0;
    for (size_t i = 0; i < COUNT_OF(configs); i++) {
        number++;
        if (!strstr(configs[i].name, wanted)) {
            printf("ok %d - %s # SKIP not asked for\n", number, configs[i].name);
        } else {
            test_config(&configs[i], number);
        }
    }
    bool is_full = getenv("FAULTS_STRIDE") && strcmp(getenv("FAULTS_STRIDE"), "1") == 0;
    is_full = is_full && *wanted == '\0';
    bool reached = every_site_is_reached() || !is_full;
    printf("%sok %d - every call site of the OS file is reached%s\n", reached ? "" : "not ", ++number,
           is_full ? "" : " # SKIP a sample");
    bool enough = !is_full || injections >= 2000;
    printf("%sok %d - %lu faults in %lu processes, %lu refused allocations, %lu failures\n", enough ? "" : "not ",
           ++number, injections, runs, refusals, failures);
    unlink(plan_path);
    unlink(stats_path);
    return failures == 0 && reached && enough ? 0 : 1;
}
