#include "sweep/pool.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/stopping.h"
#include "stats/stats.h"

enum { RUNS_DEFAULT = 40, TIMES = 4 };
// Power against time: how many of the confirmations had come by then.
static const double times_s[TIMES] = {75, 150, 300, 600};

// Row of that arm in the block that `row` is of, or NULL.
static const RunRow *block_mate(const RunRows *pool, const RunRow *row, const char *allocator)
{
    for (unsigned i = 0; i < pool->count; i++) {
        const RunRow *other = &pool->rows[i];
        if (strcmp(other->field[RUN_round], row->field[RUN_round]) == 0 &&
            strcmp(other->field[RUN_cell_id], row->field[RUN_cell_id]) == 0 &&
            strcmp(other->field[RUN_allocator], allocator) == 0)
            return other;
    }
    return NULL;
}

// The rows of a cell's base: one a block to draw.
static unsigned *blocks_of(const RunRows *pool, const char *cell_id, const char *base, unsigned *count)
{
    unsigned *blocks = xcalloc(pool->count, sizeof *blocks);
    *count = 0;
    for (unsigned i = 0; i < pool->count; i++)
        if (strcmp(pool->rows[i].field[RUN_cell_id], cell_id) == 0 &&
            strcmp(pool->rows[i].field[RUN_allocator], base) == 0 && !row_status_is(&pool->rows[i], "skipped"))
            blocks[(*count)++] = i;
    return blocks;
}

typedef struct Draw {
    const RunRows *pool;
    const char *base;
    uint64_t run;
    const RunRow *drawn; // the base's row of the block
} Draw;

// Each run shuffles a cell's blocks and deals them out round by round. None comes twice, so the two sets of a run are
// as independent as in a real one.
static bool draw_block(Draw *draw, const PlanRow *planned)
{
    unsigned count;
    unsigned *blocks = blocks_of(draw->pool, planned->cell_id, draw->base, &count);
    for (unsigned i = 0; i < planned->round && i < count; i++) {
        unsigned left = count - i, taken = i + (unsigned)(((mix64(mix64(draw->run) + i) >> 32) * left) >> 32);
        unsigned swap = blocks[i];
        blocks[i] = blocks[taken];
        blocks[taken] = swap;
    }
    bool enough = planned->round <= count;
    assert(planned->round >= 1);
    if (enough) draw->drawn = &draw->pool->rows[blocks[planned->round - 1]];
    free(blocks);
    if (!enough)
        hzb_error("the pool has %u rounds of '%s' in cell '%s'; a run needs round %u", count, draw->base,
                  planned->cell_id, planned->round);
    return enough;
}

// A recorded sample in the place of a planned one.
static RunRow place(const PlanRow *planned, const RunRow *sample, const char *skip)
{
    RunRow row = {0};
    for (int c = 0; sample && !skip && c < RUN_COLUMN_COUNT; c++)
        row_set(&row, (RunColumn)c, "%s", sample->field[c] ? sample->field[c] : "");
    row_set(&row, RUN_seq, "%u", planned->seq);
    row_set(&row, RUN_round, "%u", planned->round);
    row_set(&row, RUN_cell_id, "%s", planned->cell_id);
    row_set(&row, RUN_allocator, "%s", planned->allocator);
    if (skip || !sample) {
        row_set(&row, RUN_status, "%s", skip ? "skipped" : "failed");
        row_set(&row, RUN_invalid_reason, "%s", skip ? skip : "pool: no sample");
    }
    return row;
}

static bool sweep_pool(Results *results, Draw *draw)
{
    GateState gate = {0};
    char *skip = NULL;
    results->runs = (RunRows){xcalloc(results->plan.count, sizeof(RunRow)), 0};
    for (unsigned i = 0; i < results->plan.count; i++) {
        const PlanRow *planned = &results->plan.rows[i];
        if (i == 0 || !plan_same_block(planned - 1, planned)) {
            free(skip);
            skip = gate_skip_reason(results, &gate);
            if (!skip && !draw_block(draw, planned)) return false;
        }
        const RunRow *sample = skip ? NULL : block_mate(draw->pool, draw->drawn, planned->allocator);
        results->runs.rows[results->runs.count++] = place(planned, sample, skip);
    }
    free(skip);
    return true;
}

static double measured_s(const RunRows *runs)
{
    double sum = 0, wall_s;
    for (unsigned i = 0; i < runs->count; i++)
        if (row_number(&runs->rows[i], RUN_wall_s, &wall_s)) sum += wall_s;
    return sum;
}

typedef struct Tally {
    unsigned flagged, confirmed, by_time[TIMES];
    double *seconds;
} Tally;

static void count_run(Results *results, Tally *tally, unsigned run)
{
    assert(results->runs.count == results->plan.count);
    const Noise none = {0};
    Comparisons list = gate_judge(results, &none);
    bool flagged = false, confirmed = false;
    for (unsigned i = 0; i < list.count; i++) {
        flagged |= list.items[i].found.verdict == VERDICT_REGRESSION;
        confirmed |=
            list.items[i].found.verdict == VERDICT_REGRESSION && list.items[i].found.confirmation == CONFIRM_YES;
    }
    tally->seconds[run] = measured_s(&results->runs);
    tally->flagged += flagged;
    tally->confirmed += confirmed;
    for (unsigned t = 0; t < TIMES; t++)
        tally->by_time[t] += confirmed && tally->seconds[run] <= times_s[t];
    free(list.items);
    for (unsigned i = 0; i < results->runs.count; i++)
        row_clear(&results->runs.rows[i]);
    free(results->runs.rows);
}

bool pool_replay(const Config *config, const Options *options, const char *cand, bool is_same)
{
    const char *base = config->matrix->arms.base[0];
    const Options planning = {
        .build_dir = options->build_dir, .output = options->output, .allocator_regex = xfmt("%s|%s", base, cand)};
    unsigned runs = options->rounds ? options->rounds : RUNS_DEFAULT;
    RunRows pool;
    Results results = {0};
    if (!runs_load(options->pool_dir, &pool) || !experiment_make(config, &planning, &results.experiment) ||
        !plan_make(config, &planning, &results.experiment, &results.plan))
        return false;
    results.cells = plan_cells(&results.plan);
    Tally tally = {.seconds = xcalloc(runs, sizeof(double))};
    for (unsigned run = 0; run < runs; run++) {
        Draw draw = {.pool = &pool, .base = base, .run = config->matrix->seed + run};
        if (!sweep_pool(&results, &draw)) return false;
        count_run(&results, &tally, run);
    }
    printf("%-14s %s: of %u runs %u flagged, %u confirmed (", cand, is_same ? "A/A    " : "planted", runs,
           tally.flagged, tally.confirmed);
    for (unsigned t = 0; t < TIMES; t++)
        printf("%s%u within %g s", t ? ", " : "", tally.by_time[t], times_s[t]);
    printf("); median %.0f s of measuring a run\n", stats_median(tally.seconds, runs));
    fflush(stdout);
    free(tally.seconds);
    return true;
}
