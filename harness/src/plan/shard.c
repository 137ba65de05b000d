#include "plan/shard.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

typedef struct Cells {
    StrList ids;
    double *costs_s;  // what is still to be dealt out; below 0 when it has been
    unsigned *owners; // shards, from 1
} Cells;

bool shard_parse(const char *text, Shard *shard)
{
    char *slash = strchr(text, '/');
    uint64_t index = 0, count = 0;
    char *before = slash ? xfmt("%.*s", (int)(slash - text), text) : NULL;
    bool ok = slash && parse_u64(before, &index) && parse_u64(slash + 1, &count) && index >= 1 && index <= count &&
              count <= UINT32_MAX;
    *shard = (Shard){(unsigned)index, (unsigned)count};
    free(before);
    return ok;
}

static unsigned cell_at(const StrList *ids, const char *id)
{
    unsigned i = 0;
    while (i < ids->count && strcmp(ids->items[i], id) != 0)
        i++;
    return i;
}

static Cells cells_of(const Plan *plan)
{
    Cells cells = {.costs_s = xcalloc(plan->count, sizeof(double)), .owners = xcalloc(plan->count, sizeof(unsigned))};
    for (unsigned i = 0; i < plan->count; i++) {
        unsigned at = cell_at(&cells.ids, plan->rows[i].cell_id);
        if (at == cells.ids.count) list_add(&cells.ids, plan->rows[i].cell_id);
        cells.costs_s[at] += plan->rows[i].expect_s;
    }
    return cells;
}

// The longest cell first, each to the shard that has least to do. It all follows from the plan, so that every machine
// deals alike.
static void deal(Cells *cells, unsigned shards)
{
    assert(shards > 0);
    double *loads_s = xcalloc(shards, sizeof *loads_s);
    for (unsigned dealt = 0; dealt < cells->ids.count; dealt++) {
        unsigned longest = 0, owner = 0;
        for (unsigned i = 1; i < cells->ids.count; i++)
            if (cells->costs_s[i] > cells->costs_s[longest]) longest = i;
        for (unsigned s = 1; s < shards; s++)
            if (loads_s[s] < loads_s[owner]) owner = s;
        loads_s[owner] += cells->costs_s[longest];
        cells->costs_s[longest] = -1;
        cells->owners[longest] = owner + 1;
    }
    free(loads_s);
}

bool shard_take(const Plan *whole, Shard shard, Plan *part)
{
    assert(shard.index >= 1 && shard.index <= shard.count);
    Cells cells = cells_of(whole);
    *part = (Plan){.rows = xcalloc(whole->count, sizeof *part->rows)};
    if (shard.count > cells.ids.count) {
        hzb_error("--shard %u/%u: the matrix has %u cells, expected at most as many shards", shard.index, shard.count,
                  cells.ids.count);
        return false;
    }
    deal(&cells, shard.count);
    for (unsigned i = 0; i < whole->count; i++) {
        unsigned owner = cells.owners[cell_at(&cells.ids, whole->rows[i].cell_id)];
        assert(owner >= 1 && owner <= shard.count); // else the cell would run nowhere
        if (owner == shard.index) part->rows[part->count++] = whole->rows[i];
    }
    free(cells.costs_s);
    free(cells.owners);
    return true;
}
