#include "base/hz3_os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/rseq.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
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

void *hz3_os_reserve(size_t bytes, size_t align)
{
    return map_anonymous_aligned(bytes, align, PROT_NONE, MAP_NORESERVE);
}

bool hz3_os_commit(void *addr, size_t bytes)
{
    int saved_errno = errno;
    bool ok = mprotect(addr, bytes, PROT_READ | PROT_WRITE) == 0;
    errno = saved_errno;
    return ok;
}

void *hz3_os_map(size_t bytes)
{
    return map_anonymous(bytes, PROT_READ | PROT_WRITE, 0);
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

bool hz3_os_purge(void *addr, size_t bytes)
{
    int saved_errno = errno;
    bool ok = madvise(addr, bytes, MADV_DONTNEED) == 0;
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

bool hz3_os_can_purge_ranges(void)
{
    static _Atomic int answer; // 0 not asked yet, 1 yes, -1 no
    int can = atomic_load_explicit(&answer, memory_order_relaxed);
    if (can == 0) {
        char *page = hz3_os_map(HZ3_PAGE_SIZE);
        if (page == NULL) {
            return false; // to be asked again
        }
        Hz3OsRange range = {page, HZ3_PAGE_SIZE};
        can = advise_ranges(&range, 1) == (ssize_t)HZ3_PAGE_SIZE ? 1 : -1;
        hz3_os_unmap(page, HZ3_PAGE_SIZE);
        atomic_store_explicit(&answer, can, memory_order_relaxed);
    }
    return can > 0;
}

uint32_t hz3_os_purge_ranges(const Hz3OsRange *ranges, uint32_t n)
{
    ssize_t bytes = hz3_os_can_purge_ranges() ? advise_ranges(ranges, n) : 0;
    uint32_t done = 0;
    while (done < n && bytes >= (ssize_t)ranges[done].bytes) {
        bytes -= (ssize_t)ranges[done++].bytes;
    }
    return done;
}

void hz3_os_no_huge_pages(void *addr, size_t bytes)
{
    int saved_errno = errno;
    madvise(addr, bytes, MADV_NOHUGEPAGE);
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

uint64_t hz3_os_coarse_ms(void)
{
    struct timespec now = {0, 0};
    int saved_errno = errno;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    errno = saved_errno;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// Small, because mlockall makes all of a stack resident; programs with much static TLS need the usual size.
#define STACK_BYTES ((size_t)128 << 10)

static int create_thread(void *(*body)(void *), size_t stack_bytes)
{
    pthread_t thread;
    pthread_attr_t attr;
    int error = pthread_attr_init(&attr);
    if (error != 0) {
        return error;
    }
    if (stack_bytes != 0) {
        pthread_attr_setstacksize(&attr, stack_bytes);
    }
    error = pthread_create(&thread, &attr, body, NULL);
    pthread_attr_destroy(&attr);
    return error;
}

bool hz3_os_thread_start(void *(*body)(void *))
{
    int saved_errno = errno;
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); // the new thread inherits it
    int error = create_thread(body, STACK_BYTES);
    if (error == EINVAL) {
        error = create_thread(body, 0);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved_errno;
    return error == 0;
}

void hz3_os_thread_name(const char *name)
{
    int saved_errno = errno;
    prctl(PR_SET_NAME, name);
    errno = saved_errno;
}

bool hz3_os_is_main_thread(void)
{
    long self = syscall(SYS_gettid);
    return self < 0 || self == getpid();
}

// It blocks the signals it uses itself for that time, which programs cannot block. Signal 32 is one of them.
bool hz3_os_thread_is_ending(void)
{
    sigset_t blocked;
    return pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0 && sigismember(&blocked, 32) == 1;
}

bool hz3_os_futex_wake(_Atomic uint32_t *word, int sleepers)
{
    int saved_errno = errno;
    bool ok = syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, sleepers, NULL, NULL, 0) >= 0;
    errno = saved_errno;
    return ok;
}

void hz3_os_pause(uint32_t us)
{
    int saved_errno = errno;
    if (us == 0) {
        sched_yield();
    } else {
        sleep_for(&(struct timespec){.tv_nsec = (long)us * 1000});
    }
    errno = saved_errno;
}

// Present from glibc 2.35 on, which registers the area for every thread and keeps the CPU number in it.
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

// Negative: this thread has no registration.
static int rseq_cpu(void)
{
    if (HZ3_UNLIKELY(&__rseq_size == NULL || __rseq_size == 0)) {
        return -1;
    }
    const struct rseq *area = (const void *)((const char *)__builtin_thread_pointer() + __rseq_offset);
    return (int)*(const volatile uint32_t *)&area->cpu_id;
}

uint32_t hz3_os_cpu(void)
{
    int registered = rseq_cpu();
    if (HZ3_LIKELY(registered >= 0)) {
        return (uint32_t)registered;
    }
    int saved_errno = errno;
    int cpu = sched_getcpu();
    errno = saved_errno;
    return cpu < 0 ? 0 : (uint32_t)cpu;
}

bool hz3_os_rseq_registered(void)
{
    return rseq_cpu() >= 0;
}

uintptr_t hz3_os_rseq_offset(void)
{
    return (uintptr_t)__rseq_offset;
}

// The kernel refuses a mask that is shorter than its own.
bool hz3_os_cpus_fit(uint32_t cpus)
{
    int saved_errno = errno;
    unsigned long mask[HZ3_OS_CPUS_MAX / (8 * sizeof(unsigned long))];
    bool fit = syscall(SYS_sched_getaffinity, 0, cpus / 8, mask) > 0;
    errno = saved_errno;
    return fit;
}

static bool membarrier(int command)
{
    int saved_errno = errno;
    bool ok = syscall(SYS_membarrier, command, 0, 0) == 0;
    errno = saved_errno;
    return ok;
}

bool hz3_os_membarrier_register(Hz3OsBarrier kind)
{
    return membarrier(kind == HZ3_OS_BARRIER_RSEQ ? MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ
                                                  : MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

bool hz3_os_membarrier(Hz3OsBarrier kind)
{
    return membarrier(kind == HZ3_OS_BARRIER_RSEQ ? MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ
                                                  : MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

uint32_t hz3_os_cpu_index(uint16_t index[HZ3_OS_CPUS_MAX])
{
    int saved_errno = errno;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        memset(&set, 0xff, sizeof set);
    }
    errno = saved_errno;
    uint32_t count = 0;
    for (uint32_t cpu = 0; cpu < HZ3_OS_CPUS_MAX; cpu++) {
        index[cpu] = (uint16_t)(CPU_ISSET(cpu, &set) ? count++ : cpu);
    }
    for (uint32_t cpu = 0; cpu < HZ3_OS_CPUS_MAX; cpu++) {
        index[cpu] = (uint16_t)(index[cpu] % (count != 0 ? count : 1));
    }
    return count != 0 ? count : 1;
}

_Static_assert(HZ3_OS_CPUS_MAX == CPU_SETSIZE, "every CPU of the C library's mask has an index");

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
