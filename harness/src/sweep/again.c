#include "sweep/again.h"

#include <stdlib.h>
#include <string.h>

#include "process/outcome.h"
#include "record/machine_modes.h"
#include "sweep/progress.h"

enum { TIMES_MAX = 2, MODE_SHARE = 4, MODE_REPEATS_ALWAYS = 40 };

// --- setting a block aside ---

static bool was_set_aside(const RunRow *row)
{
    return strncmp(row->field[RUN_invalid_reason], OUTCOME_AGAIN, strlen(OUTCOME_AGAIN)) == 0;
}

// How often the block of this row was set aside before; counted in the record, so that a resumed sweep knows it too.
static unsigned times_set_aside(const Sweep *sweep, const RunRow *row)
{
    unsigned times = 0;
    for (unsigned i = 0; i < sweep->rejected.count; i++) {
        const RunRow *rejected = &sweep->rejected.rows[i];
        times += was_set_aside(rejected) && strcmp(rejected->field[RUN_seq], row->field[RUN_seq]) == 0;
    }
    return times;
}

static RunRow copy_of(const RunRow *row)
{
    RunRow copy = {0};
    for (int c = 0; c < RUN_COLUMN_COUNT; c++)
        row_set(&copy, (RunColumn)c, "%s", row->field[c] ? row->field[c] : "");
    return copy;
}

// Every sample that was run goes to rejected.csv, its figures with it.
static bool set_aside(Sweep *sweep, unsigned first, unsigned end, const char *why)
{
    for (unsigned i = first; i < end; i++) {
        if (row_status_is(&sweep->runs.rows[i], "skipped")) continue;
        RunRow row = copy_of(&sweep->runs.rows[i]);
        row_set(&row, RUN_status, "invalid");
        row_set(&row, RUN_invalid_reason, OUTCOME_AGAIN " %s", why);
        if (!rejected_append(sweep->dir, &row)) return false;
        sweep_keep(&sweep->rejected, &row);
    }
    return counters_drop(sweep->dir, &sweep->runs.rows[first], end - first);
}

// --- a machine that never rests ---

bool again_waits_for_modes(const Sweep *sweep)
{
    unsigned most = sweep->plan.count / MODE_SHARE, repeats = 0;
    for (unsigned i = 0; i < sweep->rejected.count; i++)
        repeats += outcome_is_about_modes(&sweep->rejected.rows[i]);
    return repeats < (most > MODE_REPEATS_ALWAYS ? most : MODE_REPEATS_ALWAYS);
}

// --- the last block, at once ---

HzbExit again_last_block_if_mixed(Sweep *sweep)
{
    unsigned end = sweep->runs.count, first = block_start(&sweep->plan, end - 1);
    if (!again_waits_for_modes(sweep)) return HZB_OK;
    Modes modes = machine_modes(&sweep->experiment, &sweep->runs);
    bool mixed = outcome_block_saw_several_modes(&modes, &sweep->runs.rows[first], end - first);
    modes_free(&modes);
    if (!mixed || times_set_aside(sweep, &sweep->runs.rows[first]) >= TIMES_MAX) return HZB_OK;
    progress_block_again(&sweep->plan.rows[first], "its arms saw several modes of the machine");
    if (!set_aside(sweep, first, end, OUTCOME_MODE " the arms of its block saw several")) return HZB_IO;
    for (unsigned i = first; i < end; i++)
        row_clear(&sweep->runs.rows[i]);
    sweep->runs.count = first;
    return runs_replace(sweep->dir, &sweep->runs) ? HZB_OK : HZB_IO;
}

// --- lost blocks, at the end of a set ---

static bool is_first_set(const Sweep *sweep, const PlanRow *planned)
{
    const CellRounds *rounds = experiment_rounds(&sweep->experiment, planned->cell_id);
    return rounds && planned->round <= rounds->first;
}

static unsigned valid_rounds(const Sweep *sweep, const char *cell_id, const char *allocator)
{
    unsigned valid = 0;
    for (unsigned i = 0; i < sweep->runs.count; i++) {
        const PlanRow *planned = &sweep->plan.rows[i];
        valid += strcmp(planned->cell_id, cell_id) == 0 && strcmp(planned->allocator, allocator) == 0 &&
                 is_first_set(sweep, planned) && row_status_is(&sweep->runs.rows[i], "ok");
    }
    return valid;
}

// A disturbed sample whose arm has fewer valid rounds than were planned at least.
static bool is_missed(const Sweep *sweep, unsigned index)
{
    const PlanRow *planned = &sweep->plan.rows[index];
    const CellRounds *rounds = experiment_rounds(&sweep->experiment, planned->cell_id);
    return outcome_is_disturbed(&sweep->runs.rows[index]) &&
           valid_rounds(sweep, planned->cell_id, planned->allocator) < rounds->min;
}

static unsigned block_end(const Sweep *sweep, unsigned first)
{
    while (!block_ends_at(&sweep->plan, first))
        first++;
    return first + 1;
}

static const RunRow *missed_in(const Sweep *sweep, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        if (is_missed(sweep, i)) return &sweep->runs.rows[i];
    return NULL;
}

// Until a sample is there again its row says that it is measured again: a sweep that is killed finds it like that.
static HzbExit measure_block_again(Sweep *sweep, unsigned first, unsigned end)
{
    HzbExit result = HZB_OK;
    for (unsigned i = first; i < end; i++) {
        if (row_status_is(&sweep->runs.rows[i], "skipped")) continue;
        row_set(&sweep->runs.rows[i], RUN_status, "invalid");
        row_set(&sweep->runs.rows[i], RUN_invalid_reason, OUTCOME_AGAIN " not measured yet");
    }
    if (!runs_replace(sweep->dir, &sweep->runs)) return HZB_IO;
    for (unsigned i = first; result == HZB_OK && i < end; i++) {
        RunResult again = {0};
        if (row_status_is(&sweep->runs.rows[i], "skipped")) continue;
        result = measure_one(sweep, &sweep->plan.rows[i], &again);
        if (result == HZB_OK && !counters_append(sweep->dir, sweep->plan.rows[i].seq, again.counter_names,
                                                 again.counter_values, again.counter_count))
            result = HZB_IO;
        if (result == HZB_OK) {
            row_clear(&sweep->runs.rows[i]);
            sweep->runs.rows[i] = again.row;
            again.row = (RunRow){0};
        }
        run_result_free(&again);
    }
    if (result == HZB_OK) outcome_judge_block(&sweep->runs.rows[first], end - first);
    return result == HZB_OK && !runs_replace(sweep->dir, &sweep->runs) ? HZB_IO : result;
}

static HzbExit again_for(Sweep *sweep, unsigned first, unsigned end, const RunRow *bad)
{
    char *why = xstrdup(bad->field[RUN_invalid_reason]);
    progress_block_again(&sweep->plan.rows[first], why);
    HzbExit result = set_aside(sweep, first, end, why) ? measure_block_again(sweep, first, end) : HZB_IO;
    free(why);
    return result;
}

static HzbExit again_if_lost(Sweep *sweep, unsigned first, unsigned end)
{
    const RunRow *missed = missed_in(sweep, first, end);
    if (!missed || times_set_aside(sweep, missed) >= TIMES_MAX) return HZB_OK;
    return again_for(sweep, first, end, missed);
}

HzbExit again_lost_blocks(Sweep *sweep)
{
    HzbExit result = HZB_OK;
    if (sweep->lost_again || sweep->context.verify_only) return HZB_OK;
    for (unsigned time = 0; time < TIMES_MAX; time++) {
        for (unsigned first = 0, end; result == HZB_OK && first < sweep->runs.count; first = end) {
            end = block_end(sweep, first);
            if (is_first_set(sweep, &sweep->plan.rows[first])) result = again_if_lost(sweep, first, end);
        }
    }
    sweep->lost_again = result == HZB_OK;
    return result;
}

// --- what the user asks for ---

HzbExit again_bad_blocks(Sweep *sweep)
{
    HzbExit result = HZB_OK;
    unsigned blocks = 0;
    for (unsigned first = 0, end; result == HZB_OK && first < sweep->runs.count; first = end) {
        const RunRow *bad = NULL;
        end = block_end(sweep, first);
        for (unsigned i = first; i < end && !bad; i++) {
            const RunRow *row = &sweep->runs.rows[i];
            if (!row_status_is(row, "ok") && !row_status_is(row, "skipped")) bad = row;
        }
        blocks += bad != NULL;
        if (bad) result = again_for(sweep, first, end, bad);
    }
    if (result == HZB_OK) hzb_note("%u blocks were measured again", blocks);
    return result;
}
