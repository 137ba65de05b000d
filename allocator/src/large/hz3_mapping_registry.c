#include "large/hz3_mapping_registry.h"

#include <string.h>

#include "base/hz3_log.h"
#include "large/hz3_mapping_cache.h"

Hz3MappingRegistry hz3_mappings = {.lock = HZ3_LOCK_INIT(HZ3_RANK_LEAF)};

#define ENTRIES_PER_RECORD 4u
#define END_KEY 1u // beside an address of a page

static bool is_whole_pages(const Hz3Mapping *m)
{
    return m->addr != 0 && m->bytes != 0 && ((m->addr | m->bytes) & (HZ3_PAGE_SIZE - 1)) == 0;
}

static bool is_freed(const Hz3Mapping *m)
{
    return m->state == HZ3_MAPPING_DIRTY || m->state == HZ3_MAPPING_CLEAN;
}

static uintptr_t end_of(const Hz3Mapping *m)
{
    return m->addr + m->bytes;
}

// --- table -----------------------------------------------------------------------------------------------------------

static uint32_t home_of(uintptr_t key)
{
    return (uint32_t)((key >> (HZ3_PAGE_SHIFT - 1) | (key & END_KEY)) * 0x9E3779B97F4A7C15ull >> 32) &
           (hz3_mappings.table_cap - 1);
}

// The entry with this key, or the empty one where it would stand.
static Hz3MappingKey *entry_for(uintptr_t key)
{
    uint32_t at = home_of(key);
    while (hz3_mappings.table[at].key != 0 && hz3_mappings.table[at].key != key) {
        at = (at + 1) & (hz3_mappings.table_cap - 1);
    }
    return &hz3_mappings.table[at];
}

static uint32_t find(uintptr_t key)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock));
    return hz3_mappings.table != NULL && key != 0 ? entry_for(key)->mapping : 0;
}

static void add_key(uintptr_t key, uint32_t mapping)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock));
    Hz3MappingKey *entry = entry_for(key);
    hz3_assert(entry->key == 0);
    *entry = (Hz3MappingKey){key, mapping};
}

// Backward shift: entries after the gap move up unless that would put them before their home.
static void drop_key(uintptr_t key)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock));
    Hz3MappingKey *table = hz3_mappings.table;
    uint32_t mask = hz3_mappings.table_cap - 1;
    uint32_t gap = (uint32_t)(entry_for(key) - table);
    hz3_assert(table[gap].key == key);
    for (uint32_t at = (gap + 1) & mask; table[at].key != 0; at = (at + 1) & mask) {
        uint32_t home = home_of(table[at].key);
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            table[gap] = table[at];
            gap = at;
        }
    }
    table[gap] = (Hz3MappingKey){0, 0};
    hz3_assert_slow(find(key) == 0);
}

void hz3_registry_add_start(uint32_t at)
{
    add_key(hz3_mappings.mapping[at].addr, at);
}

void hz3_registry_drop_start(uint32_t at)
{
    drop_key(hz3_mappings.mapping[at].addr);
}

void hz3_registry_add_end(uint32_t at)
{
    add_key(end_of(&hz3_mappings.mapping[at]) | END_KEY, at);
}

void hz3_registry_drop_end(uint32_t at)
{
    drop_key(end_of(&hz3_mappings.mapping[at]) | END_KEY);
}

// --- records ---------------------------------------------------------------------------------------------------------

size_t hz3_registry_bytes(uint32_t table_cap)
{
    return table_cap * sizeof(Hz3MappingKey) + table_cap / ENTRIES_PER_RECORD * sizeof(Hz3Mapping);
}

bool hz3_registry_has_room(void)
{
    return hz3_mappings.used + hz3_mappings.promised + 1 < hz3_mappings.table_cap / ENTRIES_PER_RECORD;
}

void *hz3_registry_move_to(void *memory, uint32_t table_cap)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock));
    hz3_assert(table_cap > hz3_mappings.table_cap && (table_cap & (table_cap - 1)) == 0);
    Hz3MappingKey *old = hz3_mappings.table;
    uint32_t old_cap = hz3_mappings.table_cap;
    Hz3MappingKey *table = memory;
    Hz3Mapping *mapping = (Hz3Mapping *)(table + table_cap);
    if (old != NULL) {
        memcpy(mapping, hz3_mappings.mapping, hz3_mappings.touched * sizeof *mapping);
    } else {
        hz3_mappings.touched = 1;
    }
    hz3_mappings.table = table;
    hz3_mappings.mapping = mapping;
    hz3_mappings.table_cap = table_cap;
    for (uint32_t i = 0; i < old_cap; i++) {
        if (old[i].key != 0) {
            add_key(old[i].key, old[i].mapping);
        }
    }
    hz3_assert_slow(hz3_registry_is_valid());
    return old;
}

uint32_t hz3_registry_take_record(void)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock));
    uint32_t at = hz3_mappings.unused;
    if (at != 0) {
        hz3_mappings.unused = hz3_mappings.mapping[at].next;
    } else {
        at = hz3_mappings.touched++;
    }
    hz3_assert(at < hz3_mappings.table_cap / ENTRIES_PER_RECORD);
    hz3_assert(hz3_mappings.mapping[at].state == HZ3_MAPPING_UNUSED);
    hz3_mappings.used++;
    return at;
}

void hz3_registry_drop_record(uint32_t at)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock) && hz3_mappings.used > 0);
    hz3_mappings.mapping[at] = (Hz3Mapping){.state = HZ3_MAPPING_UNUSED, .next = hz3_mappings.unused};
    hz3_mappings.unused = at;
    hz3_mappings.used--;
}

void hz3_registry_count_live(size_t bytes_before, size_t bytes_now)
{
    hz3_assert(hz3_mappings.live_bytes >= bytes_before);
    hz3_mappings.live += (bytes_now != 0) - (uint32_t)(bytes_before != 0);
    hz3_mappings.live_bytes += bytes_now - bytes_before;
    if (hz3_mappings.live_bytes > hz3_mappings.peak_bytes) {
        hz3_mappings.peak_bytes = hz3_mappings.live_bytes;
    }
}

uint32_t hz3_registry_insert(uintptr_t addr, size_t bytes, size_t reserved)
{
    uint32_t at = hz3_registry_take_record();
    hz3_mappings.mapping[at] =
        (Hz3Mapping){.addr = addr, .bytes = bytes, .reserved = reserved, .state = HZ3_MAPPING_LIVE};
    hz3_assert(is_whole_pages(&hz3_mappings.mapping[at]));
    hz3_registry_add_start(at);
    hz3_registry_count_live(0, bytes);
    return at;
}

uint32_t hz3_registry_find(uintptr_t addr)
{
    uint32_t at = (addr & (HZ3_PAGE_SIZE - 1)) == 0 ? find(addr) : 0;
    return at != 0 && hz3_mappings.mapping[at].state == HZ3_MAPPING_LIVE ? at : 0;
}

uint32_t hz3_registry_find_freed(uintptr_t addr)
{
    uint32_t at = find(addr);
    return at != 0 && is_freed(&hz3_mappings.mapping[at]) ? at : 0;
}

uint32_t hz3_registry_find_freed_end(uintptr_t end)
{
    return find(end | END_KEY);
}

Hz3Mapping hz3_registry_remove(uint32_t at)
{
    Hz3Mapping removed = hz3_mappings.mapping[at];
    hz3_assert(removed.state == HZ3_MAPPING_LIVE);
    hz3_registry_drop_start(at);
    hz3_registry_count_live(removed.bytes, 0);
    hz3_registry_drop_record(at);
    return removed;
}

// --- the whole -------------------------------------------------------------------------------------------------------

// Every key leads to the mapping that it is a key of.
static bool table_is_valid(uint32_t *keys)
{
    *keys = 0;
    for (uint32_t i = 0; i < hz3_mappings.table_cap; i++) {
        const Hz3MappingKey *entry = &hz3_mappings.table[i];
        if (entry->key == 0) {
            continue;
        }
        if (entry->mapping == 0 || entry->mapping >= hz3_mappings.touched || entry_for(entry->key) != entry) {
            return false;
        }
        const Hz3Mapping *m = &hz3_mappings.mapping[entry->mapping];
        bool is_end = (entry->key & END_KEY) != 0;
        if (entry->key != (is_end ? end_of(m) | END_KEY : m->addr) || (is_end && !is_freed(m))) {
            return false;
        }
        ++*keys;
    }
    return true;
}

static bool records_are_valid(uint32_t *keys)
{
    uint32_t used = 0;
    uint32_t live = 0;
    size_t live_bytes = 0;
    *keys = 0;
    for (uint32_t at = 1; at < hz3_mappings.touched; at++) {
        const Hz3Mapping *m = &hz3_mappings.mapping[at];
        if (m->state == HZ3_MAPPING_UNUSED) {
            continue;
        }
        if (m->state > HZ3_MAPPING_CLEAN || !is_whole_pages(m) || find(m->addr) != at ||
            (is_freed(m) && hz3_registry_find_freed_end(end_of(m)) != at)) {
            return false;
        }
        used++;
        *keys += is_freed(m) ? 2 : 1;
        live += !is_freed(m);
        live_bytes += is_freed(m) ? 0 : m->bytes;
    }
    return used == hz3_mappings.used && live == hz3_mappings.live && live_bytes == hz3_mappings.live_bytes;
}

bool hz3_registry_is_valid(void)
{
    if (!HZ3_DEBUG || hz3_mappings.table == NULL) {
        return true;
    }
    uint32_t keys;
    uint32_t wanted_keys;
    uint32_t cap = hz3_mappings.table_cap;
    return (cap & (cap - 1)) == 0 && hz3_mappings.used + hz3_mappings.promised < cap / ENTRIES_PER_RECORD &&
           hz3_mappings.touched <= cap / ENTRIES_PER_RECORD && table_is_valid(&keys) &&
           records_are_valid(&wanted_keys) && keys == wanted_keys && hz3_mapping_cache_is_valid();
}
