#include "large/hz3_mapping.h"

#include <string.h>

#include "base/hz3_knobs.h"
#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_stats.h"
#include "large/hz3_harden_guard.h"
#include "policy/hz3_purger.h"

#define CACHE_MAX 64u
#define TABLE_MIN 256u

typedef struct Mapping {
    uintptr_t addr; // 0: empty entry of the table
    size_t bytes;
    size_t asked;    // hardened lane: the bytes that the program asked for
    bool is_guarded; // hardened lane: between pages without access, and so never in the cache
} Mapping;

// Live mappings: open addressing, linear probing, never more than half full. Freed ones: oldest first.
static struct {
    Hz3Lock lock;
    Mapping *table;
    uint32_t table_cap; // a power of two
    uint32_t live;      // entries in the table
    uint32_t promised;  // entries that a thread will insert without being able to fail
    size_t live_bytes;
    uint32_t cached;
    uint32_t unused_since_trim; // the first n of the cache were there at the last trim
    size_t cached_bytes;
    Mapping cache[CACHE_MAX + 1]; // one too many between a put and the eviction after it
} registry = {.lock = HZ3_LOCK_INIT(HZ3_RANK_LEAF)};

// --- table; all under the lock -----------------------------------------------------------------------------------

static uint32_t home_of(uintptr_t addr, uint32_t cap)
{
    return (uint32_t)((addr >> HZ3_PAGE_SHIFT) * 0x9E3779B97F4A7C15ull >> 32) & (cap - 1);
}

static void table_insert(Mapping *table, uint32_t cap, Mapping mapping)
{
    uint32_t at = home_of(mapping.addr, cap);
    while (table[at].addr != 0) {
        at = (at + 1) & (cap - 1);
    }
    table[at] = mapping;
}

static Mapping *table_find(uintptr_t addr)
{
    if (registry.table == NULL || addr == 0) {
        return NULL;
    }
    uint32_t at = home_of(addr, registry.table_cap);
    while (registry.table[at].addr != 0) {
        if (registry.table[at].addr == addr) {
            return &registry.table[at];
        }
        at = (at + 1) & (registry.table_cap - 1);
    }
    return NULL;
}

// Backward shift: entries behind the gap move up unless that would put them before their home.
static void table_remove(Mapping *entry)
{
    uint32_t mask = registry.table_cap - 1;
    uint32_t gap = (uint32_t)(entry - registry.table);
    for (uint32_t at = (gap + 1) & mask; registry.table[at].addr != 0; at = (at + 1) & mask) {
        uint32_t home = home_of(registry.table[at].addr, registry.table_cap);
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            registry.table[gap] = registry.table[at];
            gap = at;
        }
    }
    registry.table[gap].addr = 0;
}

// Promises room for one insert, growing the table if it must. False: no memory for a larger table.
static bool promise_room(void)
{
    for (;;) {
        hz3_lock_acquire(&registry.lock);
        uint32_t cap = registry.table_cap;
        bool has_room = (registry.live + registry.promised + 1) * 2 <= cap;
        registry.promised += has_room;
        hz3_lock_release(&registry.lock);
        if (has_room) {
            return true;
        }
        uint32_t new_cap = cap == 0 ? TABLE_MIN : cap * 2;
        Mapping *bigger = hz3_os_map(new_cap * sizeof *bigger);
        if (bigger == NULL) {
            return false;
        }
        Mapping *spare = bigger;
        uint32_t spare_cap = new_cap;
        hz3_lock_acquire(&registry.lock);
        if (registry.table_cap == cap) { // nobody else was faster
            for (uint32_t i = 0; i < cap; i++) {
                if (registry.table[i].addr != 0) {
                    table_insert(bigger, new_cap, registry.table[i]);
                }
            }
            spare = registry.table;
            spare_cap = cap;
            registry.table = bigger;
            registry.table_cap = new_cap;
        }
        hz3_lock_release(&registry.lock);
        if (spare != NULL) {
            hz3_os_unmap(spare, spare_cap * sizeof *spare);
        }
    }
}

static void insert_promised(void *p, size_t bytes, bool is_guarded)
{
    Mapping mapping = {.addr = (uintptr_t)p, .bytes = bytes, .is_guarded = is_guarded};
    hz3_lock_acquire(&registry.lock);
    table_insert(registry.table, registry.table_cap, mapping);
    registry.promised--;
    registry.live++;
    registry.live_bytes += bytes;
    size_t open_bytes = registry.live_bytes + registry.cached_bytes;
    hz3_lock_release(&registry.lock);
    hz3_purger_poll_taken(open_bytes);
}

static void break_promise(void)
{
    hz3_lock_acquire(&registry.lock);
    registry.promised--;
    hz3_lock_release(&registry.lock);
}

// Takes a live mapping out of the table. bytes = 0: there is none at p.
static Mapping take_live(const void *p, bool promise_return)
{
    Mapping found = {.addr = 0};
    hz3_lock_acquire(&registry.lock);
    Mapping *entry = table_find((uintptr_t)p);
    if (entry != NULL) {
        found = *entry;
        table_remove(entry);
        registry.live--;
        registry.live_bytes -= found.bytes;
        registry.promised += promise_return;
    }
    hz3_lock_release(&registry.lock);
    return found;
}

// --- cache; all under the lock -----------------------------------------------------------------------------------

static Mapping cache_take_at(uint32_t i)
{
    Mapping taken = registry.cache[i];
    registry.cached--;
    registry.cached_bytes -= taken.bytes;
    registry.unused_since_trim -= i < registry.unused_since_trim;
    memmove(&registry.cache[i], &registry.cache[i + 1], (registry.cached - i) * sizeof registry.cache[0]);
    return taken;
}

// The smallest that is enough. Of one that is too large by more than an eighth the rest stays, as old as it is: pages
// that are there already cost less than new ones (1.5 us each), and what is not used again ages.
static Mapping cache_take_best(size_t bytes, size_t align)
{
    uint32_t best = CACHE_MAX;
    for (uint32_t i = 0; i < registry.cached; i++) {
        const Mapping *m = &registry.cache[i];
        if (m->bytes >= bytes && (m->addr & (align - 1)) == 0 &&
            (best == CACHE_MAX || m->bytes < registry.cache[best].bytes)) {
            best = i;
        }
    }
    if (best == CACHE_MAX) {
        return (Mapping){.addr = 0};
    }
    Mapping *m = &registry.cache[best];
    if (m->bytes <= bytes + bytes / 8) {
        return cache_take_at(best);
    }
    Mapping head = {.addr = m->addr, .bytes = bytes};
    *m = (Mapping){.addr = m->addr + bytes, .bytes = m->bytes - bytes};
    registry.cached_bytes -= bytes;
    return head;
}

// Takes the neighbours of a freed mapping out of the cache: one large mapping serves more requests than its parts.
static Mapping cache_merge(Mapping freed)
{
    for (uint32_t i = registry.cached; i-- > 0;) {
        const Mapping m = registry.cache[i];
        if (m.addr + m.bytes == freed.addr || freed.addr + freed.bytes == m.addr) {
            cache_take_at(i);
            freed = (Mapping){.addr = m.addr < freed.addr ? m.addr : freed.addr, .bytes = freed.bytes + m.bytes};
        }
    }
    return freed;
}

static void cache_put(Mapping freed)
{
    freed = cache_merge(freed);
    registry.cache[registry.cached++] = freed;
    registry.cached_bytes += freed.bytes;
}

// The oldest, if there are too many or too large ones; else bytes = 0.
static Mapping cache_evict(void)
{
    bool is_over = registry.cached > CACHE_MAX || registry.cached_bytes > hz3_knobs.MAPPED_CACHE_BYTES;
    return is_over ? cache_take_at(0) : (Mapping){.bytes = 0};
}

static void unmap(Mapping m)
{
    if (!hz3_os_unmap((void *)m.addr, m.bytes)) {
        // The process has too many mappings to split one more: the addresses are lost, the memory is not.
        hz3_os_purge((void *)m.addr, m.bytes);
    }
}

// --- entry points ------------------------------------------------------------------------------------------------

void *hz3_mapping_alloc(size_t bytes, size_t align, bool *is_zero)
{
    if (!promise_room()) {
        return NULL;
    }
    hz3_lock_acquire(&registry.lock);
    Mapping reused = cache_take_best(bytes, align);
    hz3_lock_release(&registry.lock);
    if (reused.bytes != 0) {
        *is_zero = false;
        hz3_stat_add(mappings_reused, 1);
        insert_promised((void *)reused.addr, reused.bytes, false);
        return (void *)reused.addr;
    }
    void *p = hz3_os_map_aligned(bytes, align);
    if (p == NULL && hz3_mapping_trim(true) != 0) {
        p = hz3_os_map_aligned(bytes, align);
    }
    if (p == NULL) {
        break_promise();
        return NULL;
    }
    *is_zero = true;
    hz3_stat_add(mappings_opened, 1);
    insert_promised(p, bytes, false);
    return p;
}

void *hz3_mapping_alloc_guarded(size_t bytes, size_t align)
{
    if (!HZ3_HARDENED || !promise_room()) {
        return NULL;
    }
    void *p = hz3_guard_map(bytes, align);
    if (p == NULL) {
        break_promise();
        return NULL;
    }
    hz3_stat_add(mappings_opened, 1);
    insert_promised(p, bytes, true);
    return p;
}

bool hz3_mapping_free(void *p)
{
    Mapping freed = take_live(p, false);
    if (freed.bytes == 0) {
        return false;
    }
    if (HZ3_HARDENED && freed.is_guarded) {
        hz3_guard_unmap(p, freed.bytes);
        return true;
    }
    if (freed.bytes > hz3_knobs.MAPPED_CACHE_BYTES) {
        unmap(freed);
        return true;
    }
    hz3_lock_acquire(&registry.lock);
    cache_put(freed);
    Mapping evicted = cache_evict();
    hz3_lock_release(&registry.lock);
    while (evicted.bytes != 0) { // one at a time, as in a trim
        unmap(evicted);
        hz3_lock_acquire(&registry.lock);
        evicted = cache_evict();
        hz3_lock_release(&registry.lock);
    }
    hz3_purger_poll_freed();
    return true;
}

size_t hz3_mapping_size(const void *p)
{
    hz3_lock_acquire(&registry.lock);
    Mapping *entry = table_find((uintptr_t)p);
    size_t bytes = entry != NULL ? entry->bytes : 0;
    hz3_lock_release(&registry.lock);
    return bytes;
}

bool hz3_mapping_find(const void *p, size_t *bytes, size_t *asked)
{
    hz3_lock_acquire(&registry.lock);
    Mapping *entry = table_find((uintptr_t)p);
    bool is_live = entry != NULL;
    if (is_live) {
        *bytes = entry->bytes;
        *asked = entry->asked;
    }
    hz3_lock_release(&registry.lock);
    return is_live;
}

void hz3_mapping_set_asked(const void *p, size_t asked)
{
    hz3_lock_acquire(&registry.lock);
    Mapping *entry = table_find((uintptr_t)p);
    if (entry != NULL) {
        entry->asked = asked;
    }
    hz3_lock_release(&registry.lock);
}

bool hz3_mapping_is_freed(const void *p)
{
    bool is_freed = false;
    hz3_lock_acquire(&registry.lock);
    for (uint32_t i = 0; i < registry.cached; i++) {
        is_freed |= (uintptr_t)p - registry.cache[i].addr < registry.cache[i].bytes;
    }
    hz3_lock_release(&registry.lock);
    return is_freed || (HZ3_HARDENED && hz3_guard_is_sealed(p));
}

// Out of the table while the kernel moves it: the old address may become somebody else's mapping before we are back.
void *hz3_mapping_resize(void *p, size_t new_bytes)
{
    Mapping old = take_live(p, true);
    hz3_require(old.bytes != 0, "realloc", p, "not a live block of this heap");
    void *moved = hz3_os_remap(p, old.bytes, new_bytes);
    insert_promised(moved != NULL ? moved : p, moved != NULL ? new_bytes : old.bytes, false);
    return moved;
}

// The oldest, or bytes = 0.
static Mapping take_aged(bool all)
{
    Mapping aged = {.bytes = 0};
    hz3_lock_acquire(&registry.lock);
    if ((all ? registry.cached : registry.unused_since_trim) != 0) {
        aged = cache_take_at(0);
    }
    hz3_lock_release(&registry.lock);
    return aged;
}

// One at a time: what is in nobody's table while another thread forks is the child's for ever.
size_t hz3_mapping_trim(bool all)
{
    size_t bytes = 0;
    for (uint32_t n = 0; n < CACHE_MAX; n++) {
        Mapping aged = take_aged(all);
        if (aged.bytes == 0) {
            break;
        }
        unmap(aged);
        bytes += aged.bytes;
    }
    hz3_lock_acquire(&registry.lock);
    registry.unused_since_trim = registry.cached;
    hz3_lock_release(&registry.lock);
    return bytes >> HZ3_PAGE_SHIFT;
}

Hz3MappingFigures hz3_mapping_figures(void)
{
    hz3_lock_acquire(&registry.lock);
    Hz3MappingFigures figures = {registry.live, registry.live_bytes, registry.cached_bytes};
    hz3_lock_release(&registry.lock);
    return figures;
}

bool hz3_mapping_fork_prepare(void)
{
    return hz3_lock_fork_prepare(&registry.lock);
}

void hz3_mapping_fork_parent(void)
{
    hz3_lock_fork_parent(&registry.lock);
}

void hz3_mapping_fork_child(void)
{
    hz3_lock_fork_child(&registry.lock);
}
