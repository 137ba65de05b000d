#include "policy/hz3_epoch.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_node.h"
#include "base/hz3_os.h"
#include "base/hz3_shard.h"
#include "base/hz3_stats.h"
#include "front/hz3_front_drain.h"
#include "large/hz3_mapping.h"
#include "large/hz3_span_cache.h"
#include "middle/hz3_central.h"
#include "middle/hz3_magazine.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_ledger_list.h"
#include "policy/hz3_partial_purge.h"
#include "policy/hz3_s65_medium_reclaim.h"
#include "release/hz3_release_ledger.h"

// Epochs in a row without an event before a program counts as idle: some may fall into a pause, or into a
// moment in which a loaded machine runs none of its threads.
#define IDLE_EPOCHS 3u

// So that one refill never pays for many.
#define MEDIUM_RUNS_OF_A_CLAIM 256u

// A flag and no lock: it stays set across system calls, and nobody ever waits for it.
static _Atomic bool running;
static HZ3_TLS bool runs_here; // by this thread

// By the runner of the epoch.
static _Atomic uint32_t epoch;
static _Atomic uint64_t epoch_ms;                   // when its number was set
static _Atomic uint32_t worked_epoch;               // the last one in which something had moved
static _Atomic uint32_t resumed_epoch;              // the first such one after the program had been idle
static _Atomic uint32_t paused_epochs = UINT32_MAX; // how long it had been idle then
static _Atomic uint32_t trimmed_epoch;              // when freed mappings were looked at
static _Atomic uint64_t events_seen;
static _Atomic uint32_t quiet_epochs;

// Moves when the program gets memory from the middle layer or below, or gives it back there.
static uint64_t events_now(void)
{
    return hz3_stat_sum(refills) + hz3_stat_sum(flushes) + hz3_stat_sum(spans_opened) + hz3_stat_sum(spans_cached) +
           hz3_stat_sum(boundary_calls) + hz3_stat_sum(mappings_opened) + hz3_stat_sum(mappings_reused);
}

static bool nothing_has_moved(void)
{
    return events_now() == atomic_load_explicit(&events_seen, memory_order_relaxed);
}

// Our own events are none.
static void forget_events(void)
{
    atomic_store_explicit(&events_seen, events_now(), memory_order_relaxed);
}

// One more than the last, and those that were left out while nobody ran any: ages are ages in time, too.
static uint32_t next_epoch(void)
{
    uint64_t tick_ms = hz3_knobs.EPOCH_TICK_MS;
    uint64_t now_ms = tick_ms != 0 ? hz3_os_coarse_ms() : 0;
    uint64_t passed_ms = now_ms - atomic_load_explicit(&epoch_ms, memory_order_relaxed);
    atomic_store_explicit(&epoch_ms, now_ms, memory_order_relaxed);
    uint32_t passed = tick_ms != 0 && passed_ms >= tick_ms ? (uint32_t)(passed_ms / tick_ms) : 1;
    return atomic_fetch_add_explicit(&epoch, passed, memory_order_relaxed) + passed;
}

typedef struct Gate {
    bool is_idle;
    bool is_pause; // of an idle program that came back soon the last time
    Hz3PurgeLimits dirty;
    uint64_t medium_runs;
    uint32_t partial_min_age;
    uint64_t partial_runs;
} Gate;

// Half again as long as the last one, and two epochs: that much longer the next one may be without its costing the
// program its memory. 0: the last one was none to wait for.
static uint32_t longest_pause(void)
{
    uint32_t last = atomic_load_explicit(&paused_epochs, memory_order_relaxed);
    uint32_t most = (uint32_t)hz3_knobs.S65_RETAIN_EPOCHS;
    if (last >= most) {
        return 0;
    }
    return last + last / 2 + 2 < most ? last + last / 2 + 2 : most;
}

static Gate gate_of_idle(uint32_t now)
{
    hz3_stat_add(idle_ticks, 1);
    uint32_t idle_for = now - atomic_load_explicit(&worked_epoch, memory_order_relaxed);
    bool is_pause = idle_for < longest_pause();
    return (Gate){
        .is_idle = true,
        .is_pause = is_pause,
        .dirty = {.epoch = now,
                  .kept_too = !is_pause,
                  .pages = UINT64_MAX,
                  .us = UINT64_MAX,
                  .may_go_on = nothing_has_moved},
        .medium_runs = UINT64_MAX,
        .partial_min_age = hz3_knobs.S65_PARTIAL_AGE_EPOCHS != 0,
        .partial_runs = is_pause ? 0 : UINT64_MAX,
    };
}

static Gate gate_of_busy(uint32_t now)
{
    hz3_stat_add(busy_ticks, 1);
    return (Gate){
        .dirty = {.epoch = now,
                  .min_age = (uint32_t)hz3_knobs.S65_PURGE_AGE_EPOCHS,
                  .pages = hz3_knobs.S65_PURGE_BUDGET_PAGES,
                  .us = hz3_knobs.S65_PURGE_BUDGET_US},
        .medium_runs = hz3_knobs.S65_MEDIUM_RECLAIM_BUDGET_RUNS,
        .partial_min_age = (uint32_t)hz3_knobs.S65_PARTIAL_AGE_EPOCHS,
        .partial_runs = hz3_knobs.S65_PARTIAL_BUDGET_RUNS,
    };
}

// The one place that decides how much an epoch may give back. Of an idle program: everything but what it came back to
// after its last pauses. Of a busy one: what lay untouched for some epochs, and of that a bounded piece. A program that
// keeps reusing its memory should not have to fault it in again.
static Gate gate_for(uint32_t now)
{
    uint32_t was_quiet = atomic_load_explicit(&quiet_epochs, memory_order_relaxed);
    uint32_t quiet = nothing_has_moved() ? was_quiet + 1 : 0;
    atomic_store_explicit(&quiet_epochs, quiet, memory_order_relaxed);
    if (quiet == 0) {
        uint32_t paused = now - atomic_exchange_explicit(&worked_epoch, now, memory_order_relaxed);
        if (was_quiet >= IDLE_EPOCHS) {
            atomic_store_explicit(&resumed_epoch, now, memory_order_relaxed);
            atomic_store_explicit(&paused_epochs, paused, memory_order_relaxed);
        }
    }
    Gate gate = quiet >= IDLE_EPOCHS ? gate_of_idle(now) : gate_of_busy(now);
    gate.dirty.resumed_epoch = atomic_load_explicit(&resumed_epoch, memory_order_relaxed);
    gate.dirty.kept_age = (uint32_t)hz3_knobs.S65_RETAIN_EPOCHS;
    return gate;
}

// hz3_mapping_trim(false) takes what was not used since the trim before.
static size_t trim_mappings(const Gate *gate)
{
    uint32_t since = gate->dirty.epoch - atomic_load_explicit(&trimmed_epoch, memory_order_relaxed);
    if (since < gate->dirty.min_age || gate->is_pause) {
        return 0;
    }
    atomic_store_explicit(&trimmed_epoch, gate->dirty.epoch, memory_order_relaxed);
    return hz3_mapping_trim(gate->is_idle);
}

// What the caches did not need since the last time. Returns what it moved, in bytes and calls of the boundary.
static size_t drain_surplus(Hz3FrontScope fronts, uint64_t max_medium_runs)
{
    size_t moved = hz3_front_drain(fronts);
    uint64_t released = hz3_stat_sum(boundary_calls);
    hz3_central_drain_small(HZ3_DRAIN_SURPLUS);
    hz3_s65_medium_reclaim_tick(max_medium_runs);
    hz3_span_cache_drain(0, hz3_shard_count(), false);
    return moved + hz3_stat_sum(boundary_calls) - released;
}

static bool run(void)
{
    hz3_assert(runs_here);
    hz3_stat_add(epochs, 1);
    hz3_nodes_note_epoch();
    Gate gate = gate_for(next_epoch());
    size_t moved = drain_surplus(HZ3_FRONT_IDLE, gate.medium_runs);
    hz3_magazine_trim(gate.is_idle && !gate.is_pause);
    moved += trim_mappings(&gate);
    forget_events();
    if (hz3_knobs.S65_RELEASE_LEDGER) {
        moved += hz3_ledger_purge(&gate.dirty);
        moved += !hz3_ledger_queue_is_empty(HZ3_LEDGER_KEPT); // their time will come
    }
    uint64_t released = hz3_stat_sum(boundary_calls);
    moved += hz3_partial_purge(gate.partial_min_age, gate.partial_runs);
    atomic_fetch_add_explicit(&events_seen, hz3_stat_sum(boundary_calls) - released, memory_order_relaxed);
    return moved != 0 || !gate.is_idle || gate.is_pause;
}

// False: somebody else runs one.
static bool begin(void)
{
    if (atomic_exchange_explicit(&running, true, memory_order_acquire)) {
        return false;
    }
    runs_here = true;
    atomic_store_explicit(&running, true, memory_order_relaxed); // a fork's child may have cleared it just now
    return true;
}

static void end(void)
{
    runs_here = false;
    atomic_store_explicit(&running, false, memory_order_release);
}

bool hz3_epoch_tick(void)
{
    if (!begin()) {
        return true;
    }
    bool moved = run();
    end();
    return moved;
}

// How many pages a program may claim before its caches are looked through: a share of the heap, or so many for each
// shard, for each has caches to look at. So a claimed page costs the same on every machine.
#define CLAIMED_SHARE 32u
#define CLAIMED_PER_SHARD 256u

static uint64_t claimed_max(void)
{
    uint64_t share = (uint64_t)hz3_arena_slots_open() * HZ3_PAGES_PER_SEG / CLAIMED_SHARE;
    uint64_t least = (uint64_t)hz3_shard_count() * CLAIMED_PER_SHARD;
    return share > least ? share : least;
}

void hz3_epoch_note_claimed(uint64_t pages)
{
    static _Atomic uint64_t claimed; // about: what others add before it is set back is forgotten
    uint64_t sum = atomic_fetch_add_explicit(&claimed, pages, memory_order_relaxed) + pages;
    if (HZ3_LIKELY(sum < claimed_max()) || hz3_knobs.EPOCH_TICK_MS == 0 || !begin()) {
        return;
    }
    atomic_store_explicit(&claimed, 0, memory_order_relaxed);
    hz3_stat_add(claim_epochs, 1);
    drain_surplus(HZ3_FRONT_HERE, MEDIUM_RUNS_OF_A_CLAIM);
    end();
}

size_t hz3_epoch_purge_dirty(uint64_t pages)
{
    if (!hz3_knobs.S65_RELEASE_LEDGER || !begin()) {
        return 0;
    }
    Hz3PurgeLimits limits = {.epoch = atomic_load_explicit(&epoch, memory_order_relaxed),
                             .kept_too = true,
                             .pages = pages,
                             .us = UINT64_MAX};
    size_t purged = hz3_ledger_purge(&limits);
    if (purged < pages) {
        limits.pages = pages - purged;
        hz3_central_drain(HZ3_DRAIN_SURPLUS, hz3_knobs.S65_RELEASE_COVERAGE, limits.pages);
        hz3_span_cache_drain_all();
        purged += hz3_ledger_purge(&limits);
    }
    end();
    return purged;
}

bool hz3_epoch_is_pending(void)
{
    return (hz3_knobs.S65_RELEASE_LEDGER && !hz3_ledger_is_empty()) || hz3_front_cached_bytes() != 0 ||
           hz3_central_waiting_objects(hz3_knobs.S65_RELEASE_COVERAGE) != 0 || hz3_span_cache_bytes() != 0 ||
           hz3_mapping_figures().cached_bytes != 0 || hz3_partial_purge_is_pending();
}

void hz3_epoch_empty_caches(void)
{
    hz3_front_drain(HZ3_FRONT_ALL);
    hz3_central_drain(HZ3_DRAIN_ALL, true, UINT64_MAX);
    hz3_span_cache_drain_all();
}

size_t hz3_epoch_trim_all(void)
{
    hz3_epoch_empty_caches();
    hz3_magazine_trim(true);
    return hz3_mapping_trim(true) + hz3_release_purge_all() + hz3_partial_purge(0, UINT64_MAX);
}

void hz3_epoch_fork_child(void)
{
    atomic_store_explicit(&running, runs_here, memory_order_relaxed); // goes on when the handler that forked returns
}
