// The thread front: a slab belongs to the thread that uses it, from its first call to its end.
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "hz3_central.h"
#include "hz3_front.h"
#include "hz3_init.h"
#include "hz3_large.h"
#include "hz3_lock.h"
#include "hz3_log.h"
#include "hz3_os.h"
#include "hz3_size_class.h"
#include "hz3_stats.h"

_Static_assert(sizeof(Hz3Bin) == 32, "a bin's index is a shift");
_Static_assert(HZ3_FRONT_CAP_MAX / 2 <= HZ3_BATCH_MAX, "half a bin is a batch");
_Static_assert(HZ3_FRONT_CAP_MAX <= HZ3_BATCH_MAX, "a whole bin is a batch");

// Slabs of no thread: every bin is empty and full.
static void *no_slot[1];
#define ALWAYS_MISS                                                                                                    \
    {                                                                                                                  \
        .bins = { [0 ... HZ3_TAG_COUNT - 1] = {no_slot, no_slot, no_slot, NULL} }                                      \
    }
static Hz3Slab slab_none = ALWAYS_MISS; // this thread has not called yet
static Hz3Slab slab_gone = ALWAYS_MISS; // its slab was given back: what comes now goes past the front

HZ3_TLS Hz3Slab *hz3_slab = &slab_none;

static struct {
    Hz3Lock lock;
    Hz3Slab *first;
} pool = {.lock = HZ3_LOCK_INIT(HZ3_RANK_LEAF)};

static size_t slab_bytes;
static pthread_key_t exit_key;
static bool exit_key_exists;

static void thread_exit(void *arg);

void hz3_front_init(void)
{
    size_t slots = 0;
    for (uint32_t c = HZ3_CLASS_FIRST; c <= HZ3_CLASS_LAST; c++) {
        slots += hz3_classes[c].front_cap + 1;
    }
    exit_key_exists = pthread_key_create(&exit_key, thread_exit) == 0;
    slab_bytes = hz3_page_round_up(sizeof(Hz3Slab) + slots * sizeof(void *));
}

static void slab_init(Hz3Slab *slab)
{
    *slab = (Hz3Slab)ALWAYS_MISS;
    void **slot = slab->slots;
    for (uint32_t c = HZ3_CLASS_FIRST; c <= HZ3_CLASS_LAST; c++) {
        Hz3Bin *bin = &slab->bins[c];
        bin->full = slot;
        bin->empty = slot + hz3_classes[c].front_cap;
        bin->top = bin->empty;
        slot = bin->empty + 1; // *empty is read by a malloc that misses
    }
}

// Pooled slabs are empty and never unmapped.
static Hz3Slab *slab_acquire(void)
{
    hz3_lock_acquire(&pool.lock);
    Hz3Slab *slab = pool.first;
    if (slab != NULL) {
        pool.first = slab->next_pooled;
    }
    hz3_lock_release(&pool.lock);
    if (slab == NULL && (slab = hz3_os_map(slab_bytes)) != NULL) {
        slab_init(slab);
    }
    return slab;
}

// This thread's slab; NULL when it has none and gets none: its end has passed, or the kernel has no memory now.
static Hz3Slab *slab_of_self(void)
{
    Hz3Slab *slab = hz3_slab;
    if (HZ3_LIKELY(slab != &slab_none && slab != &slab_gone)) {
        return slab;
    }
    if (slab == &slab_gone || !hz3_init()) {
        return NULL;
    }
    slab = slab_acquire();
    if (slab == NULL) {
        return NULL;
    }
    hz3_slab = slab;
    hz3_stat_add(threads_started, 1);
    if (exit_key_exists) {
        int saved_errno = errno;             // a free() may have brought us here
        pthread_setspecific(exit_key, slab); // may allocate (a process with many keys), which the slab serves by now
        errno = saved_errno;
    }
    return slab;
}

static void flush_slab(Hz3Slab *slab);

static void thread_exit(void *arg)
{
    Hz3Slab *slab = arg;
    hz3_assert(hz3_slab == slab);
    hz3_slab = &slab_gone; // destructors that run after this one still allocate, past the front
    flush_slab(slab);
    hz3_lock_acquire(&pool.lock);
    slab->next_pooled = pool.first;
    pool.first = slab;
    hz3_lock_release(&pool.lock);
}

// The batch goes through the stack: a reclaim inside the take may flush this very slab.
void *hz3_front_refill(uint32_t class)
{
    Hz3Slab *slab = slab_of_self();
    uint32_t want = slab != NULL ? hz3_classes[class].front_cap / 2 : 1;
    void *batch[HZ3_BATCH_MAX];
    uint32_t n = hz3_init() ? hz3_central_take(hz3_shard_now(), class, batch, want) : 0;
    if (n == 0) {
        bool is_zero;
        void *p = hz3_large_fallback(hz3_classes[class].size, HZ3_MIN_ALIGN, &is_zero);
        return p != NULL ? p : hz3_alloc_failed();
    }
    if (slab != NULL) {
        Hz3Bin *bin = &slab->bins[class];
        void **top = bin->top;
        for (uint32_t i = n; i > 1; i--) {
            *--top = batch[i - 1];
        }
        hz3_assert(top >= bin->full);
        bin->top = top;
    }
    return batch[0];
}

// The oldest objects lie at the empty end; the newest stay, they are in the CPU's cache.
static void flush_oldest(Hz3Bin *bin, uint32_t class, uint32_t n)
{
    void *batch[HZ3_BATCH_MAX];
    void **top = bin->top;
    memcpy(batch, bin->empty - n, n * sizeof *batch);
    memmove(top + n, top, (size_t)((bin->empty - top)) * sizeof *top - n * sizeof *top);
    bin->top = top + n;
    hz3_central_give(hz3_shard_now(), class, batch, n);
}

static _Noreturn HZ3_COLD void die_not_an_object(const char *function, const void *p, Hz3Tag tag)
{
    if (tag == HZ3_TAG_NONE) {
        hz3_die(function, p, "double free or wild pointer: this page is not allocated");
    }
    hz3_die(function, p, "interior pointer: not the start of its block");
}

void hz3_front_overflow(void *p, Hz3Tag tag)
{
    if (tag == HZ3_TAG_SPAN) {
        hz3_span_free(p);
        return;
    }
    if (tag < HZ3_TAG_CLASS_FIRST || tag > HZ3_TAG_CLASS_LAST) {
        die_not_an_object("free", p, tag);
    }
    Hz3Slab *slab = slab_of_self();
    if (slab == NULL) {
        hz3_central_give(hz3_shard_now(), tag, &p, 1);
        return;
    }
    Hz3Bin *bin = &slab->bins[tag];
    if (bin->top == bin->full) {
        flush_oldest(bin, tag, hz3_classes[tag].front_cap / 2);
    }
    *--bin->top = p;
}

static void flush_slab(Hz3Slab *slab)
{
    for (uint32_t c = HZ3_CLASS_FIRST; c <= HZ3_CLASS_LAST; c++) {
        uint32_t n = (uint32_t)(slab->bins[c].empty - slab->bins[c].top);
        if (n != 0) {
            flush_oldest(&slab->bins[c], c, n);
        }
    }
}

void hz3_front_flush_self(void)
{
    Hz3Slab *slab = hz3_slab;
    if (slab != &slab_none && slab != &slab_gone) {
        flush_slab(slab);
    }
}

size_t hz3_front_drain(Hz3FrontScope scope)
{
    size_t bytes = scope == HZ3_FRONT_ALL ? hz3_front_cached_bytes_self() : 0;
    if (bytes != 0) {
        hz3_front_flush_self();
    }
    return bytes;
}

size_t hz3_front_cached_bytes_self(void)
{
    size_t bytes = 0;
    for (uint32_t c = HZ3_CLASS_FIRST; c <= HZ3_CLASS_LAST; c++) {
        bytes += (size_t)(hz3_slab->bins[c].empty - hz3_slab->bins[c].top) * hz3_classes[c].size;
    }
    return bytes;
}

bool hz3_front_fork_prepare(void)
{
    return hz3_lock_fork_prepare(&pool.lock);
}

void hz3_front_fork_parent(void)
{
    hz3_lock_fork_parent(&pool.lock);
}

// The other threads' slabs are lost to the child, with what they cached: fork copies memory page by page while those
// threads run, so a slab's tops and slots may come from different moments and nothing in it can be trusted.
void hz3_front_fork_child(void)
{
    hz3_lock_fork_child(&pool.lock);
}
