// A fixed arena with the mmap fallback off: what runs dry, what does not, and what is left behind.
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

// Weak: the test program itself is not linked with hz3.
__attribute__((weak)) void hz3_epoch_force(void);

#define ARENA (64 * MIB)

// Blocks on a list through their own first bytes; each thread has its own.
typedef struct Chain {
    void **first;
    size_t blocks;
} Chain;

static bool chain_grow(Chain *chain, size_t size)
{
    errno = 0;
    void **block = malloc(size);
    if (!block) {
        EXPECT(errno == ENOMEM, "errno %d after NULL for %zu bytes", errno, size);
        return false;
    }
    *block = (void *)chain->first;
    chain->first = block;
    chain->blocks++;
    return true;
}

static size_t chain_exhaust(Chain *chain, size_t size)
{
    size_t before = chain->blocks;
    while (chain_grow(chain, size)) {
    }
    return chain->blocks - before;
}

static void chain_free(Chain *chain)
{
    while (chain->first) {
        void **block = chain->first;
        chain->first = *block;
        free(block);
    }
    chain->blocks = 0;
}

// ---- the fault and the cure ----

static pthread_barrier_t barrier;
static void *handed_over[ARENA / 20000];

// Three quarters of the arena are allocated on one CPU and freed on another but for a block a segment. Then that other
// CPU wants half of the arena, in another size.
static void *take_on_another_cpu(void *arg)
{
    NEEDS(run_on_cpu(1), "one CPU");
    for (size_t i = 0; i < COUNT_OF(handed_over) * 3 / 4; i++) {
        if (i % 64 != 0) free(handed_over[i]);
    }
    Chain chain = {0};
    while (chain.blocks * 30000 < ARENA / 2 && chain_grow(&chain, 30000)) {
    }
    child_note("info=%zu MiB of 30000-byte blocks in an arena of 64 MiB with less than 1 MiB alive",
               chain.blocks * 30000 / MIB);
    child_note("got=%zu", chain.blocks * 30000 / MIB);
    chain_free(&chain);
    return arg;
}

static void memory_moves_to_another_cpu(const void *arg)
{
    (void)arg;
    NEEDS(run_on_cpu(1) && run_on_cpu(0), "one CPU, or threads cannot be kept on one");
    for (size_t i = 0; i < COUNT_OF(handed_over) * 3 / 4; i++) {
        handed_over[i] = malloc(20000);
        EXPECT(handed_over[i] != NULL, "block %zu", i);
    }
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, take_on_another_cpu, NULL) == 0, "pthread_create");
    pthread_join(thread, NULL);
}

static unsigned long long number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static void judge_fault(const ChildResult *result, const void *arg, char *why, size_t why_bytes)
{
    (void)arg;
    unsigned long long failed = number_after(result->err, "alloc_failed=");
    unsigned long long pages = number_after(result->err, "reclaim_pages=");
    bool is_reported = strstr(result->err, "[HZ3_OOM] where=arena_alloc_full sc=7 size=32768") != NULL;
    if (result->status != 0 || failed == 0 || !is_reported || pages >= 4096 / 4)
        snprintf(why, why_bytes, "wait status 0x%x, alloc_failed=%llu, reclaim_pages=%llu, OOM line %s",
                 (unsigned)result->status, failed, pages, is_reported ? "there" : "missing");
}

static void judge_cure(const ChildResult *result, const void *arg, char *why, size_t why_bytes)
{
    (void)arg;
    unsigned long long failed = number_after(result->err, "alloc_failed=");
    bool has_counted = strstr(result->err, "[HZ3_S45]") != NULL && strstr(result->err, "alloc_failed=") != NULL;
    if (result->status != 0 || !has_counted || failed != 0 || number_after(result->note, "got=") < 31)
        snprintf(why, why_bytes, "wait status 0x%x, %s=%llu, %llu MiB", (unsigned)result->status,
                 has_counted ? "alloc_failed" : "no alloc_failed", failed, number_after(result->note, "got="));
}

// ---- many threads asleep ----

enum { SLEEPERS = 31, SLEEPER_BLOCKS = 64 };

static void *free_and_sleep(void *arg)
{
    void *blocks[SLEEPER_BLOCKS];
    for (size_t i = 0; i < SLEEPER_BLOCKS; i++)
        blocks[i] = malloc(30000);
    for (size_t i = 0; i < SLEEPER_BLOCKS; i++)
        free(blocks[i]);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return arg;
}

static void sleepers_leave_their_memory_to_the_last(const void *arg)
{
    (void)arg;
    pthread_t threads[SLEEPERS];
    pthread_barrier_init(&barrier, NULL, SLEEPERS + 1);
    for (size_t i = 0; i < SLEEPERS; i++)
        EXPECT(pthread_create(&threads[i], NULL, free_and_sleep, NULL) == 0, "pthread_create");
    pthread_barrier_wait(&barrier);
    Chain chain = {0};
    size_t got = chain_exhaust(&chain, 5000) * 8192;
    child_note("info=%zu MiB of 64 while 31 threads sleep", got / MIB);
    EXPECT(got >= ARENA / 100 * 95, "only %zu of %zu MiB", got / MIB, ARENA / MIB);
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < SLEEPERS; i++)
        pthread_join(threads[i], NULL);
    chain_free(&chain);
}

// ---- again and again ----

static void settle(void)
{
    malloc_trim(0);
    if (hz3_epoch_force) hz3_epoch_force();
}

static uint64_t open_segments(void)
{
    return counter("segments_opened") - counter("segments_retired");
}

// How many blocks fit depends on what lay in caches when the first ones were placed: of 20000 bytes, 12 in 64 pages or
// 13 that lie across their borders. A page that is lost a round would be missed after a few hundred.
static void ten_thousand_exhaustions(const void *arg)
{
    (void)arg;
    static const size_t sizes[] = {32768, 20000, 100000, 5000, 400000};
    Chain chain = {0};
    size_t first[COUNT_OF(sizes)];
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        first[i] = chain_exhaust(&chain, sizes[i]);
        chain_free(&chain);
    }
    settle();
    size_t rss = rss_bytes();
    uint64_t segments = open_segments();
    for (int round = 0; round < 10000; round++) {
        size_t which = (size_t)round % COUNT_OF(sizes);
        size_t got = chain_exhaust(&chain, sizes[which]);
        EXPECT(got >= first[which] - first[which] / 10, "round %d: %zu blocks of %zu instead of %zu", round, got,
               sizes[which], first[which]);
        chain_free(&chain);
    }
    EXPECT(counter("alloc_failed") == 10000 + COUNT_OF(sizes), "%llu failures",
           (unsigned long long)counter("alloc_failed"));
    settle();
    size_t now = rss_bytes();
    child_note("info=RSS %zu KiB before, %zu KiB after 10000 exhaustions", rss / KIB, now / KIB);
    EXPECT(now <= rss + 512 * KIB, "RSS %zu KiB before, %zu after", rss / KIB, now / KIB);
    EXPECT(open_segments() == segments, "%llu segments open, %llu before", (unsigned long long)open_segments(),
           (unsigned long long)segments);
}

// ---- small ones too: what other classes' runs hold is no failure as long as a page of the own class is free ----

static void every_class_runs_dry_and_comes_back(const void *arg)
{
    (void)arg;
    Chain filler = {0}, chain = {0};
    for (size_t size = 16; size <= 32768; size += size < 1024 ? 48 : 1008) {
        size_t wanted = 2 * MIB / size;
        chain_exhaust(&filler, 3000); // everything, in the smallest pieces that a medium run cannot use
        EXPECT(!chain_grow(&chain, 32768), "32768 bytes in a full arena");
        chain_free(&filler);
        while (chain.blocks < wanted && chain_grow(&chain, size)) {
        }
        EXPECT(chain.blocks == wanted, "%zu of %zu blocks of %zu bytes", chain.blocks, wanted, size);
        chain_free(&chain);
    }
}

// ---- fork, signals ----

static void *exhaust_until_told(void *arg)
{
    const atomic_bool *stop = arg;
    static const size_t sizes[] = {100, 3000, 20000, 100000};
    for (size_t round = 0; !*stop; round++) {
        Chain chain = {0};
        while (!*stop && chain_grow(&chain, sizes[round % COUNT_OF(sizes)])) {
        }
        chain_free(&chain);
    }
    return NULL;
}

static void exhaust_in_child(int depth)
{
    static const size_t sizes[] = {30000, 200, 5000, 150000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        Chain chain = {0};
        chain_exhaust(&chain, sizes[i]);
        chain_free(&chain);
        void *again = malloc(sizes[i]);
        EXPECT(again != NULL, "%zu bytes in a child that has freed everything", sizes[i]);
        free(again);
    }
    if (depth > 0) {
        pid_t pid = fork();
        EXPECT(pid >= 0, "fork in a child");
        if (pid == 0) {
            exhaust_in_child(depth - 1);
            _exit(0);
        }
        child_wait(pid, "grandchild");
    }
}

static void children_of_busy_threads_exhaust(const void *arg)
{
    (void)arg;
    static atomic_bool stop;
    pthread_t threads[3];
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        EXPECT(pthread_create(&threads[i], NULL, exhaust_until_told, &stop) == 0, "pthread_create");
    for (int round = 0; round < 20; round++) {
        sleep_ms(2);
        pid_t pid = fork();
        EXPECT(pid >= 0, "fork");
        if (pid == 0) {
            // What the other threads held is lost to the child: it may find the arena full at once.
            Chain chain = {0};
            chain_exhaust(&chain, 30000);
            chain_free(&chain);
            _exit(0);
        }
        child_wait(pid, "child");
    }
    stop = true;
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    exhaust_in_child(2);
}

static volatile sig_atomic_t signals;

static void on_alarm(int number)
{
    (void)number;
    signals++;
    if (signals % 4 == 0) {
        pid_t pid = fork();
        if (pid == 0) _exit(0);
        if (pid > 0) waitpid(pid, NULL, 0);
    }
}

static void signals_and_forks_meet_exhaustion(const void *arg)
{
    (void)arg;
    static atomic_bool stop;
    pthread_t threads[2];
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        EXPECT(pthread_create(&threads[i], NULL, exhaust_until_told, &stop) == 0, "pthread_create");
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {{0, 5000}, {0, 5000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    while (signals < 80) {
        Chain chain = {0};
        chain_exhaust(&chain, 30000);
        chain_free(&chain);
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    stop = true;
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    Chain chain = {0};
    size_t got = chain_exhaust(&chain, 30000) * 32768;
    child_note("info=%zu MiB after it all", got / MIB);
    // Less than elsewhere: a purger that a loaded machine lets wait may have pages in its hands.
    EXPECT(got >= ARENA / 100 * 90, "%zu MiB after it all", got / MIB);
}

// ---- report ----

static void exhaust_once(const void *arg)
{
    (void)arg;
    Chain chain = {0};
    chain_exhaust(&chain, 5000);
    chain_exhaust(&chain, 5000);
    chain_free(&chain);
}

static void judge_report(const ChildResult *result, const void *arg, char *why, size_t why_bytes)
{
    bool aborts = arg != NULL;
    const char *pages = strstr(result->err, "[HZ3_OOM_PAGES]");
    const char *held = strstr(result->err, "[HZ3_OOM_HELD]");
    const char *again = strstr(result->err, "[HZ3_OOM] ");
    bool once = again && !strstr(again + 1, "[HZ3_OOM] ");
    unsigned long long open = pages ? number_after(pages, " open=") : 0, sum = 0;
    static const char *const parts[] = {" free=", " small=", " medium=", " span=", " claimed="};
    for (size_t i = 0; pages && i < COUNT_OF(parts); i++)
        sum += number_after(pages, parts[i]);
    bool ended_well = aborts ? WIFSIGNALED(result->status) && WTERMSIG(result->status) == SIGABRT : result->status == 0;
    bool is_full = held && (strstr(held, "live_per_arena=0.9") || strstr(held, "live_per_arena=1.0"));
    if (!once || open != ARENA / 4096 || sum != open || !ended_well || !is_full)
        snprintf(why, why_bytes, "wait status 0x%x, %llu of %llu pages accounted for: %.300s", (unsigned)result->status,
                 sum, open, result->err);
}

// ---- a limit on resident memory ----

static size_t rss_after_changes_of_size(void)
{
    void *large[20];
    for (size_t i = 0; i < COUNT_OF(large); i++)
        memset(large[i] = malloc(3 * MIB), 1, 3 * MIB);
    for (size_t i = 0; i < COUNT_OF(large); i++)
        free(large[i]); // into the cache of mappings
    size_t highest = 0;
    for (size_t size = 300; size < 200000; size *= 5) {
        Chain chain = {0};
        while (chain.blocks * size < 40 * MIB && chain_grow(&chain, size))
            memset(chain.first + 1, 1, size - sizeof(void *));
        size_t rss = rss_bytes();
        highest = rss > highest ? rss : highest;
        chain_free(&chain);
    }
    return highest;
}

static void resident_memory_stays_below_a_budget(const void *arg)
{
    bool has_budget = arg != NULL;
    size_t highest = rss_after_changes_of_size();
    child_note("info=highest RSS %zu MiB", highest / MIB);
    EXPECT(has_budget ? highest < 72 * MIB : highest > 85 * MIB, "highest RSS %zu MiB", highest / MIB);
    EXPECT((counter("budget_reclaims") != 0) == has_budget, "%llu reclaims",
           (unsigned long long)counter("budget_reclaims"));
}

// 40 MiB of free pages, and a mapping that grows to 60.
static void a_mapping_that_grows_is_charged(const void *arg)
{
    (void)arg;
    Chain chain = {0};
    while (chain.blocks * 8000 < 40 * MIB)
        EXPECT(chain_grow(&chain, 8000), "NULL at %zu MiB", chain.blocks * 8000 / MIB);
    chain_free(&chain);
    void *block = malloc(2 * MIB);
    unsigned long long before = counter("budget_reclaims");
    block = realloc(block, 60 * MIB);
    EXPECT(block != NULL, "realloc");
    EXPECT(counter("budget_reclaims") > before, "%llu reclaims, none by the realloc", before);
    memset(block, 1, 60 * MIB);
    free(block); // cached; what is asked for next must not be let pass for what was asked for once
    chain = (Chain){0};
    while (chain.blocks * 8000 < 30 * MIB && chain_grow(&chain, 8000))
        memset(chain.first + 1, 1, 8000 - sizeof(void *));
    EXPECT(rss_bytes() < 72 * MIB, "RSS %zu MiB", rss_bytes() / MIB);
    chain_free(&chain);
}

// A block that none of the freed ones can serve: they go back before it takes memory.
static void freed_mappings_go_before_a_budget_is_passed(const void *arg)
{
    (void)arg;
    void *freed[20];
    for (size_t i = 0; i < COUNT_OF(freed); i++)
        memset(freed[i] = malloc(3 * MIB), 1, 3 * MIB);
    for (size_t i = 0; i < COUNT_OF(freed); i++)
        free(freed[i]);
    size_t cached = rss_bytes();
    NEEDS(cached > 45 * MIB, "a lane that caches freed mappings");
    char *block = malloc(100 * MIB);
    EXPECT(block != NULL, "malloc");
    size_t rss = rss_bytes(); // before the block is used
    EXPECT(rss + 45 * MIB < cached && counter("budget_reclaims") != 0, "%zu MiB, of %zu", rss / MIB, cached / MIB);
    free(block);
}

static void a_budget_is_no_hard_limit(const void *arg)
{
    (void)arg;
    Chain chain = {0};
    while (chain.blocks * 5000 < 200 * MIB)
        EXPECT(chain_grow(&chain, 5000), "NULL at %zu MiB", chain.blocks * 5000 / MIB);
    EXPECT(counter("budget_reclaims") < 200, "%llu reclaims", (unsigned long long)counter("budget_reclaims"));
    chain_free(&chain);
}

#define FIXED "HZ3_ARENA_SIZE=64M", "HZ3_ARENA_FALLBACK_MMAP=0"
static const char *const fixed_arena[] = {FIXED, NULL};
// Without the purger, which could have pages in its hands on a loaded machine.
static const char *const fixed_arena_alone[] = {FIXED, "HZ3_EPOCH_TICK_MS=0", NULL};
static const char *const small_arena[] = {"HZ3_ARENA_SIZE=8M", "HZ3_ARENA_FALLBACK_MMAP=0", NULL};
// Without the purger, whose thread would need a page of it.
static const char *const small_arena_alone[] = {"HZ3_EPOCH_TICK_MS=0", "HZ3_ARENA_SIZE=8M", "HZ3_ARENA_FALLBACK_MMAP=0",
                                                NULL};
static const char *const with_stats[] = {FIXED, "HZ3_STATS=1", NULL};
static const char *const seeds_policy[] = {FIXED,
                                           "HZ3_STATS=1",
                                           "HZ3_OOM_SHOT=1",
                                           "HZ3_RECLAIM_SCOPE=my_shard",
                                           "HZ3_RECLAIM_PASSES=1",
                                           "HZ3_MEM_BUDGET_MAX_RECLAIM_PAGES=4096",
                                           "HZ3_PAGE_STEAL=0",
                                           "HZ3_DEPOT_BYTES=2M",
                                           NULL};
static const char *const report_once[] = {FIXED, "HZ3_OOM_SHOT=1", NULL};
static const char *const fail_fast[] = {FIXED, "HZ3_OOM_FAILFAST=1", NULL};
static const char *const budget[] = {"HZ3_EPOCH_TICK_MS=0", "HZ3_MEM_BUDGET=48M", "HZ3_DEPOT_BYTES=8T",
                                     NULL}; // less than the large blocks alone
static const char *const budget_alone[] = {"HZ3_EPOCH_TICK_MS=0", "HZ3_MEM_BUDGET=64M", "HZ3_DEPOT_BYTES=8T", NULL};
static const char *const no_budget[] = {"HZ3_EPOCH_TICK_MS=0", "HZ3_MEM_BUDGET=0", "HZ3_DEPOT_BYTES=8T", NULL};

static const TestCase cases[] = {
    {.name = "seeds_policy_shows_the_fault",
     .run = memory_moves_to_another_cpu,
     .child = {.env = seeds_policy},
     .judge = judge_fault},
    {.name = "default_policy_cures_it",
     .run = memory_moves_to_another_cpu,
     .child = {.env = with_stats},
     .judge = judge_cure},
    {.name = "sleepers_leave_their_memory_to_the_last",
     .run = sleepers_leave_their_memory_to_the_last,
     .child = {.env = fixed_arena_alone}},
    {.name = "ten_thousand_exhaustions", .run = ten_thousand_exhaustions, .child = {.env = small_arena_alone}},
    {.name = "every_class_runs_dry_and_comes_back",
     .run = every_class_runs_dry_and_comes_back,
     .child = {.env = small_arena}},
    {.name = "children_of_busy_threads_exhaust",
     .run = children_of_busy_threads_exhaust,
     .child = {.env = small_arena}},
    {.name = "signals_and_forks_meet_exhaustion",
     .run = signals_and_forks_meet_exhaustion,
     .child = {.env = fixed_arena}},
    {.name = "first_failure_is_reported", .run = exhaust_once, .child = {.env = report_once}, .judge = judge_report},
    {.name = "failfast_aborts",
     .run = exhaust_once,
     .arg = fail_fast,
     .child = {.env = fail_fast},
     .judge = judge_report},
    {.name = "resident_memory_stays_below_a_budget",
     .run = resident_memory_stays_below_a_budget,
     .arg = budget,
     .child = {.env = budget}},
    {.name = "without_a_budget_it_does_not", .run = resident_memory_stays_below_a_budget, .child = {.env = no_budget}},
    {.name = "a_mapping_that_grows_is_charged", .run = a_mapping_that_grows_is_charged, .child = {.env = budget_alone}},
    {.name = "freed_mappings_go_before_a_budget_is_passed",
     .run = freed_mappings_go_before_a_budget_is_passed,
     .child = {.env = budget_alone}},
    {.name = "a_budget_is_no_hard_limit", .run = a_budget_is_no_hard_limit, .child = {.env = budget}},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
