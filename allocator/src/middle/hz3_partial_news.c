#include "middle/hz3_partial_news.h"

#include "middle/hz3_small.h"
#include "pages/hz3_arena.h"

Hz3PartialNews hz3_partial_news[HZ3_SHARDS_MAX * HZ3_CLASS_COUNT];

static uint32_t notes_of(const Central *c)
{
    return atomic_load_explicit(&hz3_news_of(c)->notes, memory_order_relaxed);
}

void hz3_news_note(const Central *c, uint32_t run)
{
    Hz3PartialNews *news = hz3_news_of(c);
    Hz3RunMeta *meta = &hz3_arena.run[run];
    hz3_assert(hz3_lock_is_held(&c->lock));
    bool is_noted = meta->idle_epochs != HZ3_RUN_LOOKED_AT;
    meta->idle_epochs = 0;
    if (is_noted) {
        return;
    }
    uint32_t notes = notes_of(c);
    if (notes == HZ3_NOTES_MAX) {
        hz3_news_set_walk(c, hz3_news_walk(c) | HZ3_WALK_WANTED);
        return;
    }
    news->run[notes] = run;
    atomic_store_explicit(&news->notes, notes + 1, memory_order_relaxed);
}

void hz3_news_drop(const Central *c, uint32_t at)
{
    Hz3PartialNews *news = hz3_news_of(c);
    uint32_t last = notes_of(c) - 1;
    hz3_assert(hz3_lock_is_held(&c->lock) && at <= last);
    hz3_arena.run[news->run[at]].idle_epochs = HZ3_RUN_LOOKED_AT;
    news->run[at] = news->run[last];
    atomic_store_explicit(&news->notes, last, memory_order_relaxed);
}

void hz3_news_forget(const Central *c, uint32_t run)
{
    Hz3RunMeta *meta = &hz3_arena.run[run];
    if (meta->idle_epochs == HZ3_RUN_LOOKED_AT) {
        return;
    }
    for (uint32_t at = notes_of(c); at-- > 0;) {
        if (hz3_news_of(c)->run[at] == run) {
            hz3_news_drop(c, at);
        }
    }
    meta->idle_epochs = HZ3_RUN_LOOKED_AT;
}
