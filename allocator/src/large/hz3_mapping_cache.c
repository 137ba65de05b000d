#include "large/hz3_mapping_cache.h"

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"

#define MIB ((size_t)1 << 20)
#define LIMIT_MIN (32 * MIB)        // kept whatever is alive, unless a limit is less
#define WHILE_GROWING_MIN (8 * MIB) // kept even while the program grows
#define LOOKED_AT_MAX 8u            // of a bin, where a mapping may not fit

static Hz3Mapping *record(uint32_t at)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock) && at != 0 && at < hz3_mappings.touched);
    return &hz3_mappings.mapping[at];
}

static Hz3MappingBins *bins_of(uint8_t state)
{
    return state == HZ3_MAPPING_DIRTY ? &hz3_mappings.dirty : &hz3_mappings.clean;
}

static size_t *sum_of(uint8_t state)
{
    return state == HZ3_MAPPING_DIRTY ? &hz3_mappings.dirty_bytes : &hz3_mappings.clean_bytes;
}

// --- bins and ages ---------------------------------------------------------------------------------------------------

// The bin of a mapping is that of the largest request which all in the bin can serve.
static uint32_t bin_of(size_t bytes)
{
    size_t pages = bytes >> HZ3_PAGE_SHIFT;
    if (pages < 8) {
        return (uint32_t)pages;
    }
    uint32_t log2 = 63u - (uint32_t)__builtin_clzl(pages);
    uint32_t bin = (log2 - 2) * 8 + (uint32_t)(pages >> (log2 - 3) & 7);
    return bin < HZ3_MAPPING_BINS ? bin : HZ3_MAPPING_BINS - 1;
}

static void enter_bin(uint32_t at)
{
    Hz3Mapping *m = record(at);
    Hz3MappingBins *bins = bins_of(m->state);
    uint32_t bin = bin_of(m->bytes);
    m->prev = 0;
    m->next = bins->first[bin];
    if (m->next != 0) {
        record(m->next)->prev = at;
    }
    bins->first[bin] = at;
    bins->filled[bin / 64] |= 1ull << (bin % 64);
    *sum_of(m->state) += m->bytes;
}

static void leave_bin(uint32_t at)
{
    Hz3Mapping *m = record(at);
    Hz3MappingBins *bins = bins_of(m->state);
    uint32_t bin = bin_of(m->bytes);
    if (m->next != 0) {
        record(m->next)->prev = m->prev;
    }
    if (m->prev != 0) {
        record(m->prev)->next = m->next;
    } else {
        hz3_assert(bins->first[bin] == at);
        bins->first[bin] = m->next;
    }
    if (bins->first[bin] == 0) {
        bins->filled[bin / 64] &= ~(1ull << (bin % 64));
    }
    *sum_of(m->state) -= m->bytes;
}

static void enter_ages(uint32_t at)
{
    Hz3Mapping *m = record(at);
    m->trims = hz3_mappings.trims;
    m->older = hz3_mappings.newest;
    m->newer = 0;
    if (m->older != 0) {
        record(m->older)->newer = at;
    } else {
        hz3_mappings.oldest = at;
    }
    hz3_mappings.newest = at;
}

static void leave_ages(uint32_t at)
{
    const Hz3Mapping *m = record(at);
    if (m->older != 0) {
        record(m->older)->newer = m->newer;
    } else {
        hz3_mappings.oldest = m->newer;
    }
    if (m->newer != 0) {
        record(m->newer)->older = m->older;
    } else {
        hz3_mappings.newest = m->older;
    }
}

// Out of everything but its own record.
static void take_off(uint32_t at)
{
    leave_bin(at);
    if (record(at)->state == HZ3_MAPPING_DIRTY) {
        leave_ages(at);
    }
    hz3_registry_drop_start(at);
    hz3_registry_drop_end(at);
}

static void put_on(uint32_t at)
{
    enter_bin(at);
    if (record(at)->state == HZ3_MAPPING_DIRTY) {
        enter_ages(at);
    }
    hz3_registry_add_start(at);
    hz3_registry_add_end(at);
}

// The beginning of a freed mapping belongs to somebody else now. What is left is as old as it was.
static void cut_front(uint32_t at, size_t bytes)
{
    Hz3Mapping *m = record(at);
    hz3_assert(bytes <= m->bytes);
    if (bytes == m->bytes) {
        take_off(at);
        hz3_registry_drop_record(at);
        return;
    }
    leave_bin(at);
    hz3_registry_drop_start(at);
    m->addr += bytes;
    m->bytes -= bytes;
    hz3_registry_add_start(at);
    enter_bin(at);
}

// --- take and put ----------------------------------------------------------------------------------------------------

static uint32_t find_in_bin(const Hz3MappingBins *bins, uint32_t bin, size_t bytes, size_t align)
{
    uint32_t at = bins->first[bin];
    for (uint32_t i = 0; i < LOOKED_AT_MAX && at != 0; i++) {
        const Hz3Mapping *m = record(at);
        if (m->bytes >= bytes && (m->addr & (align - 1)) == 0) {
            return at;
        }
        at = m->next;
    }
    return 0;
}

static uint32_t find_fit(const Hz3MappingBins *bins, size_t bytes, size_t align)
{
    uint32_t first = bin_of(bytes);
    for (uint32_t w = first / 64; w < sizeof bins->filled / sizeof bins->filled[0]; w++) {
        uint64_t filled = bins->filled[w] & (w == first / 64 ? UINT64_MAX << (first % 64) : UINT64_MAX);
        for (; filled != 0; filled &= filled - 1) {
            uint32_t at = find_in_bin(bins, w * 64 + (uint32_t)__builtin_ctzl(filled), bytes, align);
            if (at != 0) {
                return at;
            }
        }
    }
    return 0;
}

uint32_t hz3_mapping_cache_take(size_t bytes, size_t align, bool *is_zero)
{
    uint32_t at = find_fit(&hz3_mappings.dirty, bytes, align);
    *is_zero = at == 0;
    at = at != 0 ? at : find_fit(&hz3_mappings.clean, bytes, align);
    if (at == 0) {
        return 0;
    }
    uintptr_t addr = record(at)->addr;
    size_t taken = record(at)->bytes <= bytes + bytes / 8 ? record(at)->bytes : bytes;
    cut_front(at, taken);
    return hz3_registry_insert(addr, taken, 0);
}

static bool touches(uint32_t at, Hz3MappingState state)
{
    return at != 0 && record(at)->state == state;
}

void hz3_mapping_cache_put_range(uintptr_t addr, size_t bytes, Hz3MappingState state)
{
    hz3_assert(state == HZ3_MAPPING_DIRTY || state == HZ3_MAPPING_CLEAN);
    uint32_t before = hz3_registry_find_freed_end(addr);
    uint32_t after = hz3_registry_find_freed(addr + bytes);
    uint32_t at;
    if (touches(after, state)) {
        take_off(after);
        bytes += record(after)->bytes;
        hz3_registry_drop_record(after);
    }
    if (touches(before, state)) {
        take_off(before);
        bytes += record(before)->bytes;
        addr = record(before)->addr;
        at = before;
    } else {
        at = hz3_registry_take_record();
    }
    *record(at) = (Hz3Mapping){.addr = addr, .bytes = bytes, .state = (uint8_t)state};
    put_on(at);
}

void hz3_mapping_cache_put(uint32_t at)
{
    hz3_assert(record(at)->reserved == 0);
    Hz3Mapping freed = hz3_registry_remove(at);
    hz3_mapping_cache_put_range(freed.addr, freed.bytes, HZ3_MAPPING_DIRTY);
}

void hz3_mapping_cache_shrink(uint32_t at, size_t bytes)
{
    Hz3Mapping *m = record(at);
    size_t before = m->bytes;
    hz3_assert(m->state == HZ3_MAPPING_LIVE && bytes != 0 && bytes < before);
    m->bytes = bytes;
    hz3_registry_count_live(before, bytes);
    hz3_mapping_cache_put_range(m->addr + bytes, before - bytes, HZ3_MAPPING_DIRTY);
}

bool hz3_mapping_cache_grow(uint32_t at, size_t bytes)
{
    Hz3Mapping *m = record(at);
    size_t before = m->bytes;
    hz3_assert(m->state == HZ3_MAPPING_LIVE && bytes > before);
    uint32_t after = hz3_registry_find_freed(m->addr + before);
    if (after == 0 || record(after)->bytes < bytes - before) {
        return false;
    }
    cut_front(after, bytes - before);
    m->bytes = bytes;
    hz3_registry_count_live(before, bytes);
    return true;
}

// --- give back -------------------------------------------------------------------------------------------------------

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t max_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

// What was alive a moment ago may come again. It comes in other sizes, which do not fit into the holes that the old
// ones left: half as much again, and no fresh memory is needed (EXPERIMENTS.md). growth: bytes that will live besides.
static size_t dirty_max(size_t growth, size_t least)
{
    size_t live = hz3_mappings.live_bytes + growth;
    size_t peak = max_of(hz3_mappings.peak_bytes, live);
    size_t bytes = max_of(peak + peak / 2 - live, least);
    if (hz3_mappings.memory_limit != 0) {
        bytes = min_of(bytes, hz3_mappings.memory_limit / 4);
    }
    return min_of(bytes, (size_t)hz3_knobs.MAPPED_CACHE_BYTES);
}

// How much of the oldest is to go.
static size_t excess(Hz3MappingReason reason, size_t growth)
{
    const Hz3Mapping *oldest = record(hz3_mappings.oldest);
    size_t most = SIZE_MAX;
    switch (reason) {
    case HZ3_MAPPING_OVER_LIMIT:
        most = dirty_max(0, LIMIT_MIN);
        break;
    case HZ3_MAPPING_GROWING:
        most = dirty_max(growth, WHILE_GROWING_MIN);
        break;
    case HZ3_MAPPING_OTHERS_GROW:
        most = max_of(hz3_mappings.live_bytes / 2, WHILE_GROWING_MIN);
        break;
    case HZ3_MAPPING_AGED:
        return oldest->trims != hz3_mappings.trims ? oldest->bytes : 0;
    default:
        return oldest->bytes;
    }
    size_t over = hz3_mappings.dirty_bytes > most ? hz3_page_round_up(hz3_mappings.dirty_bytes - most) : 0;
    return min_of(over, oldest->bytes);
}

bool hz3_mapping_cache_is_over_limit(void)
{
    bool is_unknown = hz3_mappings.memory_limit == 0 && hz3_mappings.dirty_bytes > LIMIT_MIN;
    return is_unknown || hz3_mappings.dirty_bytes > dirty_max(0, LIMIT_MIN);
}

static Hz3Mapping take_out(uint32_t at, size_t bytes)
{
    Hz3Mapping taken = *record(at);
    if (bytes < taken.bytes && hz3_registry_has_room()) {
        taken.bytes = bytes;
    }
    cut_front(at, taken.bytes);
    hz3_mappings.promised++;
    return taken;
}

Hz3Mapping hz3_mapping_cache_take_out(Hz3MappingReason reason, size_t bytes_max, size_t growth)
{
    if (reason == HZ3_MAPPING_ANY_CLEAN) {
        uint32_t at = find_fit(&hz3_mappings.clean, HZ3_PAGE_SIZE, HZ3_PAGE_SIZE);
        return at != 0 ? take_out(at, SIZE_MAX) : (Hz3Mapping){.bytes = 0};
    }
    size_t bytes = hz3_mappings.oldest != 0 ? min_of(excess(reason, growth), bytes_max) : 0;
    return bytes != 0 ? take_out(hz3_mappings.oldest, bytes) : (Hz3Mapping){.bytes = 0};
}

// --- for asserts -----------------------------------------------------------------------------------------------------

static bool bins_are_valid(uint8_t state, uint32_t *count)
{
    size_t bytes = 0;
    *count = 0;
    const Hz3MappingBins *bins = bins_of(state);
    for (uint32_t bin = 0; bin < HZ3_MAPPING_BINS; bin++) {
        uint32_t before = 0;
        for (uint32_t at = bins->first[bin]; at != 0; at = record(at)->next) {
            const Hz3Mapping *m = record(at);
            uint32_t after = hz3_registry_find_freed(m->addr + m->bytes);
            if (m->state != state || m->reserved != 0 || m->prev != before || bin_of(m->bytes) != bin ||
                ++*count > hz3_mappings.used || touches(after, (Hz3MappingState)state)) {
                return false;
            }
            bytes += m->bytes;
            before = at;
        }
        if ((bins->filled[bin / 64] >> (bin % 64) & 1) != (before != 0)) {
            return false;
        }
    }
    return bytes == *sum_of(state);
}

static bool ages_are_valid(uint32_t dirty)
{
    uint32_t before = 0;
    for (uint32_t at = hz3_mappings.oldest; at != 0; at = record(at)->newer) {
        const Hz3Mapping *m = record(at);
        uint32_t age = hz3_mappings.trims - m->trims;
        bool is_younger = before == 0 ? age <= INT32_MAX : age <= hz3_mappings.trims - record(before)->trims;
        if (dirty-- == 0 || m->state != HZ3_MAPPING_DIRTY || m->older != before || !is_younger) {
            return false;
        }
        before = at;
    }
    return dirty == 0 && hz3_mappings.newest == before;
}

bool hz3_mapping_cache_is_valid(void)
{
    uint32_t dirty;
    uint32_t clean;
    return !HZ3_DEBUG || (bins_are_valid(HZ3_MAPPING_DIRTY, &dirty) && bins_are_valid(HZ3_MAPPING_CLEAN, &clean) &&
                          dirty + clean + hz3_mappings.live == hz3_mappings.used && ages_are_valid(dirty));
}
