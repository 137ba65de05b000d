#include "middle/hz3_bulk_free.h"

#include "base/hz3_log.h"
#include "base/hz3_stats.h"
#include "middle/hz3_central.h"
#include "middle/hz3_central_state.h"

// Of a class that is in use some are taken before so many objects, or so many bytes, have come to the central.
#define STREAK_MIN 1024u
#define STREAK_MIN_BYTES (512u << 10)

// So that no refill pays for more than 10 us where neighbours come back together, and 40 us at random.
#define SETTLED_AT_ONCE 1024u

typedef struct BulkFree {
    _Alignas(64) _Atomic uint8_t freed; // the class of the newest long streak, or 0
    _Atomic uint8_t to_settle;          // a class, or 0
} BulkFree;

static BulkFree bulk[HZ3_SHARDS_MAX];
_Static_assert(HZ3_CLASS_FIRST > 0 && HZ3_CLASS_LAST <= UINT8_MAX, "0 is no class, and all fit");

static bool is_long(uint32_t cls, uint32_t streak)
{
    return streak >= STREAK_MIN || streak * hz3_classes[cls].size >= STREAK_MIN_BYTES;
}

// Short as soon as somebody takes.
static uint32_t streak_of(uint32_t shard, uint32_t cls)
{
    return atomic_load_explicit(&hz3_central[shard][cls].streak, memory_order_relaxed);
}

static void set(_Atomic uint8_t *hint, uint32_t cls)
{
    if (atomic_load_explicit(hint, memory_order_relaxed) != cls) {
        atomic_store_explicit(hint, (uint8_t)cls, memory_order_relaxed);
    }
}

// Another class may stand there by now.
static void drop(_Atomic uint8_t *hint, uint32_t cls)
{
    if (atomic_load_explicit(hint, memory_order_relaxed) == cls) {
        atomic_store_explicit(hint, 0, memory_order_relaxed);
    }
}

void hz3_bulk_note_given(uint32_t shard, uint32_t cls, uint32_t streak)
{
    if (!hz3_class_is_medium(cls) && is_long(cls, streak)) {
        set(&bulk[shard].freed, cls);
    }
}

void hz3_bulk_note_opened(uint32_t shard, uint32_t cls)
{
    uint32_t freed = atomic_load_explicit(&bulk[shard].freed, memory_order_relaxed);
    if (freed != 0 && freed != cls && is_long(freed, streak_of(shard, freed))) {
        set(&bulk[shard].to_settle, freed);
    }
}

uint32_t hz3_bulk_class(uint32_t shard)
{
    uint32_t cls = atomic_load_explicit(&bulk[shard].to_settle, memory_order_relaxed);
    if (HZ3_UNLIKELY(cls != 0) && !is_long(cls, streak_of(shard, cls))) {
        set(&bulk[shard].to_settle, 0); // it is in use again
        cls = 0;
    }
    return cls;
}

void hz3_bulk_settle_cached(uint32_t cls, void **cached, uint32_t n)
{
    hz3_assert(!hz3_class_is_medium(cls) && n <= HZ3_BATCH_MAX);
    hz3_central_settle(cls, cached, n);
}

void hz3_bulk_settle_waiting(uint32_t shard, uint32_t cls)
{
    hz3_assert(shard < hz3_shard_count() && !hz3_class_is_medium(cls));
    hz3_stat_add(bulk_settles, 1);
    if (hz3_central_drain_class(shard, cls, SETTLED_AT_ONCE) < SETTLED_AT_ONCE) {
        drop(&bulk[shard].freed, cls);
        drop(&bulk[shard].to_settle, cls);
    }
}
