#include "middle/hz3_partial_news.h"

#include "middle/hz3_small.h"
#include "pages/hz3_arena.h"

Hz3PartialNews hz3_partial_news[HZ3_SHARDS_MAX * HZ3_CLASS_COUNT];

static uint32_t notes_of(const Central *c)
{
    return atomic_load_explicit(&hz3_news_of(c)->notes, memory_order_relaxed);
}

static bool is_noted(const Central *c, uint32_t run)
{
    const Hz3PartialNews *news = hz3_news_of(c);
    uint32_t at = notes_of(c);
    while (at > 0 && news->run[at - 1] != run) {
        at--;
    }
    return at != 0;
}

// A run is noted once.
static void note(const Central *c, uint32_t run)
{
    Hz3PartialNews *news = hz3_news_of(c);
    uint32_t notes = notes_of(c);
    uint32_t walk = hz3_news_walk(c);
    if (notes < HZ3_NOTES_MAX) {
        news->run[notes] = run;
        atomic_store_explicit(&news->notes, notes + 1, memory_order_relaxed);
    } else if ((walk & HZ3_WALK_WANTED) == 0) {
        news->walk_wanted = hz3_run_now();
        hz3_news_set_walk(c, walk | HZ3_WALK_WANTED);
    }
}

void hz3_news_add(const Central *c, uint32_t run, bool is_news)
{
    if (is_news || !is_noted(c, run)) {
        note(c, run);
    }
}

void hz3_news_keep(const Central *c, uint32_t run)
{
    hz3_assert(hz3_lock_is_held(&c->lock));
    hz3_assert(hz3_arena.run[run].touched != HZ3_RUN_LOOKED_AT);
    if ((hz3_news_walk(c) & HZ3_WALK_WANTED) == 0 && !is_noted(c, run)) {
        note(c, run);
    }
}

bool hz3_news_begin_walk(const Central *c, uint32_t min_age)
{
    hz3_assert(hz3_lock_is_held(&c->lock));
    if (hz3_news_walk(c) != HZ3_WALK_WANTED || hz3_run_age(hz3_news_of(c)->walk_wanted) < min_age) {
        return false;
    }
    hz3_news_set_walk(c, HZ3_WALK_UNDER_WAY);
    atomic_store_explicit(&hz3_news_of(c)->notes, 0, memory_order_relaxed);
    return true;
}

void hz3_news_drop(const Central *c, uint32_t at)
{
    Hz3PartialNews *news = hz3_news_of(c);
    uint32_t last = notes_of(c) - 1;
    hz3_assert(hz3_lock_is_held(&c->lock) && at <= last);
    hz3_arena.run[news->run[at]].touched = HZ3_RUN_LOOKED_AT;
    news->run[at] = news->run[last];
    atomic_store_explicit(&news->notes, last, memory_order_relaxed);
}

void hz3_news_forget(const Central *c, uint32_t run)
{
    Hz3RunMeta *meta = &hz3_arena.run[run];
    if (meta->touched == HZ3_RUN_LOOKED_AT) {
        return;
    }
    for (uint32_t at = notes_of(c); at-- > 0;) {
        if (hz3_news_of(c)->run[at] == run) {
            hz3_news_drop(c, at);
        }
    }
    meta->touched = HZ3_RUN_LOOKED_AT;
}
