#include "hardened/hz3_harden_quarantine.h"

#include "base/hz3_harden_random.h"
#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_shard.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"
#include "middle/hz3_central.h"
#include "pages/hz3_arena.h"

#define WAITING_MAX 1024u

// Pointers as the program gave them. The class of one is the tag of its page, which stays as long as the object is
// outside of its run.
typedef struct Waiting {
    uint32_t count;
    _Atomic size_t bytes; // read without the lock by hz3_quarantine_bytes
    void *object[WAITING_MAX];
} Waiting;

static Waiting waiting[HZ3_SHARDS_MAX]; // [i] under locks[i]
static Hz3Lock locks[HZ3_SHARDS_MAX] = {[0 ... HZ3_SHARDS_MAX - 1] = HZ3_LOCK_INIT(HZ3_RANK_LEAF)};

static size_t bytes_of(const Waiting *w)
{
    return atomic_load_explicit(&w->bytes, memory_order_relaxed);
}

static void add_bytes(Waiting *w, size_t bytes)
{
    atomic_store_explicit(&w->bytes, bytes_of(w) + bytes, memory_order_relaxed);
}

static void *take_at(Waiting *w, uint32_t i)
{
    hz3_assert(i < w->count && w->count <= WAITING_MAX && hz3_lock_is_held(&locks[w - waiting]));
    void *object = w->object[i];
    w->object[i] = w->object[--w->count];
    add_bytes(w, (size_t)0 - hz3_classes[hz3_tag_of(hz3_page_of(object))].size);
    return object;
}

uint32_t hz3_quarantine_put(void *object, uint32_t cls, void *left[HZ3_QUARANTINE_LEAVE_MAX])
{
    if (!HZ3_HARDENED) {
        return 0;
    }
    size_t size = hz3_classes[cls].size;
    size_t bytes_max = hz3_knobs.HARDEN_QUARANTINE / hz3_shard_count();
    if (size > bytes_max) { // nobody leaves for what cannot stay
        left[0] = object;
        return 1;
    }
    uint32_t shard = hz3_shard_now();
    Waiting *w = &waiting[shard];
    uint32_t n = 0;
    hz3_lock_acquire(&locks[shard]);
    while (w->count != 0 && n + 1 < HZ3_QUARANTINE_LEAVE_MAX &&
           (w->count == WAITING_MAX || bytes_of(w) + size > bytes_max)) {
        left[n++] = take_at(w, hz3_harden_random_below(w->count));
    }
    if (w->count < WAITING_MAX && bytes_of(w) + size <= bytes_max) {
        w->object[w->count++] = object;
        add_bytes(w, size);
    } else {
        left[n++] = object;
    }
    hz3_lock_release(&locks[shard]);
    return n;
}

uint32_t hz3_quarantine_take(void *left[HZ3_QUARANTINE_LEAVE_MAX])
{
    uint32_t n = 0;
    for (uint32_t s = 0; HZ3_HARDENED && s < HZ3_SHARDS_MAX && n < HZ3_QUARANTINE_LEAVE_MAX; s++) {
        Waiting *w = &waiting[s];
        if (bytes_of(w) == 0) {
            continue;
        }
        hz3_lock_acquire(&locks[s]);
        while (w->count != 0 && n < HZ3_QUARANTINE_LEAVE_MAX) {
            left[n++] = take_at(w, w->count - 1);
        }
        hz3_lock_release(&locks[s]);
    }
    return n;
}

size_t hz3_quarantine_bytes(void)
{
    size_t bytes = 0;
    for (uint32_t s = 0; HZ3_HARDENED && s < HZ3_SHARDS_MAX; s++) {
        bytes += bytes_of(&waiting[s]);
    }
    return bytes;
}

bool hz3_quarantine_fork_prepare(void)
{
    for (uint32_t s = 0; HZ3_HARDENED && s < HZ3_SHARDS_MAX; s++) {
        if (!hz3_lock_fork_prepare(&locks[s])) {
            return false;
        }
    }
    return true;
}

void hz3_quarantine_fork_parent(void)
{
    for (uint32_t s = 0; HZ3_HARDENED && s < HZ3_SHARDS_MAX; s++) {
        hz3_lock_fork_parent(&locks[s]);
    }
}

void hz3_quarantine_fork_child(void)
{
    for (uint32_t s = 0; HZ3_HARDENED && s < HZ3_SHARDS_MAX; s++) {
        hz3_lock_fork_child(&locks[s]);
    }
}
