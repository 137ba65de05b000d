#include "hz3_fork.h"

#include <pthread.h>

#include "hz3_central.h"
#include "hz3_epoch.h"
#include "hz3_front.h"
#include "hz3_lock.h"
#include "hz3_mapping.h"
#include "hz3_mem_budget.h"
#include "hz3_stats.h"

static uint32_t forking_tid; // written under every lock there is

static void prepare(void)
{
    hz3_mem_budget_fork_prepare();
    hz3_central_fork_prepare();
    hz3_mapping_fork_prepare();
    hz3_front_fork_prepare();
    forking_tid = hz3_self_tid();
}

static void parent(void)
{
    hz3_front_fork_parent();
    hz3_mapping_fork_parent();
    hz3_central_fork_parent();
    hz3_mem_budget_fork_parent();
}

// Pages that another thread had claimed at this moment (a refill or a purge half done) stay claimed in the child: lost
// to it, but never owned twice.
static void child(void)
{
    hz3_self_tid_renew();
    hz3_front_fork_child(forking_tid);
    hz3_mapping_fork_child(forking_tid);
    hz3_central_fork_child(forking_tid);
    hz3_mem_budget_fork_child(forking_tid);
    hz3_epoch_fork_child();
    hz3_stats_fork_child();
}

void hz3_fork_register(void)
{
    pthread_atfork(prepare, parent, child);
}
