// What is new on a central's list of partial runs, so that nobody has to walk the list to find out. Everything changes
// under the central's lock; what is atomic may be read without it, as a figure or a hint.
//
// Invariant: a run whose `touched` is not HZ3_RUN_LOOKED_AT (hz3_small.h) got an object back since the partial purge
// looked at it. While it is on the list it is noted here, or a walk over the whole list is wanted, or one is under way
// and has yet to come to it. A run that is retired is forgotten, so that every note names a live run of the central.
#ifndef HZ3_PARTIAL_NEWS_H
#define HZ3_PARTIAL_NEWS_H

#include "middle/hz3_central_state.h"
#include "middle/hz3_small.h"
#include "pages/hz3_arena.h"

#define HZ3_NOTES_MAX 59u // of a central; when there are more, its list is walked

// Flags; both: another walk after the one under way.
enum { HZ3_WALK_UNDER_WAY = 1, HZ3_WALK_WANTED = 2 };

typedef struct Hz3PartialNews {
    _Alignas(64) _Atomic uint64_t free_objs; // of all runs of the list
    _Atomic uint32_t walk;
    _Atomic uint32_t notes;
    uint8_t walk_wanted; // since when (hz3_run_now)
    uint32_t run[HZ3_NOTES_MAX];
} Hz3PartialNews;

_Static_assert(sizeof(Hz3PartialNews) == 256, "whole cache lines");

// By the place of the central.
extern Hz3PartialNews hz3_partial_news[HZ3_SHARDS_MAX * HZ3_CLASS_COUNT];

static inline Hz3PartialNews *hz3_news_of(const Central *c)
{
    return &hz3_partial_news[c - hz3_central[0]];
}

// Objects of runs of the list came or went.
static inline void hz3_news_count(const Central *c, int64_t objs)
{
    _Atomic uint64_t *count = &hz3_news_of(c)->free_objs;
    hz3_assert(hz3_lock_is_held(&c->lock));
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + (uint64_t)objs,
                          memory_order_relaxed);
}

static inline uint32_t hz3_news_walk(const Central *c)
{
    return atomic_load_explicit(&hz3_news_of(c)->walk, memory_order_relaxed);
}

static inline void hz3_news_set_walk(const Central *c, uint32_t walk)
{
    hz3_assert(hz3_lock_is_held(&c->lock));
    atomic_store_explicit(&hz3_news_of(c)->walk, walk, memory_order_relaxed);
}

// For hz3_news_note(), unless the run is surely noted.
void hz3_news_add(const Central *c, uint32_t run, bool is_news);
// The partial purge must look at the run, when it has lain untouched for long enough from now on. A run that was off
// the list is noted before it comes back to it.
static inline void hz3_news_note(const Central *c, uint32_t run)
{
    Hz3RunMeta *meta = &hz3_arena.run[run];
    hz3_assert(hz3_lock_is_held(&c->lock));
    bool is_news = meta->touched == HZ3_RUN_LOOKED_AT;
    meta->touched = hz3_run_now();
    if (is_news || !meta->is_partial) {
        hz3_news_add(c, run, is_news);
    }
}
// A walk has found it too young.
void hz3_news_keep(const Central *c, uint32_t run);
// Begins a walk that is wanted: not before the runs that it is wanted for are old enough, for it would be in vain. It
// comes to all that is noted, so the notes begin anew.
bool hz3_news_begin_walk(const Central *c, uint32_t min_age);
// It has, or the run is about to be retired.
void hz3_news_forget(const Central *c, uint32_t run);
void hz3_news_drop(const Central *c, uint32_t at); // the note at this place

// A snapshot.
static inline bool hz3_news_exist(const Central *c)
{
    return atomic_load_explicit(&hz3_news_of(c)->notes, memory_order_relaxed) != 0 || hz3_news_walk(c) != 0;
}

#endif
