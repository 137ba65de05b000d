#include "large/hz3_mapping.h"

#include "base/hz3_knobs.h"
#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_stats.h"
#include "large/hz3_harden_guard.h"
#include "large/hz3_mapping_cache.h"
#include "large/hz3_mapping_registry.h"
#include "policy/hz3_mem_budget.h"
#include "policy/hz3_purger.h"

// While fewer mappings live, freed ones go back with their addresses. Else these are kept: each would leave a hole, and
// Linux allows a process 65,530 mappings unless told otherwise.
#define KEEPS_ADDRESSES_FROM 1024u

// Fresh memory that is about to be written under a lock: nobody is to wait there for page faults, too.
static void touch(char *memory, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += HZ3_PAGE_SIZE) {
        *(volatile char *)(memory + at) = 0;
    }
}

// Makes room for one more record. False: no memory for a larger table.
static bool grow_table(void)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    uint32_t cap = hz3_mappings.table_cap;
    bool has_room = hz3_registry_has_room();
    hz3_lock_release(&hz3_mappings.lock);
    if (has_room) {
        return true;
    }
    uint32_t new_cap = cap == 0 ? HZ3_MAPPING_TABLE_MIN : cap * 2;
    size_t bytes = hz3_page_round_up(hz3_registry_bytes(new_cap));
    void *bigger = hz3_os_map(bytes);
    if (bigger == NULL) {
        return false;
    }
    touch(bigger, bytes);
    void *spare = bigger;
    uint32_t spare_cap = new_cap;
    hz3_lock_acquire(&hz3_mappings.lock);
    if (hz3_mappings.table_cap == cap) { // nobody else was faster
        spare = hz3_registry_move_to(bigger, new_cap);
        spare_cap = cap;
    }
    hz3_lock_release(&hz3_mappings.lock);
    if (spare != NULL) {
        hz3_os_unmap(spare, hz3_page_round_up(hz3_registry_bytes(spare_cap)));
    }
    return true;
}

// Takes the lock when there is room for one more record. False: there is none, and no memory for a larger table.
static bool acquire_with_room(void)
{
    for (;;) {
        hz3_lock_acquire(&hz3_mappings.lock);
        if (hz3_registry_has_room()) {
            return true;
        }
        hz3_lock_release(&hz3_mappings.lock);
        if (!grow_table()) {
            return false;
        }
    }
}

static bool promise_room(void)
{
    if (!acquire_with_room()) {
        return false;
    }
    hz3_mappings.promised++;
    hz3_lock_release(&hz3_mappings.lock);
    return true;
}

static void insert_promised(void *p, size_t bytes, size_t reserved)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    hz3_assert(hz3_mappings.promised > 0);
    hz3_mappings.promised--;
    hz3_registry_insert((uintptr_t)p, bytes, reserved);
    size_t open_bytes = hz3_mappings.live_bytes + hz3_mappings.dirty_bytes;
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

// --- give back -------------------------------------------------------------------------------------------------------

static bool purge(const Hz3Mapping *m)
{
    hz3_stat_add(madvise_calls, 1);
    if (!hz3_os_purge((void *)m->addr, m->bytes)) {
        hz3_stat_add(madvise_failures, 1);
        return false;
    }
    return true;
}

// Takes the mapping's memory away and, unless there are too many mappings, its addresses. The caller has taken it out.
// When the kernel refuses both, which it does for a locked one in a process with too many mappings, both are lost.
static void give_back(Hz3Mapping m, bool keep_addresses)
{
    bool is_purged = keep_addresses && (m.state == HZ3_MAPPING_CLEAN || purge(&m));
    if (is_purged || !hz3_os_unmap((void *)m.addr, m.bytes)) {
        is_purged = is_purged || m.state == HZ3_MAPPING_CLEAN || purge(&m);
    } else {
        m.bytes = 0; // unmapped
    }
    hz3_lock_acquire(&hz3_mappings.lock);
    hz3_assert(hz3_mappings.promised > 0);
    hz3_mappings.promised--;
    if (m.bytes != 0 && is_purged) {
        hz3_mapping_cache_put_range(m.addr, m.bytes, HZ3_MAPPING_CLEAN);
    }
    hz3_lock_release(&hz3_mappings.lock);
}

// One at a time: what is in nobody's table while another thread forks is the child's for ever. Returns the bytes.
static size_t give_back_next(Hz3MappingReason reason, size_t bytes_max, size_t growth)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    Hz3Mapping taken = hz3_mapping_cache_take_out(reason, bytes_max, growth);
    bool keep_addresses = hz3_mappings.live >= KEEPS_ADDRESSES_FROM;
    hz3_lock_release(&hz3_mappings.lock);
    if (taken.bytes != 0) {
        give_back(taken, keep_addresses && reason != HZ3_MAPPING_ANY_CLEAN);
    }
    return taken.bytes;
}

// growth: for HZ3_MAPPING_GROWING.
static size_t give_back_some(Hz3MappingReason reason, size_t bytes_max, size_t growth)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    uint32_t tries = hz3_mappings.used; // what others free meanwhile is not ours to wait for
    hz3_lock_release(&hz3_mappings.lock);
    size_t given = 0;
    for (size_t bytes = 1; bytes != 0 && given < bytes_max && tries-- > 0; given += bytes) {
        bytes = give_back_next(reason, bytes_max - given, growth);
    }
    return given;
}

static size_t give_back_all(Hz3MappingReason reason)
{
    return give_back_some(reason, SIZE_MAX, 0);
}

// How much the process may have bounds what is kept. Files are read for it, so not before it matters, and not in a
// process of one thread, which a sandbox might kill for it (hz3_os.h).
static HZ3_NOINLINE void keep_below_limit(void)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    bool is_known = hz3_mappings.memory_limit != 0;
    hz3_lock_release(&hz3_mappings.lock);
    if (!is_known && !hz3_os_is_alone()) {
        size_t bytes = hz3_os_memory_limit();
        hz3_lock_acquire(&hz3_mappings.lock);
        hz3_mappings.memory_limit = bytes;
        hz3_lock_release(&hz3_mappings.lock);
    }
    give_back_all(HZ3_MAPPING_OVER_LIMIT);
}

size_t hz3_mapping_make_room(size_t bytes)
{
    return give_back_some(HZ3_MAPPING_OTHERS_GROW, bytes, 0);
}

size_t hz3_mapping_trim(bool all)
{
    size_t bytes = give_back_all(all ? HZ3_MAPPING_ANY : HZ3_MAPPING_AGED);
    hz3_lock_acquire(&hz3_mappings.lock);
    bool gives_addresses = all && hz3_mappings.clean_bytes != 0 && hz3_mappings.live < KEEPS_ADDRESSES_FROM;
    hz3_mappings.trims++;
    size_t forgotten = hz3_mappings.peak_bytes - hz3_mappings.peak_bytes / 8;
    hz3_mappings.peak_bytes = forgotten > hz3_mappings.live_bytes ? forgotten : hz3_mappings.live_bytes;
    hz3_assert_slow(hz3_registry_is_valid());
    hz3_lock_release(&hz3_mappings.lock);
    if (gives_addresses) {
        give_back_all(HZ3_MAPPING_ANY_CLEAN);
    }
    return bytes >> HZ3_PAGE_SHIFT;
}

// --- entry points ----------------------------------------------------------------------------------------------------

// Before so many fresh bytes are touched, what is dirty and too much goes: first here, then in the arena. growth: what
// will live and is not among the live bytes yet.
static void pay_for(size_t bytes, size_t growth)
{
    give_back_some(HZ3_MAPPING_GROWING, bytes, growth);
    hz3_mem_budget_pay(bytes >> HZ3_PAGE_SHIFT);
}

static void *reuse(size_t bytes, size_t align, bool *is_zero)
{
    hz3_assert(hz3_lock_is_held(&hz3_mappings.lock));
    uint32_t at = hz3_mapping_cache_take(bytes, align, is_zero);
    return at != 0 ? (void *)hz3_mappings.mapping[at].addr : NULL;
}

static void *open_fresh(size_t bytes, size_t align)
{
    pay_for(bytes, bytes);
    void *p = hz3_os_map_aligned(bytes, align);
    if (p == NULL && hz3_mapping_trim(true) + give_back_all(HZ3_MAPPING_ANY_CLEAN) != 0) {
        p = hz3_os_map_aligned(bytes, align);
    }
    if (p == NULL) {
        break_promise();
        return NULL;
    }
    hz3_stat_add(mappings_opened, 1);
    insert_promised(p, bytes, 0);
    return p;
}

void *hz3_mapping_alloc(size_t bytes, size_t align, bool *is_zero)
{
    hz3_assert(bytes != 0 && (bytes & (HZ3_PAGE_SIZE - 1)) == 0 && align != 0 && (align & (align - 1)) == 0);
    if (!acquire_with_room()) {
        return NULL;
    }
    void *p = reuse(bytes, align, is_zero);
    hz3_mappings.promised += p == NULL;
    size_t open_bytes = hz3_mappings.live_bytes + hz3_mappings.dirty_bytes;
    hz3_lock_release(&hz3_mappings.lock);
    if (p == NULL) {
        *is_zero = true;
        return open_fresh(bytes, align);
    }
    if (*is_zero) {
        pay_for(bytes, 0);
    }
    hz3_stat_add(mappings_reused, 1);
    hz3_purger_poll_taken(open_bytes);
    return p;
}

bool hz3_mapping_zero(void *p, size_t bytes)
{
    Hz3Mapping m = {.addr = (uintptr_t)p, .bytes = hz3_page_round_up(bytes)};
    return bytes >= HZ3_ZEROED_BY_KERNEL && purge(&m);
}

void *hz3_mapping_alloc_guarded(size_t bytes, size_t align, size_t reserved)
{
    hz3_assert(reserved >= bytes && (reserved & (HZ3_PAGE_SIZE - 1)) == 0);
    if (!HZ3_HARDENED || !promise_room()) {
        return NULL;
    }
    void *p = hz3_guard_map(bytes, align, reserved);
    if (p == NULL) {
        break_promise();
        return NULL;
    }
    hz3_stat_add(mappings_opened, 1);
    insert_promised(p, bytes, reserved);
    return p;
}

bool hz3_mapping_grow_guarded(void *p, size_t bytes)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    uint32_t at = hz3_registry_find((uintptr_t)p);
    Hz3Mapping old = at != 0 ? hz3_mappings.mapping[at] : (Hz3Mapping){.bytes = 0};
    hz3_lock_release(&hz3_mappings.lock);
    if (!HZ3_HARDENED || bytes > old.reserved || bytes <= old.bytes ||
        !hz3_os_commit((char *)p + old.bytes, bytes - old.bytes)) {
        return false;
    }
    hz3_lock_acquire(&hz3_mappings.lock);
    at = hz3_registry_find((uintptr_t)p); // the table may have moved
    hz3_mappings.mapping[at].bytes = bytes;
    hz3_registry_count_live(old.bytes, bytes);
    hz3_lock_release(&hz3_mappings.lock);
    return true;
}

bool hz3_mapping_free(void *p)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    uint32_t at = hz3_registry_find((uintptr_t)p);
    Hz3Mapping freed = at != 0 ? hz3_mappings.mapping[at] : (Hz3Mapping){.bytes = 0};
    if (HZ3_HARDENED && freed.reserved != 0) {
        hz3_registry_remove(at);
    } else if (at != 0) {
        hz3_mapping_cache_put(at);
    }
    bool is_over = hz3_mapping_cache_is_over_limit();
    hz3_lock_release(&hz3_mappings.lock);
    if (HZ3_HARDENED && freed.reserved != 0) {
        hz3_guard_unmap(p, freed.reserved);
    } else if (freed.bytes != 0) {
        if (is_over) {
            keep_below_limit();
        }
        hz3_purger_poll_freed();
    }
    return freed.bytes != 0;
}

size_t hz3_mapping_size(const void *p)
{
    size_t bytes = 0;
    size_t asked;
    hz3_mapping_find(p, &bytes, &asked);
    return bytes;
}

bool hz3_mapping_find(const void *p, size_t *bytes, size_t *asked)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    uint32_t at = hz3_registry_find((uintptr_t)p);
    if (at != 0) {
        *bytes = hz3_mappings.mapping[at].bytes;
        *asked = hz3_mappings.mapping[at].asked;
    }
    hz3_lock_release(&hz3_mappings.lock);
    return at != 0;
}

void hz3_mapping_set_asked(const void *p, size_t asked)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    uint32_t at = hz3_registry_find((uintptr_t)p);
    if (at != 0) {
        hz3_mappings.mapping[at].asked = asked;
    }
    hz3_lock_release(&hz3_mappings.lock);
}

// For messages: the caller is about to end the program.
bool hz3_mapping_is_freed(const void *p)
{
    bool is_freed = false;
    hz3_lock_acquire(&hz3_mappings.lock);
    for (uint32_t at = 1; at < hz3_mappings.touched; at++) {
        const Hz3Mapping *m = &hz3_mappings.mapping[at];
        is_freed |= m->state > HZ3_MAPPING_LIVE && (uintptr_t)p - m->addr < m->bytes;
    }
    hz3_lock_release(&hz3_mappings.lock);
    return is_freed || (HZ3_HARDENED && hz3_guard_is_sealed(p));
}

// In place: what is cut off is freed, what is behind is taken if it is free. False: it must be moved.
static bool resize_in_place(void *p, size_t bytes)
{
    if (!acquire_with_room()) {
        return false;
    }
    uint32_t at = hz3_registry_find((uintptr_t)p);
    size_t before = at != 0 ? hz3_mappings.mapping[at].bytes : 0;
    bool is_done = before == bytes;
    if (before > bytes) {
        hz3_mapping_cache_shrink(at, bytes);
        is_done = true;
    } else if (before != 0 && before < bytes) {
        is_done = hz3_mapping_cache_grow(at, bytes);
    }
    bool is_over = hz3_mapping_cache_is_over_limit();
    hz3_lock_release(&hz3_mappings.lock);
    hz3_require(before != 0, "realloc", p, "not a live block of this heap");
    if (before > bytes) {
        if (is_over) {
            keep_below_limit();
        }
        hz3_purger_poll_freed();
    }
    return is_done;
}

// Out of the table while the kernel moves it: the old address may become somebody else's mapping before we are back.
void *hz3_mapping_resize(void *p, size_t new_bytes)
{
    if (resize_in_place(p, new_bytes)) {
        return p;
    }
    hz3_lock_acquire(&hz3_mappings.lock);
    uint32_t at = hz3_registry_find((uintptr_t)p);
    Hz3Mapping old = at != 0 ? hz3_registry_remove(at) : (Hz3Mapping){.bytes = 0};
    hz3_mappings.promised += at != 0;
    hz3_lock_release(&hz3_mappings.lock);
    hz3_require(old.bytes != 0, "realloc", p, "not a live block of this heap");
    if (new_bytes > old.bytes) {
        pay_for(new_bytes - old.bytes, new_bytes);
    }
    void *moved = hz3_os_remap(p, old.bytes, new_bytes);
    insert_promised(moved != NULL ? moved : p, moved != NULL ? new_bytes : old.bytes, 0);
    return moved;
}

Hz3MappingFigures hz3_mapping_figures(void)
{
    hz3_lock_acquire(&hz3_mappings.lock);
    Hz3MappingFigures figures = {hz3_mappings.live, hz3_mappings.live_bytes, hz3_mappings.dirty_bytes,
                                 hz3_mappings.clean_bytes};
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
