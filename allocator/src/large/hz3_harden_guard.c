#include "large/hz3_harden_guard.h"

#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"

// Address space costs nothing but itself; a program under RLIMIT_AS gets it back when it runs out (hz3_guard_map).
#define SEALED_MAX 256u
#define SEALED_BYTES_MAX ((size_t)1 << 30)
#define LEAVE_MAX 8u

// Each is two of the process's mappings, of which Linux allows 65,530 unless told otherwise: the program and its
// threads keep half. Others that are alive at the same time go without guard pages.
#define GUARDED_MAX 16384u

typedef struct Range {
    char *addr; // with the guard pages
    size_t bytes;
} Range;

// A ring, oldest first; under the lock.
static struct {
    Hz3Lock lock;
    uint32_t first;
    uint32_t count;
    size_t bytes;
    Range range[SEALED_MAX];
} sealed = {.lock = HZ3_LOCK_INIT(HZ3_RANK_LEAF)};

static _Atomic uint32_t guarded; // alive

static void unmap_all(const Range *ranges, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        hz3_os_unmap(ranges[i].addr, ranges[i].bytes); // refused: the addresses are lost, there is no memory in them
    }
}

static Range take_oldest(void)
{
    hz3_assert(hz3_lock_is_held(&sealed.lock) && sealed.count > 0);
    Range oldest = sealed.range[sealed.first];
    sealed.first = (sealed.first + 1) % SEALED_MAX;
    sealed.count--;
    sealed.bytes -= oldest.bytes;
    return oldest;
}

static void *try_map(size_t bytes, size_t align, size_t reserved)
{
    size_t before = align > HZ3_PAGE_SIZE ? align : HZ3_PAGE_SIZE;
    size_t total;
    if (__builtin_add_overflow(reserved, before + HZ3_PAGE_SIZE, &total)) {
        return NULL;
    }
    char *raw = hz3_os_reserve(total, before);
    if (raw == NULL) {
        return NULL;
    }
    if (before > HZ3_PAGE_SIZE) { // one page is enough of a guard
        hz3_os_unmap(raw, before - HZ3_PAGE_SIZE);
    }
    if (!hz3_os_commit(raw + before, bytes)) {
        hz3_os_unmap(raw + before - HZ3_PAGE_SIZE, reserved + 2 * HZ3_PAGE_SIZE);
        return NULL;
    }
    return raw + before;
}

void *hz3_guard_map(size_t bytes, size_t align, size_t reserved)
{
    if (atomic_fetch_add_explicit(&guarded, 1, memory_order_relaxed) >= GUARDED_MAX) {
        atomic_fetch_sub_explicit(&guarded, 1, memory_order_relaxed);
        return NULL;
    }
    void *p = try_map(bytes, align, reserved);
    if (p == NULL && hz3_guard_release()) {
        p = try_map(bytes, align, reserved);
    }
    if (p == NULL) {
        atomic_fetch_sub_explicit(&guarded, 1, memory_order_relaxed);
    }
    return p;
}

void hz3_guard_unmap(void *addr, size_t reserved)
{
    atomic_fetch_sub_explicit(&guarded, 1, memory_order_relaxed);
    Range freed = {(char *)addr - HZ3_PAGE_SIZE, reserved + 2 * HZ3_PAGE_SIZE};
    if (freed.bytes > SEALED_BYTES_MAX || !hz3_os_seal(freed.addr, freed.bytes)) {
        if (!hz3_os_unmap(freed.addr, freed.bytes)) {
            hz3_os_purge(addr, reserved); // the addresses are lost, the memory is not
        }
        return;
    }
    Range left[LEAVE_MAX];
    uint32_t n = 0;
    hz3_lock_acquire(&sealed.lock);
    while (n < LEAVE_MAX - 1 && (sealed.count == SEALED_MAX || sealed.bytes + freed.bytes > SEALED_BYTES_MAX)) {
        left[n++] = take_oldest();
    }
    if (sealed.bytes + freed.bytes <= SEALED_BYTES_MAX) {
        sealed.range[(sealed.first + sealed.count++) % SEALED_MAX] = freed;
        sealed.bytes += freed.bytes;
    } else {
        left[n++] = freed;
    }
    hz3_lock_release(&sealed.lock);
    unmap_all(left, n);
}

bool hz3_guard_is_sealed(const void *p)
{
    bool is_sealed = false;
    hz3_lock_acquire(&sealed.lock);
    for (uint32_t i = 0; i < sealed.count; i++) {
        const Range *range = &sealed.range[(sealed.first + i) % SEALED_MAX];
        is_sealed |= (uintptr_t)p - (uintptr_t)range->addr < range->bytes;
    }
    hz3_lock_release(&sealed.lock);
    return is_sealed;
}

bool hz3_guard_release(void)
{
    uint32_t n = LEAVE_MAX;
    bool had_any = false;
    for (uint32_t i = 0; n == LEAVE_MAX && i < SEALED_MAX / LEAVE_MAX; i++) {
        Range left[LEAVE_MAX];
        n = 0;
        hz3_lock_acquire(&sealed.lock);
        while (n < LEAVE_MAX && sealed.count != 0) {
            left[n++] = take_oldest();
        }
        hz3_lock_release(&sealed.lock);
        unmap_all(left, n);
        had_any |= n != 0;
    }
    return had_any;
}

bool hz3_guard_fork_prepare(void)
{
    return hz3_lock_fork_prepare(&sealed.lock);
}

void hz3_guard_fork_parent(void)
{
    hz3_lock_fork_parent(&sealed.lock);
}

void hz3_guard_fork_child(void)
{
    hz3_lock_fork_child(&sealed.lock);
}
