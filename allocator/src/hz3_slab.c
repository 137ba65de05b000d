#include "hz3_slab.h"

#include <string.h>

#include "hz3_central.h"
#include "hz3_log.h"
#include "hz3_os.h"
#include "hz3_size_class.h"

// A bin starts small, so that a class that is used now and then does not hold much.
#define CAP_START 16u
#define SCANS_IDLE 2u
// Bins of other owners only collect batches: a part of the capacity is enough.
#define FOREIGN_PART 4u

_Static_assert(HZ3_FRONT_CAP_MAX <= HZ3_BATCH_MAX, "a whole bin is a batch");

static void *no_slot[1];
#define ALWAYS_MISS                                                                                                    \
    {                                                                                                                  \
        .top = {[0 ... HZ3_TAG_COUNT - 1] = no_slot},                                                                  \
        .empty = {[0 ... HZ3_TAG_COUNT - 1] = no_slot},                                                                \
        .full = {[0 ... HZ3_TAG_COUNT - 1] = no_slot},                                                                 \
    }
Hz3Slab hz3_slab_none = ALWAYS_MISS;

Hz3Lock hz3_slab_lock = HZ3_LOCK_INIT(HZ3_RANK_LEAF);

static Hz3Slab *pool;               // under the lock
static Hz3Slab *_Atomic first_made; // written under the lock
static size_t slab_bytes;

#define FOR_EACH_BIN(tag) for (Hz3Tag tag = HZ3_TAG_CLASS_FIRST; tag <= HZ3_TAG_CLASS_LAST; tag++)

static bool is_foreign(const Hz3Slab *slab, Hz3Tag tag)
{
    return tag >= HZ3_CLASS_MEDIUM_FIRST && hz3_owner_of_tag(tag) * HZ3_MEDIUM_CLASSES != slab->own;
}

static uint32_t cap_max(const Hz3Slab *slab, Hz3Tag tag)
{
    uint32_t cap = hz3_classes[hz3_class_of_tag(tag)].front_cap;
    if (is_foreign(slab, tag)) {
        cap = cap / FOREIGN_PART > HZ3_FRONT_CAP_MIN ? cap / FOREIGN_PART : HZ3_FRONT_CAP_MIN;
    }
    return cap;
}

static uint32_t cap_start(const Hz3Slab *slab, Hz3Tag tag)
{
    return cap_max(slab, tag) < CAP_START ? cap_max(slab, tag) : CAP_START;
}

static void set_cap(Hz3Slab *slab, Hz3Tag tag, uint32_t cap)
{
    atomic_store_explicit(&slab->full[tag], slab->empty[tag] - cap, memory_order_relaxed);
}

void hz3_slab_init(void)
{
    size_t slots = 0;
    FOR_EACH_BIN(tag)
    {
        slots += hz3_classes[hz3_class_of_tag(tag)].front_cap + 1;
    }
    slab_bytes = hz3_page_round_up(sizeof(Hz3Slab) + slots * sizeof(void *)); // several pages
}

static void lay_out(Hz3Slab *slab)
{
    *slab = (Hz3Slab)ALWAYS_MISS;
    slab->cpu = HZ3_CPU_NONE;
    void **slot = slab->slots;
    FOR_EACH_BIN(tag)
    {
        slab->empty[tag] = slot + hz3_classes[hz3_class_of_tag(tag)].front_cap;
        atomic_store_explicit(&slab->top[tag], slab->empty[tag], memory_order_relaxed);
        slot = slab->empty[tag] + 1; // *empty is read by a malloc that misses
    }
}

void hz3_slab_assign(Hz3Slab *slab, uint32_t shard)
{
    slab->own = shard % HZ3_OWNERS * HZ3_MEDIUM_CLASSES;
    FOR_EACH_BIN(tag)
    {
        set_cap(slab, tag, cap_start(slab, tag));
    }
}

uint32_t hz3_slab_shard_for(const Hz3Slab *slab, Hz3Tag tag, uint32_t shard)
{
    if (!is_foreign(slab, tag)) {
        return shard;
    }
    uint32_t owner = shard - shard % HZ3_OWNERS + hz3_owner_of_tag(tag);
    return owner < hz3_shard_count() ? owner : shard;
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
    return slab != NULL ? slab : make();
}

void hz3_slab_release(Hz3Slab *slab)
{
    slab->owner = NULL;
    slab->cpu = HZ3_CPU_NONE;
    slab->next_pooled = pool;
    pool = slab;
}

void hz3_slab_note_miss(Hz3Slab *slab, Hz3Tag tag)
{
    uint32_t misses = atomic_load_explicit(&slab->misses[tag], memory_order_relaxed) + 1u;
    atomic_store_explicit(&slab->misses[tag], (uint8_t)misses, memory_order_relaxed);
    uint32_t cap = hz3_slab_cap(slab, tag);
    uint32_t most = cap_max(slab, tag);
    if (misses % 2 == 0 && cap < most) {
        set_cap(slab, tag, cap * 2 < most ? cap * 2 : most);
    }
}

static size_t flush_bin(Hz3Slab *slab, Hz3Tag tag, uint32_t shard)
{
    void *batch[HZ3_BATCH_MAX];
    uint32_t n = hz3_slab_count(slab, tag);
    if (n == 0) {
        return 0;
    }
    hz3_assert(n <= HZ3_BATCH_MAX);
    memcpy(batch, atomic_load_explicit(&slab->top[tag], memory_order_relaxed), n * sizeof *batch);
    atomic_store_explicit(&slab->top[tag], slab->empty[tag], memory_order_relaxed); // before they are anywhere else
    uint32_t class = hz3_class_of_tag(tag);
    hz3_central_give(hz3_slab_shard_for(slab, tag, shard), class, batch, n);
    return (size_t)n * hz3_classes[class].size;
}

size_t hz3_slab_flush(Hz3Slab *slab, uint32_t shard, bool idle_only)
{
    size_t bytes = 0;
    FOR_EACH_BIN(tag)
    {
        bool is_idle = slab->scans_unmoved[tag] >= SCANS_IDLE;
        if (idle_only && !is_idle) {
            continue;
        }
        bytes += flush_bin(slab, tag, shard);
        if (is_idle) {
            uint32_t half = hz3_slab_cap(slab, tag) / 2;
            set_cap(slab, tag, half > cap_start(slab, tag) ? half : cap_start(slab, tag));
            slab->scans_unmoved[tag] = 0;
        }
    }
    return bytes;
}

// What lies in empty slots is never read for its value, so zero will do. The first page holds the tops.
void hz3_slab_purge_slots(Hz3Slab *slab)
{
    hz3_os_purge((char *)slab + HZ3_PAGE_SIZE, slab_bytes - HZ3_PAGE_SIZE);
}

bool hz3_slab_watch(Hz3Slab *slab)
{
    bool any_idle = false;
    FOR_EACH_BIN(tag)
    {
        void **top = atomic_load_explicit(&slab->top[tag], memory_order_relaxed);
        bool is_unmoved = top == slab->top_seen[tag] && top != slab->empty[tag];
        uint32_t scans = is_unmoved ? slab->scans_unmoved[tag] + 1u : 0;
        slab->scans_unmoved[tag] = (uint8_t)(scans < SCANS_IDLE ? scans : SCANS_IDLE);
        slab->top_seen[tag] = top;
        any_idle = any_idle || scans >= SCANS_IDLE;
    }
    return any_idle;
}

size_t hz3_slab_cached_bytes(const Hz3Slab *slab)
{
    size_t bytes = 0;
    FOR_EACH_BIN(tag)
    {
        bytes += (size_t)hz3_slab_count(slab, tag) * hz3_classes[hz3_class_of_tag(tag)].size;
    }
    return bytes;
}
