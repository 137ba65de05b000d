// The entry points that tell about the heap or tune it.
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/hz3_log.h"
#include "front/hz3_front_drain.h"
#include "hardened/hz3_harden.h"
#include "hardened/hz3_harden_quarantine.h"
#include "hz3.h"
#include "large/hz3_mapping.h"
#include "large/hz3_span_cache.h"
#include "middle/hz3_central.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_segment.h"
#include "policy/hz3_epoch.h"
#include "process/hz3_init.h"

typedef struct HeapFigures {
    size_t held_bytes;   // pages taken from segments, and live mappings
    size_t cached_bytes; // of those: in the fronts and in the middle layer
    size_t free_bytes;   // free pages of open segments, and freed mappings
    size_t free_ranges;  // of such pages
    Hz3MappingFigures mappings;
} HeapFigures;

static HeapFigures heap_figures(void)
{
    HeapFigures f = {0};
    hz3_init();
    HZ3_FOR_EACH_SLOT(slot)
    {
        size_t free_pages = hz3_segment_free_pages(&hz3_arena.seg[slot]);
        f.free_bytes += free_pages << HZ3_PAGE_SHIFT;
        f.free_ranges += hz3_segment_free_ranges(&hz3_arena.seg[slot]);
        f.held_bytes += (HZ3_PAGES_PER_SEG - free_pages) << HZ3_PAGE_SHIFT;
    }
    size_t closed_bytes = (size_t)hz3_arena_slots_closed() << HZ3_SEG_SHIFT; // look taken; one may have closed just now
    f.held_bytes -= closed_bytes < f.held_bytes ? closed_bytes : f.held_bytes;
    f.mappings = hz3_mapping_figures();
    f.held_bytes += f.mappings.live_bytes;
    f.free_bytes += f.mappings.cached_bytes;
    f.cached_bytes =
        hz3_front_cached_bytes() + hz3_central_cached_bytes() + hz3_span_cache_bytes() + hz3_quarantine_bytes();
    return f;
}

static size_t in_use_bytes(const HeapFigures *f)
{
    return f->held_bytes > f->cached_bytes ? f->held_bytes - f->cached_bytes : 0;
}

#ifdef __GLIBC__ // other C libraries do not declare it
HZ3_EXPORT struct mallinfo2 mallinfo2(void)
{
    HeapFigures f = heap_figures();
    size_t in_use = in_use_bytes(&f);
    size_t mapped = f.mappings.live_bytes; // counted in hblkhd alone, as in glibc
    return (struct mallinfo2){
        .arena = f.held_bytes + f.free_bytes - f.mappings.live_bytes,
        .ordblks = f.free_ranges, // without blocks in caches, as glibc's is without those of its tcache
        .hblks = f.mappings.live_count,
        .hblkhd = f.mappings.live_bytes,
        .uordblks = in_use > mapped ? in_use - mapped : 0,
        .fordblks = f.free_bytes + f.cached_bytes,
        .keepcost = f.free_bytes,
    };
}

static int clamp_to_int(size_t n)
{
    return n > INT32_MAX ? INT32_MAX : (int)n;
}

HZ3_EXPORT struct mallinfo mallinfo(void)
{
    struct mallinfo2 m = mallinfo2();
    return (struct mallinfo){
        .arena = clamp_to_int(m.arena),
        .ordblks = clamp_to_int(m.ordblks),
        .hblks = clamp_to_int(m.hblks),
        .hblkhd = clamp_to_int(m.hblkhd),
        .uordblks = clamp_to_int(m.uordblks),
        .fordblks = clamp_to_int(m.fordblks),
        .keepcost = clamp_to_int(m.keepcost),
    };
}
#endif

HZ3_EXPORT void malloc_stats(void)
{
    HeapFigures f = heap_figures();
    hz3_log("hz3: in use %zu bytes, cached %zu, free %zu, mappings %zu (%zu bytes)", in_use_bytes(&f), f.cached_bytes,
            f.free_bytes, f.mappings.live_count, f.mappings.live_bytes);
}

HZ3_EXPORT int malloc_info(int options, FILE *stream)
{
    if (options != 0) {
        errno = EINVAL;
        return -1;
    }
    HeapFigures f = heap_figures();
    int n = fprintf(stream,
                    "<malloc version=\"1\">\n"
                    "<total type=\"rest\" count=\"0\" size=\"%zu\"/>\n"
                    "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n"
                    "<system type=\"current\" size=\"%zu\"/>\n"
                    "<system type=\"in_use\" size=\"%zu\"/>\n"
                    "</malloc>\n",
                    f.free_bytes + f.cached_bytes, f.mappings.live_count, f.mappings.live_bytes,
                    f.held_bytes + f.free_bytes, in_use_bytes(&f));
    return n < 0 ? -1 : 0;
}

// pad has no meaning without a heap top.
HZ3_EXPORT int malloc_trim(size_t pad)
{
    (void)pad;
    if (HZ3_HARDENED) {
        hz3_harden_drain();
    }
    hz3_init();
    return hz3_epoch_trim_all() > 0;
}

HZ3_EXPORT void hz3_epoch_force(void)
{
    hz3_init();
    hz3_epoch_tick();
}

#ifdef __GLIBC__
// glibc's keys are accepted, so that programs that check the answer go on; hz3's own settings are its knobs.
HZ3_EXPORT int mallopt(int key, int value)
{
    (void)value;
    switch (key) {
    case M_MXFAST:
    case M_TRIM_THRESHOLD:
    case M_TOP_PAD:
    case M_MMAP_THRESHOLD:
    case M_MMAP_MAX:
    case M_CHECK_ACTION:
    case M_PERTURB:
    case M_ARENA_TEST:
    case M_ARENA_MAX:
        return 1;
    default:
        return 0;
    }
}
#endif
