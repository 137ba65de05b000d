#include "large/hz3_mapping.h"

#include "base/hz3_knobs.h"
#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_stats.h"
#include "large/hz3_harden_guard.h"
#include "large/hz3_mapping_registry.h"
#include "policy/hz3_purger.h"

#define TABLE_MIN 256u

// Promises room for one insert, growing the table if it must. False: no memory for a larger table.
static bool promise_room(void)
{
    for (;;) {
        hz3_lock_acquire(&hz3_mappings.lock);
        uint32_t cap = hz3_mappings.table_cap;
        bool has_room = hz3_registry_has_room();
        hz3_mappings.promised += has_room;
        hz3_lock_release(&hz3_mappings.lock);
        if (has_room) {
            return true;
        }
        uint32_t new_cap = cap == 0 ? TABLE_MIN : cap * 2;
        Hz3Mapping *bigger = hz3_os_map(new_cap * sizeof *bigger);
        if (bigger == NULL) {
            return false;
        }
        Hz3Mapping *spare = bigger;
        uint32_t spare_cap = new_cap;
        hz3_lock_acquire(&hz3_mappings.lock);
        if (hz3_mappings.table_cap == cap) { // nobody else was faster
            spare = hz3_registry_move_to(bigger, new_cap);
            spare_cap = cap;
        }
        hz3_lock_release(&hz3_mappings.lock);
        if (spare != NULL) {
            hz3_os_unmap(spare, spare_cap * sizeof *spare);
        }
    }
}

static void insert_promised(void *p, size_t bytes, bool is_guarded)
{
    Hz3Mapping mapping = {.addr = (uintptr_t)p, .bytes = bytes, .is_guarded = is_guarded};
    hz3_lock_acquire(&hz3_mappings.lock);
    hz3_assert(hz3_mappings.promised > 0);
    hz3_registry_insert(mapping);
    hz3_mappings.promised--;
    size_t open_bytes = hz3_mappings.live_bytes + hz3_mappings.cached_bytes;
    hz3_lock_release(&hz3_mappings.lock);
    hz3_purger_poll_taken(open_bytes);
}

static void break_promise(void)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    hz3_assert(hz3_mappings.promised > 0);
    hz3_mappings.promised--;
    hz3_lock_release(&hz3_mappings.lock);
}

// Takes a live mapping out of the table. bytes = 0: there is none at p.
static Hz3Mapping take_live(const void *p, bool promise_return)
{
    Hz3Mapping found = {.addr = 0};
    hz3_lock_acquire(&hz3_mappings.lock);
    Hz3Mapping *entry = hz3_registry_find((uintptr_t)p);
    if (entry != NULL) {
        found = hz3_registry_remove(entry);
        hz3_mappings.promised += promise_return;
    }
    hz3_lock_release(&hz3_mappings.lock);
    return found;
}

static void unmap(Hz3Mapping m)
{
    if (!hz3_os_unmap((void *)m.addr, m.bytes)) {
        // The process has too many mappings to split one more: the addresses are lost, the memory is not.
        hz3_os_purge((void *)m.addr, m.bytes);
    }
}

// --- entry points ------------------------------------------------------------------------------------------------

void *hz3_mapping_alloc(size_t bytes, size_t align, bool *is_zero)
{
    hz3_assert(bytes != 0 && (bytes & (HZ3_PAGE_SIZE - 1)) == 0 && align != 0 && (align & (align - 1)) == 0);
    if (!promise_room()) {
        return NULL;
    }
    hz3_lock_acquire(&hz3_mappings.lock);
    Hz3Mapping reused = hz3_registry_take_best(bytes, align);
    hz3_lock_release(&hz3_mappings.lock);
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
    Hz3Mapping freed = take_live(p, false);
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
    hz3_lock_acquire(&hz3_mappings.lock);
    hz3_registry_put(freed);
    Hz3Mapping evicted = hz3_registry_evict();
    hz3_lock_release(&hz3_mappings.lock);
    while (evicted.bytes != 0) { // one at a time, as in a trim
        unmap(evicted);
        hz3_lock_acquire(&hz3_mappings.lock);
        evicted = hz3_registry_evict();
        hz3_lock_release(&hz3_mappings.lock);
    }
    hz3_purger_poll_freed();
    return true;
}

size_t hz3_mapping_size(const void *p)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    Hz3Mapping *entry = hz3_registry_find((uintptr_t)p);
    size_t bytes = entry != NULL ? entry->bytes : 0;
    hz3_lock_release(&hz3_mappings.lock);
    return bytes;
}

bool hz3_mapping_find(const void *p, size_t *bytes, size_t *asked)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    Hz3Mapping *entry = hz3_registry_find((uintptr_t)p);
    bool is_live = entry != NULL;
    if (is_live) {
        *bytes = entry->bytes;
        *asked = entry->asked;
    }
    hz3_lock_release(&hz3_mappings.lock);
    return is_live;
}

void hz3_mapping_set_asked(const void *p, size_t asked)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    Hz3Mapping *entry = hz3_registry_find((uintptr_t)p);
    if (entry != NULL) {
        entry->asked = asked;
    }
    hz3_lock_release(&hz3_mappings.lock);
}

bool hz3_mapping_is_freed(const void *p)
{
    bool is_freed = false;
    hz3_lock_acquire(&hz3_mappings.lock);
    for (uint32_t i = 0; i < hz3_mappings.cached; i++) {
        is_freed |= (uintptr_t)p - hz3_mappings.cache[i].addr < hz3_mappings.cache[i].bytes;
    }
    hz3_lock_release(&hz3_mappings.lock);
    return is_freed || (HZ3_HARDENED && hz3_guard_is_sealed(p));
}

// Out of the table while the kernel moves it: the old address may become somebody else's mapping before we are back.
void *hz3_mapping_resize(void *p, size_t new_bytes)
{
    Hz3Mapping old = take_live(p, true);
    hz3_require(old.bytes != 0, "realloc", p, "not a live block of this heap");
    void *moved = hz3_os_remap(p, old.bytes, new_bytes);
    insert_promised(moved != NULL ? moved : p, moved != NULL ? new_bytes : old.bytes, false);
    return moved;
}

static Hz3Mapping take_aged(bool all)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    Hz3Mapping aged = hz3_registry_take_aged(all);
    hz3_lock_release(&hz3_mappings.lock);
    return aged;
}

// One at a time: what is in nobody's table while another thread forks is the child's for ever.
size_t hz3_mapping_trim(bool all)
{
    size_t bytes = 0;
    for (uint32_t n = 0; n < HZ3_MAPPING_CACHE_MAX; n++) {
        Hz3Mapping aged = take_aged(all);
        if (aged.bytes == 0) {
            break;
        }
        unmap(aged);
        bytes += aged.bytes;
    }
    hz3_lock_acquire(&hz3_mappings.lock);
    hz3_mappings.unused_since_trim = hz3_mappings.cached;
    hz3_assert_slow(hz3_registry_is_valid());
    hz3_lock_release(&hz3_mappings.lock);
    return bytes >> HZ3_PAGE_SHIFT;
}

Hz3MappingFigures hz3_mapping_figures(void)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    Hz3MappingFigures figures = {hz3_mappings.live, hz3_mappings.live_bytes, hz3_mappings.cached_bytes};
    hz3_lock_release(&hz3_mappings.lock);
    return figures;
}

bool hz3_mapping_fork_prepare(void)
{
    return hz3_lock_fork_prepare(&hz3_mappings.lock);
}

void hz3_mapping_fork_parent(void)
{
    hz3_lock_fork_parent(&hz3_mappings.lock);
}

void hz3_mapping_fork_child(void)
{
    hz3_lock_fork_child(&hz3_mappings.lock);
}
