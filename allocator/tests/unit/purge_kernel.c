#include "purge_kernel.h"

#include <string.h>

#include "base/hz3_os.h"
#include "pages/hz3_in_purging.h"
#include "pages/hz3_ledger_list.h"
#include "pages/hz3_segment_packing.h"
#include "policy/hz3_epoch.h"
#include "release/hz3_release_ledger.h"

static const Hz3PurgeLimits EVERYTHING = {.pages = FOR_EVER, .us = FOR_EVER};

// --- the kernel ---

static uintptr_t refused_from, refused_to; // ranges that begin here are refused
uint32_t purged_while_free;
uint32_t seen_in_purging;
uint32_t seen_while_closing;
uint32_t ranges_seen;
bool forks_inside;
size_t longest_call;
static uint64_t clock_us;
uint64_t us_a_call;

void fork_child(void)
{
    hz3_in_purging_fork_child();
    hz3_ledger_fork_child();
}

static bool look_at(void *addr, size_t bytes)
{
    if (hz3_arena_owns(addr)) {
        uint32_t page = hz3_page_of(addr);
        ranges_seen++;
        seen_in_purging = hz3_in_purging_pages();
        if (forks_inside) {
            forks_inside = false;
            fork_child();
        }
        purged_while_free += hz3_segment_any_free(&hz3_arena.seg[page / HZ3_PAGES_PER_SEG], page % HZ3_PAGES_PER_SEG,
                                                  (uint32_t)(bytes / HZ3_PAGE_SIZE));
    }
    return (uintptr_t)addr < refused_from || (uintptr_t)addr >= refused_to;
}

// A slot that is being closed.
bool __real_hz3_os_unmap(void *addr, size_t bytes);
bool __wrap_hz3_os_unmap(void *addr, size_t bytes);
bool __wrap_hz3_os_unmap(void *addr, size_t bytes)
{
    if (hz3_arena_owns(addr)) {
        seen_while_closing = hz3_in_purging_pages();
    }
    return __real_hz3_os_unmap(addr, bytes);
}

uint64_t __wrap_hz3_os_now_us(void);
uint64_t __wrap_hz3_os_now_us(void)
{
    return clock_us;
}

bool __real_hz3_os_purge(void *addr, size_t bytes);
bool __wrap_hz3_os_purge(void *addr, size_t bytes);
bool __wrap_hz3_os_purge(void *addr, size_t bytes)
{
    clock_us += us_a_call;
    return look_at(addr, bytes) && __real_hz3_os_purge(addr, bytes);
}

// As the kernel does: up to the first range that it refuses.
uint32_t __wrap_hz3_os_purge_ranges(const Hz3OsRange *ranges, uint32_t n);
uint32_t __wrap_hz3_os_purge_ranges(const Hz3OsRange *ranges, uint32_t n)
{
    uint32_t done = 0;
    size_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        bytes += ranges[i].bytes;
    }
    longest_call = bytes > longest_call ? bytes : longest_call;
    while (done < n && look_at(ranges[done].addr, ranges[done].bytes) &&
           __real_hz3_os_purge(ranges[done].addr, ranges[done].bytes)) {
        done++;
    }
    return done;
}

void refuse(uint32_t page, uint32_t pages)
{
    refused_from = (uintptr_t)hz3_page_addr(page);
    refused_to = (uintptr_t)hz3_page_addr(page + pages);
}

int purge_set_up(void **state)
{
    (void)state;
    refused_from = refused_to = 0;
    us_a_call = 0;
    hz3_epoch_trim_all();
    hz3_ledger_purge(&EVERYTHING);
    purged_while_free = ranges_seen = 0;
    assert_true(hz3_ledger_is_empty());
    return 0;
}

uint32_t claim(uint32_t pages)
{
    uint32_t page = hz3_pack_claim(SHARD, pages, 1);
    assert_int_not_equal(page, HZ3_PAGE_NONE);
    memset(hz3_page_addr(page), 0xA5, pages * HZ3_PAGE_SIZE);
    return page;
}

int hold_a_page(void **state)
{
    (void)state;
    claim(1);
    return 0;
}

size_t purge_everything(void)
{
    return hz3_ledger_purge(&EVERYTHING);
}

size_t purge_what_was_refused(void)
{
    return hz3_ledger_purge(&(Hz3PurgeLimits){.epoch = 1000, .pages = FOR_EVER, .us = FOR_EVER});
}

Hz3SegMeta *segment_of(uint32_t page)
{
    return &hz3_arena.seg[page / HZ3_PAGES_PER_SEG];
}

bool is_clean(uint32_t page, uint32_t pages)
{
    return hz3_segment_is_clean(segment_of(page), page % HZ3_PAGES_PER_SEG, pages);
}
