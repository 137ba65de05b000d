#include "commands/planned.h"

#include <stdlib.h>

#include "config/config_load.h"
#include "gate/stopping.h"
#include "plan/shard.h"

// Cells that the filters left out need no valgrind.
static bool counters_are_there(const Experiment *experiment, const Plan *plan)
{
    for (unsigned i = 0; i < plan->count; i++) {
        const Workload *workload = experiment_workload(experiment, plan->rows[i].workload);
        if (!workload->counter || *workload->counter) continue;
        hzb_error("workload '%s' of cell '%s' counts instructions, and valgrind is not installed: make setup",
                  workload->name, plan->rows[i].cell_id);
        return false;
    }
    return true;
}

bool planned_make(const Options *options, Planned *planned)
{
    StrList cells;
    if (!config_load(&planned->config, options->config_dir, options->target) ||
        !plan_select(&planned->config, options, &cells) ||
        !experiment_make(&planned->config, options, &planned->experiment) ||
        !plan_make(&planned->config, options, &planned->experiment, &planned->whole) ||
        !counters_are_there(&planned->experiment, &planned->whole))
        return false;
    planned->plan = planned->whole;
    return options->shard.count == 0 || shard_take(&planned->whole, options->shard, &planned->plan);
}

void planned_announce(const Planned *planned)
{
    char *eta = duration_text(plan_expect_s(&planned->plan));
    hzb_note("%u processes, %u allocators, about %s", planned->plan.count, planned->experiment.arm_count, eta);
    free(eta);
    gate_warn_if_blind(&planned->experiment, &planned->whole);
}
