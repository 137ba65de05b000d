#include "policy/hz3_epoch.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_stats.h"
#include "front/hz3_front_drain.h"
#include "large/hz3_mapping.h"
#include "middle/hz3_central.h"
#include "middle/hz3_magazine.h"
#include "pages/hz3_ledger_list.h"
#include "policy/hz3_partial_purge.h"
#include "policy/hz3_s65_medium_reclaim.h"
#include "release/hz3_release_ledger.h"

// Epochs in a row without an event before a program counts as idle: some may fall into a pause, or into a
// moment in which a loaded machine runs none of its threads.
#define IDLE_EPOCHS 3u

// A flag and no lock: it stays set across system calls, and nobody ever waits for it.
static _Atomic bool running;
static HZ3_TLS bool runs_here; // by this thread

// By the runner of the epoch.
static _Atomic uint32_t epoch;
static _Atomic uint64_t events_seen;
static _Atomic uint32_t quiet_epochs;

// Moves when the program gets memory from the middle layer or below, or gives it back there.
static uint64_t events_now(void)
{
    return hz3_stat_sum(refills) + hz3_stat_sum(flushes) + hz3_stat_sum(spans_opened) + hz3_stat_sum(boundary_calls) +
           hz3_stat_sum(mappings_opened) + hz3_stat_sum(mappings_reused);
}

typedef struct Gate {
    bool is_idle;
    Hz3PurgeLimits dirty;
    uint32_t partial_min_age;
    uint64_t partial_runs;
} Gate;

// The one place that decides how much an epoch may give back. Of an idle program: everything. Of a busy one: what lay
// untouched for some epochs, and of that a bounded piece. A program that keeps reusing its memory should not have to
// fault it in again.
static Gate gate_for(uint32_t now)
{
    bool is_quiet = events_now() == atomic_load_explicit(&events_seen, memory_order_relaxed);
    uint32_t quiet = is_quiet ? atomic_load_explicit(&quiet_epochs, memory_order_relaxed) + 1 : 0;
    atomic_store_explicit(&quiet_epochs, quiet, memory_order_relaxed);
    if (quiet >= IDLE_EPOCHS) {
        hz3_stat_add(idle_ticks, 1);
        return (Gate){true, {now, 0, UINT64_MAX, UINT64_MAX}, hz3_knobs.S65_PARTIAL_AGE_EPOCHS != 0, UINT64_MAX};
    }
    hz3_stat_add(busy_ticks, 1);
    return (Gate){
        .dirty = {now, (uint32_t)hz3_knobs.S65_PURGE_AGE_EPOCHS, hz3_knobs.S65_PURGE_BUDGET_PAGES,
                  hz3_knobs.S65_PURGE_BUDGET_CALLS},
        .partial_min_age = (uint32_t)hz3_knobs.S65_PARTIAL_AGE_EPOCHS,
        .partial_runs = hz3_knobs.S65_PARTIAL_BUDGET_RUNS,
    };
}

// hz3_mapping_trim(false) takes what was not used since the trim before.
static size_t trim_mappings(const Gate *gate)
{
    uint32_t age = gate->dirty.min_age;
    bool is_due = age <= 1 || gate->dirty.epoch % age == 0;
    return is_due ? hz3_mapping_trim(gate->is_idle) : 0;
}

static bool run(void)
{
    hz3_assert(runs_here);
    hz3_stat_add(epochs, 1);
    Gate gate = gate_for(atomic_fetch_add_explicit(&epoch, 1, memory_order_relaxed) + 1);
    size_t moved = hz3_front_drain(HZ3_FRONT_IDLE);
    uint64_t released = hz3_stat_sum(boundary_calls);
    hz3_central_drain_small(HZ3_DRAIN_SURPLUS);
    hz3_s65_medium_reclaim_tick();
    hz3_magazine_trim(gate.is_idle);
    moved += hz3_stat_sum(boundary_calls) - released;
    moved += trim_mappings(&gate);
    if (hz3_knobs.S65_RELEASE_LEDGER) {
        moved += hz3_ledger_purge(&gate.dirty);
    }
    moved += hz3_partial_purge(gate.partial_min_age, gate.partial_runs);
    atomic_store_explicit(&events_seen, events_now(), memory_order_relaxed); // our own are none
    return moved != 0 || !gate.is_idle;
}

bool hz3_epoch_tick(void)
{
    if (atomic_exchange_explicit(&running, true, memory_order_acquire)) {
        return true;
    }
    runs_here = true;
    atomic_store_explicit(&running, true, memory_order_relaxed); // a fork's child may have cleared it just now
    bool moved = run();
    runs_here = false;
    atomic_store_explicit(&running, false, memory_order_release);
    return moved;
}

bool hz3_epoch_is_pending(void)
{
    return (hz3_knobs.S65_RELEASE_LEDGER && !hz3_ledger_is_empty()) || hz3_front_cached_bytes() != 0 ||
           hz3_central_waiting_objects(hz3_knobs.S65_RELEASE_COVERAGE) != 0 ||
           hz3_mapping_figures().cached_bytes != 0 || hz3_partial_purge_is_pending();
}

size_t hz3_epoch_trim_all(void)
{
    hz3_front_drain(HZ3_FRONT_ALL);
    hz3_central_drain(HZ3_DRAIN_ALL, true, UINT64_MAX);
    hz3_magazine_trim(true);
    return hz3_mapping_trim(true) + hz3_release_purge_all() + hz3_partial_purge(0, UINT64_MAX);
}

void hz3_epoch_fork_child(void)
{
    atomic_store_explicit(&running, runs_here, memory_order_relaxed); // goes on when the handler that forked returns
}
