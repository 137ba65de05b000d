#include "large/hz3_mapping_registry.h"

#include <string.h>

#include "base/hz3_knobs.h"
#include "base/hz3_log.h"

Hz3MappingRegistry hz3_mappings = {.lock = HZ3_LOCK_INIT(HZ3_RANK_LEAF)};

static bool is_whole_pages(const Hz3Mapping *m)
{
    return m->addr != 0 && m->bytes != 0 && ((m->addr | m->bytes) & (HZ3_PAGE_SIZE - 1)) == 0;
}

// --- table -------------------------------------------------------------------------------------------------------

static uint32_t home_of(uintptr_t addr)
{
    return (uint32_t)((addr >> HZ3_PAGE_SHIFT) * 0x9E3779B97F4A7C15ull >> 32) & (hz3_mappings.table_cap - 1);
}

// A search for the entry ends at it.
static bool can_be_found(uint32_t at)
{
    const Hz3Mapping *entry = &hz3_mappings.table[at];
    return is_whole_pages(entry) && hz3_registry_find(entry->addr) == entry;
}

// Of the entries from `at` to the next gap.
static bool cluster_can_be_found(uint32_t at)
{
    uint32_t mask = hz3_mappings.table_cap - 1;
    for (at &= mask; hz3_mappings.table[at].addr != 0; at = (at + 1) & mask) {
        if (!can_be_found(at)) {
            return false;
        }
    }
    return true;
}

bool hz3_registry_has_room(void)
{
    return (hz3_mappings.live + hz3_mappings.promised + 1) * 2 <= hz3_mappings.table_cap;
}

static uint32_t place_for(uintptr_t addr)
{
    uint32_t at = home_of(addr);
    while (hz3_mappings.table[at].addr != 0) {
        at = (at + 1) & (hz3_mappings.table_cap - 1);
    }
    return at;
}

Hz3Mapping *hz3_registry_move_to(Hz3Mapping *table, uint32_t cap)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock));
    hz3_assert(cap > hz3_mappings.table_cap && (cap & (cap - 1)) == 0);
    Hz3Mapping *old = hz3_mappings.table;
    uint32_t old_cap = hz3_mappings.table_cap;
    hz3_mappings.table = table;
    hz3_mappings.table_cap = cap;
    for (uint32_t i = 0; i < old_cap; i++) {
        if (old[i].addr != 0) {
            table[place_for(old[i].addr)] = old[i];
        }
    }
    hz3_assert_slow(hz3_registry_is_valid());
    return old;
}

void hz3_registry_insert(Hz3Mapping mapping)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock));
    hz3_assert(is_whole_pages(&mapping) && hz3_mappings.live * 2 < hz3_mappings.table_cap);
    uint32_t at = place_for(mapping.addr);
    hz3_mappings.table[at] = mapping;
    hz3_mappings.live++;
    hz3_mappings.live_bytes += mapping.bytes;
    hz3_assert_slow(can_be_found(at));
}

Hz3Mapping *hz3_registry_find(uintptr_t addr)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock));
    if (hz3_mappings.table == NULL || addr == 0) {
        return NULL;
    }
    uint32_t at = home_of(addr);
    while (hz3_mappings.table[at].addr != 0) {
        if (hz3_mappings.table[at].addr == addr) {
            return &hz3_mappings.table[at];
        }
        at = (at + 1) & (hz3_mappings.table_cap - 1);
    }
    return NULL;
}

// Backward shift: entries after the gap move up unless that would put them before their home.
Hz3Mapping hz3_registry_remove(Hz3Mapping *entry)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock));
    hz3_assert(entry->addr != 0 && hz3_mappings.live > 0 && hz3_mappings.live_bytes >= entry->bytes);
    Hz3Mapping removed = *entry;
    uint32_t mask = hz3_mappings.table_cap - 1;
    uint32_t was_at = (uint32_t)(entry - hz3_mappings.table);
    uint32_t gap = was_at;
    for (uint32_t at = (gap + 1) & mask; hz3_mappings.table[at].addr != 0; at = (at + 1) & mask) {
        uint32_t home = home_of(hz3_mappings.table[at].addr);
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            hz3_mappings.table[gap] = hz3_mappings.table[at];
            gap = at;
        }
    }
    hz3_mappings.table[gap].addr = 0;
    hz3_mappings.live--;
    hz3_mappings.live_bytes -= removed.bytes;
    hz3_assert_slow(hz3_registry_find(removed.addr) == NULL);
    hz3_assert_slow(cluster_can_be_found(was_at) && cluster_can_be_found(gap + 1));
    return removed;
}

// --- cache -------------------------------------------------------------------------------------------------------

// Every one is as many bytes as are said, and none touches or overlaps another.
static bool cache_is_valid(void)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < hz3_mappings.cached; i++) {
        const Hz3Mapping *m = &hz3_mappings.cache[i];
        if (!is_whole_pages(m) || m->is_guarded) {
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            const Hz3Mapping *other = &hz3_mappings.cache[k];
            if (m->addr <= other->addr + other->bytes && other->addr <= m->addr + m->bytes) {
                return false;
            }
        }
        bytes += m->bytes;
    }
    return bytes == hz3_mappings.cached_bytes && hz3_mappings.unused_since_trim <= hz3_mappings.cached;
}

static Hz3Mapping take_at(uint32_t i)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock));
    hz3_assert(i < hz3_mappings.cached);
    Hz3Mapping taken = hz3_mappings.cache[i];
    hz3_mappings.cached--;
    hz3_mappings.cached_bytes -= taken.bytes;
    hz3_mappings.unused_since_trim -= i < hz3_mappings.unused_since_trim;
    memmove(&hz3_mappings.cache[i], &hz3_mappings.cache[i + 1], (hz3_mappings.cached - i) * sizeof taken);
    return taken;
}

Hz3Mapping hz3_registry_take_best(size_t bytes, size_t align)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock));
    uint32_t best = HZ3_MAPPING_CACHE_MAX;
    for (uint32_t i = 0; i < hz3_mappings.cached; i++) {
        const Hz3Mapping *m = &hz3_mappings.cache[i];
        if (m->bytes >= bytes && (m->addr & (align - 1)) == 0 &&
            (best == HZ3_MAPPING_CACHE_MAX || m->bytes < hz3_mappings.cache[best].bytes)) {
            best = i;
        }
    }
    if (best == HZ3_MAPPING_CACHE_MAX) {
        return (Hz3Mapping){.addr = 0};
    }
    Hz3Mapping *m = &hz3_mappings.cache[best];
    if (m->bytes <= bytes + bytes / 8) {
        return take_at(best);
    }
    Hz3Mapping head = {.addr = m->addr, .bytes = bytes};
    *m = (Hz3Mapping){.addr = m->addr + bytes, .bytes = m->bytes - bytes};
    hz3_mappings.cached_bytes -= bytes;
    hz3_assert_slow(cache_is_valid());
    return head;
}

Hz3Mapping hz3_registry_take_aged(bool all)
{
    uint32_t aged = all ? hz3_mappings.cached : hz3_mappings.unused_since_trim;
    return aged != 0 ? take_at(0) : (Hz3Mapping){.bytes = 0};
}

// Takes the neighbours of a freed mapping out of the cache: one large mapping serves more requests than its parts.
static Hz3Mapping merge(Hz3Mapping freed)
{
    for (uint32_t i = hz3_mappings.cached; i-- > 0;) {
        const Hz3Mapping m = hz3_mappings.cache[i];
        if (m.addr + m.bytes == freed.addr || freed.addr + freed.bytes == m.addr) {
            take_at(i);
            freed = (Hz3Mapping){.addr = m.addr < freed.addr ? m.addr : freed.addr, .bytes = freed.bytes + m.bytes};
        }
    }
    return freed;
}

void hz3_registry_put(Hz3Mapping freed)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock));
    hz3_assert(is_whole_pages(&freed) && !freed.is_guarded && hz3_mappings.cached <= HZ3_MAPPING_CACHE_MAX);
    freed = merge(freed);
    hz3_mappings.cache[hz3_mappings.cached++] = freed;
    hz3_mappings.cached_bytes += freed.bytes;
    hz3_assert_slow(cache_is_valid());
}

Hz3Mapping hz3_registry_evict(void)
{
    bool is_over =
        hz3_mappings.cached > HZ3_MAPPING_CACHE_MAX || hz3_mappings.cached_bytes > hz3_knobs.MAPPED_CACHE_BYTES;
    return is_over ? take_at(0) : (Hz3Mapping){.bytes = 0};
}

// --- the whole ---------------------------------------------------------------------------------------------------

static bool table_is_valid(void)
{
    uint32_t cap = hz3_mappings.table_cap;
    if ((cap & (cap - 1)) != 0 || (hz3_mappings.live + hz3_mappings.promised) * 2 > cap) {
        return false;
    }
    uint32_t live = 0;
    size_t bytes = 0;
    for (uint32_t at = 0; at < cap; at++) {
        const Hz3Mapping *entry = &hz3_mappings.table[at];
        if (entry->addr != 0) {
            if (!can_be_found(at)) {
                return false;
            }
            live++;
            bytes += entry->bytes;
        }
    }
    return live == hz3_mappings.live && bytes == hz3_mappings.live_bytes;
}

bool hz3_registry_is_valid(void)
{
    if (!HZ3_DEBUG) {
        return true;
    }
    for (uint32_t i = 0; i < hz3_mappings.cached; i++) {
        if (hz3_registry_find(hz3_mappings.cache[i].addr) != NULL) {
            return false;
        }
    }
    return hz3_mappings.cached <= HZ3_MAPPING_CACHE_MAX && table_is_valid() && cache_is_valid();
}
