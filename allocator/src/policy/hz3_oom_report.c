#include "policy/hz3_oom_report.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"
#include "base/hz3_size_class.h"
#include "middle/hz3_central.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_in_purging.h"
#include "pages/hz3_segment.h"

#define SEGMENTS_MAX 1024u // with free pages, printed one by one
#define SEGMENTS_PER_LINE 16u

typedef struct PageCensus {
    size_t open;
    size_t free;
    size_t longest; // run of free pages
    size_t small;   // by tag
    size_t medium;
    size_t span;
    size_t claimed; // taken, without a tag: by the purger, or about to become a run
} PageCensus;

static void count_tags(PageCensus *census, uint32_t slot)
{
    const Hz3SegMeta *meta = &hz3_arena.seg[slot];
    for (uint32_t idx = 0; idx < HZ3_PAGES_PER_SEG; idx++) {
        Hz3Tag tag = hz3_tag_of(slot * HZ3_PAGES_PER_SEG + idx);
        bool is_medium = tag == HZ3_TAG_MEDIUM_CONT || (tag <= HZ3_TAG_CLASS_LAST && hz3_class_is_medium(tag));
        census->medium += is_medium;
        census->small += !is_medium && tag >= HZ3_TAG_CLASS_FIRST && tag <= HZ3_TAG_CLASS_LAST;
        census->span += tag == HZ3_TAG_SPAN || tag == HZ3_TAG_SPAN_CONT;
        census->claimed += tag == HZ3_TAG_NONE && !hz3_segment_any_free(meta, idx, 1);
    }
}

static PageCensus take_census(void)
{
    PageCensus census = {0};
    HZ3_FOR_EACH_SLOT(slot)
    {
        if (!hz3_arena_slot_is_open(slot)) {
            continue;
        }
        size_t longest = hz3_segment_longest_run(&hz3_arena.seg[slot]);
        census.open += HZ3_PAGES_PER_SEG;
        census.free += hz3_segment_free_pages(&hz3_arena.seg[slot]);
        census.longest = longest > census.longest ? longest : census.longest;
        count_tags(&census, slot);
    }
    return census;
}

// "slot:free pages/longest run", where there are any.
static void print_segments(void)
{
    char line[SEGMENTS_PER_LINE * 24];
    size_t length = 0;
    uint32_t printed = 0;
    HZ3_FOR_EACH_SLOT(slot)
    {
        const Hz3SegMeta *meta = &hz3_arena.seg[slot];
        uint32_t free_pages = hz3_arena_slot_is_open(slot) ? hz3_segment_free_pages(meta) : 0;
        if (free_pages == 0 || printed == SEGMENTS_MAX) {
            continue;
        }
        length += (size_t)snprintf(line + length, sizeof line - length, " %u:%u/%u", slot, free_pages,
                                   hz3_segment_longest_run(meta));
        if (++printed % SEGMENTS_PER_LINE == 0) {
            hz3_log("[HZ3_OOM_FREE]%s", line);
            length = 0;
        }
    }
    if (length != 0) {
        hz3_log("[HZ3_OOM_FREE]%s", line);
    }
}

static void print_all(uint32_t pages, uint32_t cls, size_t front_bytes)
{
    int sc = hz3_class_is_medium(cls) ? (int)(cls - HZ3_CLASS_MEDIUM_FIRST) : -1;
    size_t size = cls != 0 ? hz3_classes[cls].size : (size_t)pages << HZ3_PAGE_SHIFT;
    hz3_log("[HZ3_OOM] where=arena_alloc_full sc=%d size=%zu pages=%u", sc, size, pages);
    PageCensus census = take_census();
    Hz3CentralFigures central = hz3_central_figures();
    size_t taken = (census.open - census.free) << HZ3_PAGE_SHIFT;
    size_t idle =
        central.depot_bytes + central.run_bytes + (census.claimed << HZ3_PAGE_SHIFT); // most of what is in purging, too
    size_t live = taken > idle ? taken - idle : 0;
    hz3_log("[HZ3_OOM_PAGES] arena=%zu open=%zu free=%zu longest_run=%zu small=%zu medium=%zu span=%zu claimed=%zu "
            "purging=%u",
            (size_t)hz3_arena.slots * HZ3_PAGES_PER_SEG, census.open, census.free, census.longest, census.small,
            census.medium, census.span, census.claimed, hz3_in_purging_pages());
    hz3_log("[HZ3_OOM_HELD] front_bytes=%zu depot_bytes=%zu run_bytes=%zu live_bytes=%zu "
            "live_per_arena=%.4f",
            front_bytes, central.depot_bytes, central.run_bytes, live,
            (double)live / (double)((size_t)hz3_arena.slots << HZ3_SEG_SHIFT));
    print_segments();
}

void hz3_oom_report(uint32_t pages, uint32_t cls, size_t front_bytes)
{
    static _Atomic bool is_reported;
    if (!(hz3_knobs.OOM_SHOT || hz3_knobs.OOM_FAILFAST) ||
        atomic_exchange_explicit(&is_reported, true, memory_order_relaxed)) {
        return;
    }
    print_all(pages, cls, front_bytes);
    if (hz3_knobs.OOM_FAILFAST) {
        abort();
    }
}
