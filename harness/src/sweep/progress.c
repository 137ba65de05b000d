#include "sweep/progress.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

static bool on_terminal(void)
{
    return isatty(STDERR_FILENO);
}

// Mean wall time of a process of this cell so far, or what the matrix expects.
static double cell_wall_s(const RunRows *runs, const PlanRow *row)
{
    double sum = 0, wall_s;
    unsigned n = 0;
    for (unsigned i = 0; i < runs->count; i++) {
        if (strcmp(runs->rows[i].field[RUN_cell_id], row->cell_id) != 0) continue;
        if (!row_number(&runs->rows[i], RUN_wall_s, &wall_s)) continue;
        sum += wall_s;
        n++;
    }
    return n ? sum / n : row->expect_s;
}

double progress_eta_s(const Plan *plan, const RunRows *runs)
{
    double eta_s = 0, wall_s = 0;
    for (unsigned i = runs->count; i < plan->count; i++) {
        // The rows of a block are neighbours and of one cell.
        bool same_cell = i > runs->count && plan_same_block(&plan->rows[i - 1], &plan->rows[i]);
        if (!same_cell) wall_s = cell_wall_s(runs, &plan->rows[i]);
        eta_s += wall_s;
    }
    return eta_s;
}

void progress_summary(const RunRows *runs)
{
    unsigned ok = 0, skipped = 0;
    for (unsigned i = 0; i < runs->count; i++) {
        ok += row_status_is(&runs->rows[i], "ok");
        skipped += row_status_is(&runs->rows[i], "skipped");
    }
    assert(ok + skipped <= runs->count);
    unsigned bad = runs->count - ok - skipped;
    hzb_note("%u samples: %u ok, %u bad, %u skipped", runs->count, ok, bad, skipped);
}

void progress_before(const Plan *plan, const RunRows *runs)
{
    assert(runs->count < plan->count);
    if (!on_terminal()) return;
    const PlanRow *row = &plan->rows[runs->count];
    char *eta = duration_text(progress_eta_s(plan, runs));
    fprintf(stderr, "\r\033[K[%u/%u] round %u  %s  %s   ETA %s", runs->count + 1, plan->count, row->round, row->cell_id,
            row->allocator, eta);
    fflush(stderr);
    free(eta);
}

void progress_end(void)
{
    if (on_terminal()) fputs("\r\033[K", stderr);
}

void progress_again(const RunRow *row)
{
    progress_end();
    hzb_note("  seq %s %s: once more (%s)", row->field[RUN_seq], row->field[RUN_allocator],
             row->field[RUN_invalid_reason]);
}

void progress_block_again(const PlanRow *block, const char *why)
{
    progress_end();
    hzb_note("  round %u  %s: once more (%s)", block->round, block->cell_id, why);
}

static void name_bad_samples(const RunRows *runs, unsigned first)
{
    for (unsigned i = first; i < runs->count; i++) {
        const RunRow *row = &runs->rows[i];
        if (row_status_is(row, "ok") || row_status_is(row, "skipped")) continue;
        progress_end();
        hzb_note("  seq %s %s: %s (%s)", row->field[RUN_seq], row->field[RUN_allocator], row->field[RUN_status],
                 row->field[RUN_invalid_reason]);
    }
}

// What is skipped was not run, so it is neither good nor bad.
static char *block_text(const RunRows *runs, unsigned first)
{
    unsigned ok = 0, skipped = 0, count = runs->count - first;
    for (unsigned i = first; i < runs->count; i++) {
        ok += row_status_is(&runs->rows[i], "ok");
        skipped += row_status_is(&runs->rows[i], "skipped");
    }
    if (skipped == count) return xstrdup("skipped");
    return skipped > 0 ? xfmt("%u of %u ok, %u skipped", ok, count - skipped, skipped) : xfmt("%u of %u ok", ok, count);
}

void progress_block(const Plan *plan, const RunRows *runs, unsigned first)
{
    assert(first < runs->count && runs->count <= plan->count);
    if (!on_terminal()) {
        char *eta = duration_text(progress_eta_s(plan, runs)), *ends = block_text(runs, first);
        hzb_note("[%u/%u] round %u  %s  %s   ETA %s", runs->count, plan->count, plan->rows[first].round,
                 plan->rows[first].cell_id, ends, eta);
        free(eta);
        free(ends);
    }
    name_bad_samples(runs, first);
}
