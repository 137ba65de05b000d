#include "front/hz3_slab.h"

#include <string.h>

#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_size_class.h"
#include "middle/hz3_central.h"
#include "pages/hz3_arena.h"

// A bin starts with room for this many, so that a class that is used rarely caches little.
#define CAP_START 16u
#define SCANS_IDLE 2u

static void *no_slot[1];
#define NO_SLOTS [0 ... HZ3_TAG_COUNT - 1] = no_slot
#define ALWAYS_MISS                                                                                                    \
    {                                                                                                                  \
        .top = {NO_SLOTS}, .empty = {NO_SLOTS}, .full = {NO_SLOTS},                                                    \
    }
Hz3Slab hz3_slab_none = ALWAYS_MISS;

Hz3Lock hz3_slab_lock = HZ3_LOCK_INIT(HZ3_RANK_LEAF);
Hz3Lock hz3_slab_drain_lock = HZ3_LOCK_INIT(HZ3_RANK_DRAIN);

static Hz3Slab *pool;               // under the lock
static Hz3Slab *_Atomic first_made; // written under the lock
static size_t slab_bytes;

void hz3_slab_die_interior(const void *object)
{
    hz3_die("free", object, "interior pointer: not the start of its block");
}

void hz3_slab_wait_for_drain(void)
{
    hz3_lock_acquire(&hz3_slab_drain_lock);
    hz3_lock_release(&hz3_slab_drain_lock);
}

static uint32_t cap_start(uint32_t cls)
{
    return hz3_classes[cls].front_cap < CAP_START ? hz3_classes[cls].front_cap : CAP_START;
}

static void set_cap(Hz3Slab *slab, uint32_t cls, uint32_t cap)
{
    hz3_assert(cap >= 1 && cap <= hz3_classes[cls].front_cap);
    atomic_store_explicit(&slab->full[cls], slab->empty[cls] - cap, memory_order_relaxed);
}

void hz3_slab_init(void)
{
    size_t slots = 0;
    for (uint32_t c = HZ3_CLASS_FIRST; c <= HZ3_CLASS_LAST; c++) {
        slots += hz3_classes[c].front_cap + 1;
    }
    slab_bytes = hz3_page_round_up(sizeof(Hz3Slab) + slots * sizeof(void *)); // several pages
}

static void lay_out(Hz3Slab *slab)
{
    *slab = (Hz3Slab)ALWAYS_MISS;
    slab->cpu = HZ3_CPU_NONE;
    void **slot = slab->slots;
    for (uint32_t c = HZ3_CLASS_FIRST; c <= HZ3_CLASS_LAST; c++) {
        slab->empty[c] = slot + hz3_classes[c].front_cap;
        atomic_store_explicit(&slab->top[c], slab->empty[c], memory_order_relaxed);
        set_cap(slab, c, cap_start(c));
        slab->never_set[c] = hz3_class_never_set(c);
        slot = slab->empty[c] + 1; // *empty is a slot, too
    }
}

static Hz3Slab *make(void)
{
    Hz3Slab *slab = hz3_os_map(slab_bytes);
    if (slab != NULL) {
        lay_out(slab);
        hz3_lock_acquire(&hz3_slab_lock);
        slab->next_made = atomic_load_explicit(&first_made, memory_order_relaxed);
        atomic_store_explicit(&first_made, slab, memory_order_release);
        hz3_lock_release(&hz3_slab_lock);
    }
    return slab;
}

Hz3Slab *hz3_slab_first(void)
{
    return atomic_load_explicit(&first_made, memory_order_acquire);
}

Hz3Slab *hz3_slab_acquire(void)
{
    hz3_lock_acquire(&hz3_slab_lock);
    Hz3Slab *slab = pool;
    if (slab != NULL) {
        pool = slab->next_pooled;
    }
    hz3_lock_release(&hz3_slab_lock);
    slab = slab != NULL ? slab : make();
    hz3_assert_slow(slab == NULL || (hz3_slab_is_valid(slab) && hz3_slab_cached_bytes(slab) == 0));
    return slab;
}

void hz3_slab_release(Hz3Slab *slab)
{
    hz3_assert(hz3_lock_is_held(&hz3_slab_lock));
    hz3_assert(!slab->is_seized && !slab->is_orphan);
    hz3_assert_slow(hz3_slab_is_valid(slab) && hz3_slab_cached_bytes(slab) == 0);
    slab->owner = NULL;
    slab->cpu = HZ3_CPU_NONE;
    slab->next_pooled = pool;
    pool = slab;
}

void hz3_slab_note_miss(Hz3Slab *slab, uint32_t cls)
{
    uint32_t misses = atomic_load_explicit(&slab->misses[cls], memory_order_relaxed) + 1u;
    atomic_store_explicit(&slab->misses[cls], (uint8_t)misses, memory_order_relaxed);
    uint32_t cap = hz3_slab_cap(slab, cls);
    uint32_t most = hz3_classes[cls].front_cap;
    if (misses % 2 == 0 && cap < most) {
        set_cap(slab, cls, cap * 2 < most ? cap * 2 : most);
    }
}

static size_t flush_bin(Hz3Slab *slab, uint32_t cls, uint32_t shard)
{
    void *batch[HZ3_BATCH_MAX];
    uint32_t count = hz3_slab_count(slab, cls);
    for (uint32_t left = count; left != 0;) {
        uint32_t n = left < HZ3_BATCH_MAX ? left : HZ3_BATCH_MAX;
        void **top = atomic_load_explicit(&slab->top[cls], memory_order_relaxed);
        memcpy(batch, top, n * sizeof *batch);
        atomic_store_explicit(&slab->top[cls], top + n, memory_order_relaxed); // before the middle layer has them
        hz3_central_give(shard, cls, batch, n);
        left -= n;
    }
    return (size_t)count * hz3_classes[cls].size;
}

size_t hz3_slab_flush(Hz3Slab *slab, uint32_t shard, bool idle_only)
{
    hz3_assert_slow(hz3_slab_is_valid(slab));
    size_t bytes = 0;
    for (uint32_t c = HZ3_CLASS_FIRST; c <= HZ3_CLASS_LAST; c++) {
        bool is_idle = slab->scans_unmoved[c] >= SCANS_IDLE;
        if (idle_only && !is_idle) {
            continue;
        }
        bytes += flush_bin(slab, c, shard);
        if (is_idle) {
            uint32_t half = hz3_slab_cap(slab, c) / 2;
            set_cap(slab, c, half > cap_start(c) ? half : cap_start(c));
            slab->scans_unmoved[c] = 0;
        }
    }
    hz3_assert_slow(hz3_slab_is_valid(slab));
    return bytes;
}

// What is dropped reads as NULL afterwards, which is right for free slots, for *empty and for notes. The first page
// holds the fields that must stay.
void hz3_slab_purge_slots(Hz3Slab *slab)
{
    hz3_assert_slow(hz3_slab_cached_bytes(slab) == 0);
    hz3_os_purge((char *)slab + HZ3_PAGE_SIZE, slab_bytes - HZ3_PAGE_SIZE);
}

bool hz3_slab_watch(Hz3Slab *slab)
{
    hz3_assert(hz3_lock_is_held(&hz3_slab_drain_lock));
    bool any_idle = false;
    for (uint32_t c = HZ3_CLASS_FIRST; c <= HZ3_CLASS_LAST; c++) {
        void **top = atomic_load_explicit(&slab->top[c], memory_order_relaxed);
        bool is_unmoved = top == slab->top_seen[c] && top != slab->empty[c];
        uint32_t scans = is_unmoved ? slab->scans_unmoved[c] + 1u : 0;
        slab->scans_unmoved[c] = (uint8_t)(scans < SCANS_IDLE ? scans : SCANS_IDLE);
        slab->top_seen[c] = top;
        any_idle = any_idle || scans >= SCANS_IDLE;
    }
    return any_idle;
}

size_t hz3_slab_cached_bytes(const Hz3Slab *slab)
{
    size_t bytes = 0;
    for (uint32_t c = HZ3_CLASS_FIRST; c <= HZ3_CLASS_LAST; c++) {
        bytes += (size_t)hz3_slab_count(slab, c) * hz3_classes[c].size;
    }
    return bytes;
}

static bool bin_is_valid(const Hz3Slab *slab, uint32_t cls, void *const *lowest)
{
    void *const *empty = slab->empty[cls];
    void *const *top = atomic_load_explicit(&slab->top[cls], memory_order_relaxed);
    void *const *full = atomic_load_explicit(&slab->full[cls], memory_order_relaxed);
    if (empty != lowest + hz3_classes[cls].front_cap || *empty != NULL || top < lowest || top > empty ||
        full < lowest || full > empty || slab->never_set[cls] != hz3_class_never_set(cls)) {
        return false;
    }
    for (void *const *slot = top; slot < empty; slot++) {
        if (!hz3_arena_owns(*slot) || ((uintptr_t)*slot & slab->never_set[cls]) != 0) {
            return false;
        }
    }
    return true;
}

static bool always_misses(const Hz3Slab *slab, uint32_t tag)
{
    return slab->empty[tag] == no_slot && atomic_load_explicit(&slab->top[tag], memory_order_relaxed) == no_slot &&
           atomic_load_explicit(&slab->full[tag], memory_order_relaxed) == no_slot;
}

bool hz3_slab_is_valid(const Hz3Slab *slab)
{
    if (!HZ3_DEBUG) {
        return true;
    }
    bool is_valid = slab->cpu == HZ3_CPU_NONE || slab->owner == NULL;
    void *const *lowest = slab->slots;
    for (uint32_t c = HZ3_CLASS_FIRST; c <= HZ3_CLASS_LAST && is_valid; c++) {
        is_valid = bin_is_valid(slab, c, lowest);
        lowest = slab->empty[c] + 1;
    }
    for (uint32_t tag = 0; tag < HZ3_TAG_COUNT && is_valid; tag++) {
        bool is_class = tag >= HZ3_CLASS_FIRST && tag <= HZ3_CLASS_LAST;
        is_valid = is_class || always_misses(slab, tag);
    }
    return is_valid;
}
