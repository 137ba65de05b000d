// How often the rule raises a false alarm and how often it finds a change, over nights that are made here: normal
// noise, noise that depends on the round before, and noise with two speeds. The same nights each time. RULE_NIGHTS=400
// for more of them; the figures are printed and stand in harness/README.md.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "gate/gate.h"
#include "gate/stopping.h"

enum { CELLS_MAX = 100, ARMS = 2, ROUNDS_LEAST = 12, ROUNDS_MOST = 40, SETS = 2, LIMIT_PCT = 3 };

static Arm arms[ARMS] = {{.name = "base", .role = "base", .sha256 = "1"},
                         {.name = "cand", .role = "cand", .sha256 = "2"}};
static CfgMetric metrics[] = {{"ops_per_s", DIRECTION_UP}};
static Workload workload = {.name = "w", .metrics = metrics, .metrics_count = 1};
static CfgGate gates[] = {{.metric = "ops_per_s", .threshold_pct = LIMIT_PCT}};

// --- noise ---

typedef enum { NOISE_NORMAL, NOISE_AR, NOISE_TWO_SPEEDS, NOISES } NoiseKind;
static const char *const noise_names[NOISES] = {"normal", "AR(0.5)", "two speeds"};

static uint64_t state;

static double uniform(void)
{
    return (double)(mix64(state++) >> 11) / 9007199254740992.0;
}

static double normal(void)
{
    double sum = -6; // of twelve uniform ones
    for (unsigned i = 0; i < 12; i++)
        sum += uniform();
    return sum;
}

// ln(cand/base) of one round beside the change, with a standard deviation of 3 %, as two processes of a small VM have
// it. With two speeds every fifth pair has its candidate or its base at the other one, 12 % away.
static double noise_of(NoiseKind kind, double *last)
{
    switch (kind) {
    case NOISE_AR:
        *last = 0.5 * *last + sqrt(0.75) * normal();
        return 0.03 * *last;
    case NOISE_TWO_SPEEDS:
        return 0.015 * normal() + (uniform() < 0.2 ? (uniform() < 0.5 ? 0.12 : -0.12) : 0);
    case NOISE_NORMAL:
    case NOISES:
        break;
    }
    return 0.03 * normal();
}

// --- a night ---

typedef struct Night {
    Results results;
    GateState gate;
    double last[CELLS_MAX];
} Night;

static char *cell_name(unsigned cell)
{
    return xfmt("c%02u", cell);
}

static void plan_night(Night *night, unsigned cells)
{
    Plan *plan = &night->results.plan;
    plan->rows = xcalloc((size_t)cells * ARMS * ROUNDS_MOST * SETS, sizeof *plan->rows);
    for (unsigned round = 0; round < ROUNDS_MOST * SETS; round++)
        for (unsigned cell = 0; cell < cells; cell++)
            for (unsigned arm = 0; arm < ARMS; arm++, plan->count++)
                plan->rows[plan->count] = (PlanRow){.seq = plan->count + 1,
                                                    .round = round + 1,
                                                    .cell_id = night->results.experiment.rule.cells[cell].cell_id,
                                                    .workload = "w",
                                                    .params = "",
                                                    .allocator = arms[arm].name,
                                                    .role = arms[arm].role};
}

static void begin_night(Night *night, unsigned cells)
{
    CellRounds *rounds = xcalloc(cells, sizeof *rounds);
    for (unsigned cell = 0; cell < cells; cell++)
        rounds[cell] = (CellRounds){cell_name(cell), ROUNDS_LEAST, ROUNDS_MOST, ROUNDS_LEAST};
    const Rule rule = {.gates = gates, .gates_count = 1, .cells = rounds, .cells_count = cells, .confirm = true};
    *night = (Night){
        .results = {.experiment = {
                        .arms = arms, .arm_count = ARMS, .workloads = &workload, .workload_count = 1, .rule = rule}}};
    plan_night(night, cells);
    night->results.cells = plan_cells(&night->results.plan);
    night->results.runs.rows = xcalloc(night->results.plan.count, sizeof(RunRow));
}

static void end_night(Night *night)
{
    for (unsigned i = 0; i < night->results.runs.count; i++)
        row_clear(&night->results.runs.rows[i]);
    free(night->results.runs.rows);
    free(night->results.plan.rows);
    list_free(&night->results.cells);
}

static void record(Night *night, const char *status, double ops_per_s)
{
    const PlanRow *planned = &night->results.plan.rows[night->results.runs.count];
    RunRow *row = &night->results.runs.rows[night->results.runs.count++];
    row_set(row, RUN_seq, "%u", planned->seq);
    row_set(row, RUN_round, "%u", planned->round);
    row_set(row, RUN_cell_id, "%s", planned->cell_id);
    row_set(row, RUN_allocator, "%s", planned->allocator);
    row_set(row, RUN_role, "%s", planned->role);
    row_set(row, RUN_status, "%s", status);
    row_set(row, RUN_invalid_reason, "%s", strcmp(status, "ok") == 0 ? "" : "gate: not needed");
    if (ops_per_s > 0) row_set(row, RUN_ops_per_s, "%.10g", ops_per_s);
}

// One night of so many cells, the first of which changed by `change` (ln of the ratio).
static void measure_night(Night *night, unsigned cells, NoiseKind kind, double change)
{
    begin_night(night, cells);
    while (night->results.runs.count < night->results.plan.count) {
        unsigned cell = night->results.runs.count / ARMS % cells;
        char *skip = gate_skip_reason(&night->results, &night->gate);
        double d = (cell == 0 ? change : 0) + noise_of(kind, &night->last[cell]);
        record(night, skip ? "skipped" : "ok", skip ? 0 : 1e6);
        record(night, skip ? "skipped" : "ok", skip ? 0 : 1e6 * exp(d));
        free(skip);
    }
}

typedef struct Tally {
    unsigned nights, flagged, confirmed; // of the cell that changed, or of any cell without a change
    unsigned rounds;
} Tally;

static void count_night(const Night *night, bool is_changed, Tally *tally)
{
    const Noise none = {0};
    Comparisons list = gate_judge(&night->results, &none);
    bool flagged = false, confirmed = false;
    for (unsigned i = 0; i < list.count; i++) {
        const Finding *found = &list.items[i].found;
        if (found->verdict != VERDICT_REGRESSION || (is_changed && strcmp(found->cell_id, "c00") != 0)) continue;
        flagged = true;
        confirmed |= found->confirmation == CONFIRM_YES;
    }
    tally->nights++;
    tally->flagged += flagged;
    tally->confirmed += confirmed;
    tally->rounds += (unsigned)list.items[0].found.n;
    free(list.items);
}

static Tally simulate(unsigned nights, unsigned cells, NoiseKind kind, double change_pct)
{
    Tally tally = {0};
    for (unsigned i = 0; i < nights; i++) {
        Night *night = xcalloc(1, sizeof *night);
        state = mix64(20261129 + i);
        measure_night(night, cells, kind, log1p(-change_pct / 100));
        count_night(night, change_pct > 0, &tally);
        end_night(night);
        free(night);
    }
    print_message("| %s | %u | %s%g %% | %u | %.1f %% | %.1f %% | %.1f |\n", noise_names[kind], cells,
                  change_pct > 0 ? "-" : "", change_pct, nights, 100.0 * tally.flagged / nights,
                  100.0 * tally.confirmed / nights, (double)tally.rounds / nights);
    return tally;
}

static unsigned nights_asked(unsigned fallback)
{
    uint64_t nights;
    const char *text = getenv("RULE_NIGHTS");
    return text && parse_u64(text, &nights) && nights > 0 && nights < 100000 ? (unsigned)nights : fallback;
}

// Of nights without a change at most one in a hundred may be confirmed in some cell.
static void test_false_alarms(void **unused)
{
    (void)unused;
    unsigned nights = nights_asked(20);
    for (NoiseKind kind = 0; kind < NOISES; kind++)
        assert_true(simulate(nights, 16, kind, 0).confirmed <= nights / 100);
}

// Slowdowns below half of the limit are not worth waking somebody.
static void test_small_changes(void **unused)
{
    (void)unused;
    unsigned nights = nights_asked(20);
    for (NoiseKind kind = 0; kind < NOISES; kind++)
        assert_true(simulate(nights, 16, kind, LIMIT_PCT / 2.0 - 0.1).confirmed <= nights / 100);
}

static void test_power(void **unused)
{
    (void)unused;
    unsigned nights = nights_asked(20);
    assert_true(simulate(nights, 16, NOISE_NORMAL, 5).confirmed >= nights * 95 / 100);
    assert_true(simulate(nights, 16, NOISE_TWO_SPEEDS, 5).confirmed >= nights * 95 / 100);
    assert_true(simulate(nights, 16, NOISE_AR, 5).confirmed >= nights * 80 / 100);
    assert_true(simulate(nights, 16, NOISE_NORMAL, 8).confirmed == nights);
}

static void test_power_among_a_hundred(void **unused)
{
    (void)unused;
    unsigned nights = nights_asked(20) / 5;
    assert_true(simulate(nights, CELLS_MAX, NOISE_NORMAL, 5).confirmed >= nights * 95 / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_false_alarms),
        cmocka_unit_test(test_small_changes),
        cmocka_unit_test(test_power),
        cmocka_unit_test(test_power_among_a_hundred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
