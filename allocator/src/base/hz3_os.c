#include "base/hz3_os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static void *map_anonymous(size_t bytes, int prot, int flags)
{
    int saved_errno = errno;
    void *p = mmap(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    errno = saved_errno;
    return p == MAP_FAILED ? NULL : p;
}

// Maps more than asked and cuts both ends off.
static void *map_anonymous_aligned(size_t bytes, size_t align, int prot, int flags)
{
    size_t total;
    if (align <= HZ3_PAGE_SIZE) {
        return map_anonymous(bytes, prot, flags);
    }
    if (__builtin_add_overflow(bytes, align, &total)) {
        return NULL;
    }
    char *raw = map_anonymous(total, prot, flags);
    if (raw == NULL) {
        return NULL;
    }
    char *start = (char *)(((uintptr_t)raw + align - 1) & ~(align - 1));
    size_t before = (size_t)(start - raw);
    size_t after = align - before;
    if (before != 0) {
        hz3_os_unmap(raw, before);
    }
    if (after != 0) {
        hz3_os_unmap(start + bytes, after);
    }
    return start;
}

// For core dumps that read the list of mappings; the kernel's own know that there is nothing.
static void keep_out_of_dumps(void *addr, size_t bytes)
{
    madvise(addr, bytes, MADV_DONTDUMP);
}

void *hz3_os_reserve(size_t bytes, size_t align)
{
    int saved_errno = errno;
    void *p = map_anonymous_aligned(bytes, align, PROT_NONE, MAP_NORESERVE);
    if (p != NULL) {
        keep_out_of_dumps(p, bytes);
    }
    errno = saved_errno;
    return p;
}

bool hz3_os_commit(void *addr, size_t bytes)
{
    return hz3_os_map_at(addr, bytes, HZ3_OS_WRITE, true) == HZ3_OS_DONE;
}

// Linux before 4.17 takes the flag for none and puts the mapping elsewhere.
// Without a reservation of memory: else the kernel would refuse fork to a process with more addresses side by side than
// the machine has memory, though most of them may hold nothing any more.
Hz3OsPlace hz3_os_map_at(void *addr, size_t bytes, Hz3OsAccess access, bool is_ours)
{
    int saved_errno = errno;
    int prot = access == HZ3_OS_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (is_ours ? MAP_FIXED : MAP_FIXED_NOREPLACE);
    void *p = mmap(addr, bytes, prot, flags, -1, 0);
    Hz3OsPlace place = p == addr ? HZ3_OS_DONE : p != MAP_FAILED || errno == EEXIST ? HZ3_OS_OCCUPIED : HZ3_OS_REFUSED;
    if (p != addr && p != MAP_FAILED) {
        munmap(p, bytes);
    }
    errno = saved_errno;
    return place;
}

static struct {
    _Atomic uintptr_t begin; // 0: there are none; set last
    uintptr_t end;
    _Atomic uintptr_t next;
    bool is_ours;
} own_data;

void hz3_os_map_in(void *addr, size_t bytes, bool is_ours)
{
    own_data.is_ours = is_ours;
    own_data.end = (uintptr_t)addr + bytes;
    atomic_store_explicit(&own_data.next, (uintptr_t)addr, memory_order_relaxed);
    atomic_store_explicit(&own_data.begin, (uintptr_t)addr, memory_order_release);
}

// The next addresses; after the last, the first again, of which some may have become free. 0: there are none left.
static uintptr_t next_own_addresses(uintptr_t begin, size_t bytes, size_t align)
{
    uintptr_t next = atomic_load_explicit(&own_data.next, memory_order_relaxed);
    uintptr_t at;
    do {
        at = (next + align - 1) & ~(align - 1);
        if (at > own_data.end || bytes > own_data.end - at) {
            at = (begin + align - 1) & ~(align - 1);
            if (own_data.is_ours || bytes > own_data.end - at) {
                return 0;
            }
        }
    } while (!atomic_compare_exchange_weak_explicit(&own_data.next, &next, at + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    return at;
}

#define OWN_TRIES 16

void *hz3_os_map_own(size_t bytes, size_t align)
{
    uintptr_t begin = atomic_load_explicit(&own_data.begin, memory_order_acquire);
    bytes = hz3_page_round_up(bytes);
    for (int i = 0; begin != 0 && i < OWN_TRIES; i++) {
        uintptr_t at = next_own_addresses(begin, bytes, align);
        Hz3OsPlace place = at != 0 ? hz3_os_map_at((void *)at, bytes, HZ3_OS_WRITE, own_data.is_ours) : HZ3_OS_REFUSED;
        if (place == HZ3_OS_DONE) {
            return (void *)at;
        }
        if (place == HZ3_OS_REFUSED) {
            break;
        }
    }
    return map_anonymous_aligned(bytes, align, PROT_READ | PROT_WRITE, 0);
}

void *hz3_os_map(size_t bytes)
{
    return hz3_os_map_own(bytes, HZ3_PAGE_SIZE);
}

void *hz3_os_map_aligned(size_t bytes, size_t align)
{
    return map_anonymous_aligned(bytes, align, PROT_READ | PROT_WRITE, 0);
}

bool hz3_os_unmap(void *addr, size_t bytes)
{
    int saved_errno = errno;
    bool ok = munmap(addr, bytes) == 0;
    errno = saved_errno;
    return ok;
}

bool hz3_os_seal(void *addr, size_t bytes)
{
    int saved_errno = errno;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    bool ok = mmap(addr, bytes, PROT_NONE, flags, -1, 0) != MAP_FAILED;
    if (ok) {
        keep_out_of_dumps(addr, bytes);
    }
    errno = saved_errno;
    return ok;
}

void *hz3_os_remap(void *addr, size_t old_bytes, size_t new_bytes)
{
    int saved_errno = errno;
    void *p = mremap(addr, old_bytes, new_bytes, MREMAP_MAYMOVE);
    errno = saved_errno;
    return p == MAP_FAILED ? NULL : p;
}

// With its memory, so that no store finds out that there is none. A file longer than the process may write would end it
// by a signal.
static bool fill_file(int fd, size_t bytes)
{
    struct rlimit limit;
    bool may = getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur >= bytes; // RLIM_INFINITY is the greatest
    return may && posix_fallocate(fd, 0, (off_t)bytes) == 0;
}

// malloc is no cancellation point.
bool hz3_os_read_file(const char *path, char *text, size_t text_bytes)
{
    int saved_errno = errno;
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    size_t length = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n;
        while (length < text_bytes - 1 && (n = read(fd, text + length, text_bytes - 1 - length)) > 0) {
            length += (size_t)n;
        }
        close(fd);
    }
    text[length] = '\0';
    pthread_setcancelstate(cancel_state, NULL);
    errno = saved_errno;
    return length != 0;
}

void *hz3_os_map_new_file(const char *path, size_t bytes, bool *exists)
{
    int saved_errno = errno;
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state); // malloc is no cancellation point
    void *p = MAP_FAILED;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    *exists = fd < 0 && errno == EEXIST;
    if (fd >= 0) {
        if (fill_file(fd, bytes)) {
            p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        }
        close(fd);
        if (p == MAP_FAILED) {
            unlink(path);
        }
    }
    pthread_setcancelstate(cancel_state, NULL);
    errno = saved_errno;
    return p == MAP_FAILED ? NULL : p;
}

bool hz3_os_make_private(void *addr, size_t bytes)
{
    void *copy = hz3_os_map(bytes);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, addr, bytes);
    int saved_errno = errno;
    bool ok = mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, addr) != MAP_FAILED;
    errno = saved_errno;
    if (!ok) {
        hz3_os_unmap(copy, bytes);
    }
    return ok;
}

// From asm-generic/mman-common.h, which headers before Linux 5.18 don't have.
#define DONTNEED_LOCKED 24

bool hz3_os_purge(void *addr, size_t bytes)
{
    int saved_errno = errno;
    bool ok = madvise(addr, bytes, MADV_DONTNEED) == 0;
    if (!ok && errno == EINVAL) { // a program that locks its memory wants what it uses to stay, not what it has freed
        ok = madvise(addr, bytes, DONTNEED_LOCKED) == 0;
    }
    errno = saved_errno;
    return ok;
}

// "This process" without a descriptor, which could be closed or inherited; kernels that know it take any advice on
// oneself. From linux/pidfd.h, which older headers don't have.
#define SELF_PROCESS (-10001)

_Static_assert(sizeof(Hz3OsRange) == sizeof(struct iovec) &&
                   offsetof(Hz3OsRange, addr) == offsetof(struct iovec, iov_base) &&
                   offsetof(Hz3OsRange, bytes) == offsetof(struct iovec, iov_len),
               "a range is an iovec");

static ssize_t advise_ranges(const Hz3OsRange *ranges, uint32_t n)
{
    int saved_errno = errno;
    ssize_t bytes = syscall(SYS_process_madvise, SELF_PROCESS, ranges, (size_t)n, MADV_DONTNEED, 0);
    errno = saved_errno;
    return bytes;
}

static bool can_purge_ranges; // written at the start

void hz3_os_start(void)
{
    can_purge_ranges = advise_ranges(NULL, 0) == 0;
}

static bool is_no_page(uintptr_t addr)
{
    return madvise((void *)addr, 0, MADV_NORMAL) != 0 && errno == EINVAL;
}

// An emulator may say what the program expects, while the machine below has larger pages. Asked twice, and beside an
// address that begins a page of any size, for the answer may be an error that has nothing to do with it.
bool hz3_os_pages_fit(void)
{
    int saved_errno = errno;
    bool fit = getauxval(AT_PAGESZ) <= HZ3_PAGE_SIZE &&
               !(is_no_page(HZ3_PAGE_SIZE) && !is_no_page(HZ3_SEG_SIZE) && is_no_page(HZ3_PAGE_SIZE));
    errno = saved_errno;
    return fit;
}

uint32_t hz3_os_purge_ranges(const Hz3OsRange *ranges, uint32_t n)
{
    ssize_t bytes = can_purge_ranges && !hz3_os_is_alone() ? advise_ranges(ranges, n) : 0;
    uint32_t done = 0;
    while (done < n && bytes >= (ssize_t)ranges[done].bytes) {
        bytes -= (ssize_t)ranges[done++].bytes;
    }
    return done;
}

void hz3_os_huge_pages(void *addr, size_t bytes, bool are_wanted)
{
    int saved_errno = errno;
    madvise(addr, bytes, are_wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    errno = saved_errno;
}

// Not the C library's call, which is a cancellation point; malloc and free are none.
static void sleep_for(const struct timespec *duration)
{
    syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, duration, NULL);
}

// Without futexes nobody may spin on a word instead.
static void futex_wait(_Atomic uint32_t *word, uint32_t expected, const struct timespec *timeout)
{
    int saved_errno = errno;
    bool is_refused = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout, NULL, 0) != 0 &&
                      errno != EAGAIN && errno != EINTR && errno != ETIMEDOUT;
    if (is_refused) {
        sleep_for(timeout != NULL ? timeout : &(struct timespec){.tv_nsec = 1000000});
    }
    errno = saved_errno;
}

void hz3_os_futex_wait(_Atomic uint32_t *word, uint32_t expected)
{
    futex_wait(word, expected, NULL);
}

void hz3_os_futex_wait_ms(_Atomic uint32_t *word, uint32_t expected, uint64_t ms)
{
    struct timespec timeout = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    futex_wait(word, expected, &timeout);
}

static struct timespec read_clock(clockid_t clock)
{
    struct timespec now = {0, 0};
    int saved_errno = errno;
    clock_gettime(clock, &now);
    errno = saved_errno;
    return now;
}

uint64_t hz3_os_coarse_ms(void)
{
    struct timespec now = read_clock(CLOCK_MONOTONIC_COARSE);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t hz3_os_now_us(void)
{
    struct timespec now = read_clock(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

bool hz3_os_futex_wake(_Atomic uint32_t *word, int sleepers)
{
    int saved_errno = errno;
    bool ok = syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, sleepers, NULL, NULL, 0) >= 0;
    errno = saved_errno;
    return ok;
}

// Not sched_yield or a sleep, which a sandbox for programs that wait for nobody need not allow.
void hz3_os_pause(uint32_t us)
{
    static _Atomic uint32_t unchanged;
    futex_wait(&unchanged, 0, &(struct timespec){.tv_nsec = (long)us * 1000});
}

size_t hz3_os_ram_bytes(void)
{
    int saved_errno = errno;
    struct sysinfo info;
    size_t bytes = sysinfo(&info) == 0 ? (size_t)info.totalram * info.mem_unit : 0;
    errno = saved_errno;
    return bytes;
}

size_t hz3_os_address_space_limit(void)
{
    int saved_errno = errno;
    struct rlimit limit;
    bool ok = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    errno = saved_errno;
    return ok ? (size_t)limit.rlim_cur : SIZE_MAX;
}

void hz3_os_write_stderr(const char *text, size_t bytes)
{
    int saved_errno = errno;
    while (bytes > 0) {
        long n = syscall(SYS_write, STDERR_FILENO, text, bytes); // not the C library's, as above
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        text += n;
        bytes -= (size_t)n;
    }
    errno = saved_errno;
}

uint64_t hz3_os_random_seed(void)
{
    int saved_errno = errno;
    uint64_t words[2] = {0, 0};
    const void *bytes = (const void *)getauxval(AT_RANDOM);
    if (bytes != NULL) {
        memcpy(words, bytes, sizeof words);
    }
    errno = saved_errno;
    return words[0] ^ (words[1] << 1);
}
