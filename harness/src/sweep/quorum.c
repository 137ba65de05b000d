#include "sweep/quorum.h"

#include <string.h>

#include "base/util.h"
#include "process/outcome.h"

bool quorum_some_bad(const RunRows *runs)
{
    for (unsigned i = 0; i < runs->count; i++)
        if (!row_status_is(&runs->rows[i], "ok") && !row_status_is(&runs->rows[i], "skipped")) return true;
    return false;
}

static bool something_is_asked(const Experiment *experiment)
{
    for (unsigned i = 0; i < experiment->arm_count; i++)
        if (arm_is_asked(experiment->arms[i].role)) return true;
    return false;
}

typedef struct Tally {
    unsigned ok, failed, disturbed;
} Tally;

static Tally tally_of(const RunRows *runs, const char *cell_id, const char *allocator)
{
    Tally tally = {0};
    for (unsigned i = 0; i < runs->count; i++) {
        const RunRow *row = &runs->rows[i];
        if (strcmp(row->field[RUN_cell_id], cell_id) != 0 || strcmp(row->field[RUN_allocator], allocator) != 0)
            continue;
        if (row_status_is(row, "skipped")) continue;
        tally.ok += row_status_is(row, "ok");
        tally.disturbed += outcome_is_disturbed(row);
        tally.failed += !row_status_is(row, "ok") && !outcome_is_disturbed(row);
    }
    return tally;
}

static bool arm_misses(const Experiment *experiment, const RunRows *runs, const char *cell_id, const Arm *arm)
{
    const CellRounds *rounds = experiment_rounds(experiment, cell_id);
    Tally tally = tally_of(runs, cell_id, arm->name);
    unsigned least = rounds ? rounds->least : 1;
    bool was_run = tally.ok + tally.failed + tally.disturbed > 0;
    if (tally.failed > 0) {
        hzb_note("cell '%s': %u samples of %s failed", cell_id, tally.failed, arm->name);
        return true;
    }
    if (!was_run || tally.ok >= least) return false;
    hzb_note("cell '%s': %u valid rounds of %s, expected at least %u", cell_id, tally.ok, arm->name, least);
    return true;
}

bool quorum_missed(const Experiment *experiment, const StrList *cells, const RunRows *runs)
{
    bool all = !something_is_asked(experiment), missed = false;
    for (unsigned c = 0; c < cells->count; c++)
        for (unsigned a = 0; a < experiment->arm_count; a++)
            if (all || arm_is_asked(experiment->arms[a].role))
                missed |= arm_misses(experiment, runs, cells->items[c], &experiment->arms[a]);
    return missed;
}
