#include "gate/failures.h"

#include <assert.h>
#include <string.h>

#include "base/util.h"

// The way is the reason up to its first colon.
static bool is_of(const Failure *failure, const RunRow *row)
{
    assert(failure->cell_id && failure->reason && row->field[RUN_invalid_reason]);
    const char *reason = row->field[RUN_invalid_reason];
    size_t length = strcspn(reason, ":");
    return strcmp(failure->cell_id, row->field[RUN_cell_id]) == 0 &&
           strcmp(failure->allocator, row->field[RUN_allocator]) == 0 &&
           strcmp(failure->status, row->field[RUN_status]) == 0 && strcspn(failure->reason, ":") == length &&
           strncmp(failure->reason, reason, length) == 0;
}

static Failure *failure_of(Findings *findings, const RunRow *row)
{
    for (unsigned i = 0; i < findings->failure_count; i++)
        if (is_of(&findings->failures[i], row)) return &findings->failures[i];
    findings->failures = xrealloc(findings->failures, findings->failure_count + 1, sizeof(Failure));
    findings->failures[findings->failure_count] = (Failure){.cell_id = row->field[RUN_cell_id],
                                                            .allocator = row->field[RUN_allocator],
                                                            .status = row->field[RUN_status],
                                                            .reason = row->field[RUN_invalid_reason]};
    return &findings->failures[findings->failure_count++];
}

void failures_collect(const RunRows *runs, Findings *findings)
{
    for (unsigned i = 0; i < runs->count; i++) {
        const RunRow *row = &runs->rows[i];
        if (!row_status_is(row, "ok") && !row_status_is(row, "skipped")) failure_of(findings, row)->count++;
    }
}
