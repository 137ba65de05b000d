#include "front/hz3_front_slow.h"

#include "base/hz3_harden_random.h"
#include "base/hz3_log.h"
#include "base/hz3_shard.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"
#include "front/hz3_front_cpu.h"
#include "front/hz3_front_thread.h"
#include "front/hz3_rseq.h"
#include "front/hz3_slab.h"
#include "large/hz3_large.h"
#include "middle/hz3_bulk_free.h"
#include "middle/hz3_central.h"
#include "middle/hz3_small.h"
#include "policy/hz3_purger.h"

// An aborted section is tried this many times in all; then the object passes the front by.
#define TRIES_MAX 4

void hz3_front_init(void)
{
    hz3_slab_init();
    hz3_thread_front_init();
    hz3_cpu_front_init();
}

static bool is_on_cpu_front(void)
{
    return HZ3_FRONT_CPU && hz3_rseq_cpu() >= 0;
}

static uint32_t pop_batch(uint32_t cls, void **out, uint32_t want)
{
    hz3_assert(want >= 1 && want <= HZ3_BATCH_MAX);
    if (!is_on_cpu_front()) {
        return (uint32_t)hz3_thread_pop_batch(cls, out, want);
    }
    int n = -1;
    for (int i = 0; i < TRIES_MAX && n < 0; i++) {
        n = hz3_rseq_pop_batch(cls, out, want);
    }
    return n < 0 ? 0 : (uint32_t)n;
}

// Returns how many were pushed: the last ones of the array.
static uint32_t push_batch(uint32_t cls, void *const *objects, uint32_t n)
{
    hz3_assert(n >= 1 && n <= HZ3_BATCH_MAX);
    if (!is_on_cpu_front()) {
        return (uint32_t)hz3_thread_push_batch(cls, objects, n);
    }
    int pushed = -1;
    for (int i = 0; i < TRIES_MAX && pushed < 0; i++) {
        pushed = hz3_rseq_push_batch(cls, objects, n);
    }
    return pushed < 0 ? 0 : (uint32_t)pushed;
}

// Counts the miss, which may raise the bin's capacity, and returns how many objects should cross at once: half of the
// capacity, at least one and at most a batch; one where there is no slab.
static uint32_t note_miss(uint32_t cls)
{
    int32_t cpu = HZ3_FRONT_CPU ? hz3_rseq_cpu() : HZ3_CPU_NONE;
    Hz3Slab *slab = cpu >= 0 ? hz3_cpu_open(cpu) : hz3_thread_open();
    if (slab == NULL) {
        return 1;
    }
    hz3_assert(slab != &hz3_slab_none);
    hz3_slab_note_miss(slab, cls);
    uint32_t half = hz3_slab_cap(slab, cls) / 2;
    return half == 0 ? 1 : half < HZ3_BATCH_MAX ? half : HZ3_BATCH_MAX;
}

// After a bulk free: what this CPU has cached of the class goes back to its runs, and a piece of what the depot has.
static HZ3_COLD void settle_bulk_free(uint32_t shard, uint32_t cls, void **batch)
{
    uint32_t n = HZ3_BATCH_MAX;
    for (uint32_t settled = 0; n == HZ3_BATCH_MAX && settled < HZ3_FRONT_CAP_MAX; settled += n) {
        n = pop_batch(cls, batch, HZ3_BATCH_MAX);
        hz3_bulk_settle_cached(cls, batch, n);
    }
    hz3_bulk_settle_waiting(shard, cls);
}

// The batch goes through the stack: a reclaim inside the take may drain this very slab.
void *hz3_front_refill(uint32_t cls)
{
    hz3_assert(cls >= HZ3_CLASS_FIRST && cls <= HZ3_CLASS_LAST);
    void *batch[HZ3_BATCH_MAX];
    if (pop_batch(cls, batch, 1) == 1) {
        return batch[0]; // the bin was not empty: the section was aborted, or this thread is not on the CPU front
    }
    uint32_t shard = hz3_shard_now();
    uint32_t bulk_free = hz3_bulk_class(shard);
    if (HZ3_UNLIKELY(bulk_free != 0 && bulk_free != cls)) {
        settle_bulk_free(shard, bulk_free, batch);
    }
    uint32_t n = hz3_central_take(shard, cls, batch, note_miss(cls));
    if (n == 0) {
        bool is_zero;
        void *p = hz3_large_fallback(hz3_classes[cls].size, HZ3_MIN_ALIGN, &is_zero);
        return p != NULL ? p : hz3_alloc_failed();
    }
    hz3_harden_shuffle(batch, n);
    uint32_t kept = n > 1 ? push_batch(cls, batch + 1, n - 1) : 0;
    hz3_assert(kept <= n - 1);
    if (kept < n - 1) {
        hz3_central_give(hz3_shard_now(), cls, batch + 1, n - 1 - kept);
    }
    hz3_purger_poll_taken(0);
    return batch[0];
}

// The slab that serves this thread now; after the next instruction it may serve another.
static Hz3Slab *slab_now(void)
{
    int32_t cpu = HZ3_FRONT_CPU ? hz3_rseq_cpu() : HZ3_CPU_NONE;
    return atomic_load_explicit(cpu >= 0 ? &hz3_cpu_slabs[2 + cpu] : &hz3_self.slab, memory_order_acquire);
}

// This is no section, so the slab may change hands at any point. Whatever lay between `top` and `empty` when `top` was
// read was an object of the bin, so it was free. Whatever was put there later was freed later. A live p, which only its
// owner may free, is neither, however late its slot is read.
bool hz3_front_holds(uint32_t cls, const void *p)
{
    const Hz3Slab *slab = slab_now();
    void **slot = atomic_load_explicit(&slab->top[cls], memory_order_acquire);
    void **noted = atomic_load_explicit(&slab->freed[hz3_freed_index(p)], memory_order_relaxed);
    if (__atomic_load_n(noted > slot ? noted : slot, __ATOMIC_RELAXED) != p) {
        return false;
    }
    while (slot < slab->empty[cls] && __atomic_load_n(slot, __ATOMIC_RELAXED) != p) {
        slot++;
    }
    return slot < slab->empty[cls];
}

// The same operation that free() has tried: an aborted section has not looked at the note, so this one must.
static bool push_again(void *p, uint32_t cls)
{
    return is_on_cpu_front() ? hz3_rseq_push(cls, p) : hz3_thread_push(cls, p);
}

// The newest objects leave: popping them is one commit, and what stays is in order.
static void make_room(uint32_t cls, uint32_t n)
{
    void *batch[HZ3_BATCH_MAX];
    uint32_t popped = pop_batch(cls, batch, n);
    if (popped != 0) {
        hz3_central_give(hz3_shard_now(), cls, batch, popped);
    }
}

static void free_past_the_bin(void *p, uint32_t cls)
{
    uint32_t half = note_miss(cls);
    if (push_again(p, cls)) {
        return;
    }
    make_room(cls, half);
    if (!push_again(p, cls)) {
        hz3_central_give(hz3_shard_now(), cls, &p, 1);
    }
}

void hz3_front_flush_own(void)
{
    for (uint32_t cls = HZ3_CLASS_FIRST; cls <= HZ3_CLASS_LAST; cls++) {
        void *batch[HZ3_BATCH_MAX];
        for (uint32_t n; (n = pop_batch(cls, batch, HZ3_BATCH_MAX)) != 0;) {
            hz3_central_give(hz3_shard_now(), cls, batch, n);
        }
    }
}

// If the note was wrong, it is cleared, and the object is pushed like any other. The thread may be on another CPU by
// then, whose slab may have a note of the same kind; then this function is called for the object once more.
void hz3_front_free_noted(void *p, Hz3Tag cls)
{
    hz3_require(!hz3_front_holds(cls, p), "free", p, "double free: the block of %u bytes is free already",
                hz3_classes[cls].size);
    atomic_store_explicit(&slab_now()->freed[hz3_freed_index(p)], NULL, memory_order_relaxed);
    hz3_front_overflow(p, cls);
}

void hz3_front_overflow(void *p, Hz3Tag tag)
{
    if (tag == HZ3_TAG_SPAN) {
        hz3_span_free(p);
        return;
    }
    hz3_require(tag != HZ3_TAG_NONE, "free", p, "double free or wild pointer: this page is not allocated");
    if (tag > HZ3_TAG_CLASS_LAST) {
        hz3_slab_die_interior(p);
    } else if (!push_again(p, tag)) {
        free_past_the_bin(p, tag);
        hz3_purger_poll_freed();
    }
}
