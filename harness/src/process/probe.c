#include "process/probe.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/util.h"
#include "stats/stats.h"

// A batch is long enough for the clock and short enough that most have no interrupt in them: the median batch counts.
enum { PAIRS_MAX = 6, CPUS_MAX = 4, BATCHES = 16, TRIPS = 250, LINE_BYTES = 64 };
enum { LOOP_STEPS = 20000, WALK_STEPS = 2500 };

typedef struct {
    unsigned a, b;
} CpuPair;

// --- the CPUs ---------------------------------------------------------------------------------------------------

// CPUs that the caller may use, at most CPUS_MAX of them, spread evenly: the same ones each time.
static unsigned cpus_to_probe(unsigned *cpus)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
    unsigned all = (unsigned)CPU_COUNT(&set), wanted = all < CPUS_MAX ? all : CPUS_MAX, taken = 0, seen = 0;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && taken < wanted; cpu++) {
        if (!CPU_ISSET(cpu, &set)) continue;
        if (seen++ * wanted >= taken * all) cpus[taken++] = cpu;
    }
    return taken;
}

static unsigned pairs_to_probe(CpuPair *pairs)
{
    unsigned cpus[CPUS_MAX];
    unsigned count = 0, n = cpus_to_probe(cpus);
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = i + 1; j < n; j++)
            pairs[count++] = (CpuPair){cpus[i], cpus[j]};
    return count;
}

static bool pin_to(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

// --- the distance between two CPUs --------------------------------------------------------------------------------

// The line that goes to and fro. Even: it is the caller's turn; odd: the partner's.
typedef struct {
    _Alignas(LINE_BYTES) _Atomic uint32_t turn;
    _Alignas(LINE_BYTES) _Atomic bool ended;
    unsigned partner_cpu;
    _Atomic bool ready;
} Table;

static void relax(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#endif
}

static void *answer(void *at)
{
    Table *table = at;
    if (!pin_to(table->partner_cpu)) atomic_store(&table->ended, true);
    atomic_store(&table->ready, true);
    while (!atomic_load_explicit(&table->ended, memory_order_relaxed)) {
        uint32_t turn = atomic_load_explicit(&table->turn, memory_order_acquire);
        if (turn % 2)
            atomic_store_explicit(&table->turn, turn + 1, memory_order_release);
        else
            relax();
    }
    return NULL;
}

// Median over the batches, of a round trip. Ends early when the partner is kept from its CPU for too long.
static double play(Table *table, uint64_t deadline_ns)
{
    double batch_ns[BATCHES];
    unsigned done = 0;
    for (uint32_t turn = 0; done < BATCHES && monotonic_ns() < deadline_ns; done++) {
        uint64_t start = monotonic_ns();
        for (unsigned trip = 0; trip < TRIPS; trip++, turn += 2) {
            atomic_store_explicit(&table->turn, turn + 1, memory_order_release);
            for (unsigned spins = 1; atomic_load_explicit(&table->turn, memory_order_acquire) != turn + 2; spins++) {
                if (spins % 65536 == 0 && monotonic_ns() > deadline_ns)
                    return done ? stats_median(batch_ns, done) : NAN;
                relax();
            }
        }
        batch_ns[done] = (double)(monotonic_ns() - start) / TRIPS;
    }
    return done ? stats_median(batch_ns, done) : NAN;
}

static double ping_pong_ns(CpuPair pair, uint64_t deadline_ns)
{
    Table table = {.partner_cpu = pair.b};
    pthread_t partner;
    double ns = NAN;
    if (!pin_to(pair.a) || pthread_create(&partner, NULL, answer, &table) != 0) return NAN;
    while (!atomic_load(&table.ready))
        sched_yield();
    if (!atomic_load(&table.ended)) ns = play(&table, deadline_ns);
    atomic_store(&table.ended, true);
    pthread_join(partner, NULL);
    return ns;
}

static double distance_ns(void)
{
    CpuPair pairs[PAIRS_MAX];
    unsigned count = pairs_to_probe(pairs), known = 0;
    uint64_t start = monotonic_ns(), share_ns = PROBE_BUDGET_MS * UINT64_C(1000000) / PAIRS_MAX;
    double sum = 0;
    for (unsigned i = 0; i < count; i++) {
        double ns = ping_pong_ns(pairs[i], monotonic_ns() + share_ns);
        bool late = monotonic_ns() - start > PROBE_BUDGET_MS * UINT64_C(1000000);
        if (!isnan(ns)) {
            sum += log(ns);
            known++;
        }
        if (late) break;
    }
    return known ? exp(sum / known) : NAN;
}

// --- one CPU and memory --------------------------------------------------------------------------------------------

static double least(const double *values, unsigned n)
{
    double best = values[0];
    for (unsigned i = 1; i < n; i++)
        best = fmin(best, values[i]);
    return best;
}

static double step_ns(void)
{
    double ns[5];
    uint64_t value = 1;
    for (unsigned i = 0; i < 5; i++) {
        uint64_t start = monotonic_ns();
        for (unsigned k = 0; k < LOOP_STEPS; k++)
            value = mix64(value);
        ns[i] = (double)(monotonic_ns() - start) / LOOP_STEPS;
    }
    __asm__ volatile("" : : "r"(value)); // used, so the loop stays
    return least(ns, 5);
}

// One cycle through all lines in a random order (Sattolo's algorithm), made once.
static uint32_t *make_walk(void)
{
    uint32_t lines = PROBE_WALK_BYTES / LINE_BYTES, stride = LINE_BYTES / sizeof(uint32_t);
    uint32_t *walk = mmap(NULL, PROBE_WALK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (walk == MAP_FAILED) return NULL;
    for (uint32_t i = 0; i < lines; i++)
        walk[i * stride] = i;
    for (uint32_t i = lines - 1; i > 0; i--) {
        uint32_t j = (uint32_t)(((mix64(i) >> 32) * i) >> 32), swap = walk[i * stride];
        walk[i * stride] = walk[j * stride];
        walk[j * stride] = swap;
    }
    return walk;
}

static double walk_ns(void)
{
    static uint32_t *walk;
    static uint32_t at;
    double ns[3];
    if (!walk && !(walk = make_walk())) return NAN;
    for (unsigned i = 0; i < 3; i++) {
        uint64_t start = monotonic_ns();
        for (unsigned k = 0; k < WALK_STEPS; k++)
            at = walk[at * (LINE_BYTES / sizeof(uint32_t))];
        ns[i] = (double)(monotonic_ns() - start) / WALK_STEPS;
    }
    __asm__ volatile("" : : "r"(at));
    return stats_median(ns, 3);
}

// --- when, and at what cost ----------------------------------------------------------------------------------------

static Probe last;
static uint64_t last_ns; // when it ended; 0 = never
static ProbeCost cost;

Probe probe_machine(void)
{
    cpu_set_t before;
    bool known = sched_getaffinity(0, sizeof before, &before) == 0;
    uint64_t start_ns = monotonic_ns();
    last = (Probe){.cpu_ns = step_ns(), .mem_ns = walk_ns(), .pp_ns = distance_ns()};
    if (known) sched_setaffinity(0, sizeof before, &before);
    last_ns = monotonic_ns();
    if (cost.since_ns == 0) cost.since_ns = start_ns;
    cost.spent_ns += last_ns - start_ns;
    cost.made++;
    return last;
}

bool probe_is_affordable(const ProbeCost *so_far, uint64_t now_ns)
{
    if (so_far->since_ns == 0) return true;
    uint64_t share_ns = (now_ns - so_far->since_ns) / 100 * PROBE_SHARE_PCT;
    return so_far->spent_ns <= share_ns + PROBE_CREDIT_MS * UINT64_C(1000000);
}

Probe probe_recent(unsigned max_age_ms)
{
    uint64_t now_ns = monotonic_ns();
    if (last_ns > 0 && now_ns - last_ns <= max_age_ms * UINT64_C(1000000)) return last;
    if (probe_is_affordable(&cost, now_ns)) return probe_machine();
    cost.left_out++;
    return probe_none();
}

ProbeCost probe_cost(void)
{
    return cost;
}

Probe probe_none(void)
{
    return (Probe){NAN, NAN, NAN};
}

char *probe_pairs_text(void)
{
    CpuPair pairs[PAIRS_MAX];
    unsigned count = pairs_to_probe(pairs);
    char *text = xstrdup(count ? "" : "none: one CPU");
    for (unsigned i = 0; i < count; i++) {
        char *longer = xfmt("%s%s%u-%u", text, i ? " " : "", pairs[i].a, pairs[i].b);
        free(text);
        text = longer;
    }
    return text;
}
