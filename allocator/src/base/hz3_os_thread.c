// Threads, signals and CPUs: the second half of hz3_os.h.
#include "base/hz3_os.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <linux/rseq.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((weak)) extern char __libc_single_threaded;

// Where the C library does not tell, as musl: a thread other than main has come by. It says so before its slab can be
// found under the slab lock, so a drain that finds the slab makes its barrier.
static _Atomic bool others_have_come;

void hz3_os_note_thread(void)
{
    if (&__libc_single_threaded == NULL && !hz3_os_is_main_thread()) {
        atomic_store_explicit(&others_have_come, true, memory_order_relaxed);
    }
}

bool hz3_os_is_alone(void)
{
    return &__libc_single_threaded != NULL ? __libc_single_threaded != 0
                                           : !atomic_load_explicit(&others_have_come, memory_order_relaxed);
}

// What an instruction or a call of the thread itself raises goes to that thread alone. While it is blocked the kernel
// ends the process instead. A sandbox that answers SIGSYS must hear of our calls too.
static const int raised_by_the_thread[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};

void hz3_os_block_signals(sigset_t *before)
{
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof raised_by_the_thread / sizeof raised_by_the_thread[0]; i++) {
        sigdelset(&set, raised_by_the_thread[i]);
    }
    pthread_sigmask(SIG_BLOCK, &set, before);
}

void hz3_os_restore_signals(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
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
    sigset_t before;
    hz3_os_block_signals(&before); // the new thread inherits it
    int error = create_thread(body, STACK_BYTES);
    if (error == EINVAL) {
        error = create_thread(body, 0);
    }
    hz3_os_restore_signals(&before);
    errno = saved_errno;
    return error == 0;
}

static cpu_set_t cpus_at_start; // of the process, before the program pins its threads
static bool cpus_are_known;

static int policy_of(pid_t thread)
{
    return sched_getscheduler(thread) & ~SCHED_RESET_ON_FORK;
}

bool hz3_os_thread_is_low(void)
{
    int saved_errno = errno;
    id_t first = (id_t)getpid();
    bool is_low = (policy_of(0) == SCHED_IDLE && policy_of((pid_t)first) != SCHED_IDLE) ||
                  getpriority(PRIO_PROCESS, 0) > getpriority(PRIO_PROCESS, first);
    errno = saved_errno;
    return is_low;
}

void hz3_os_thread_be_ordinary(void)
{
    int saved_errno = errno;
    if (policy_of(0) != SCHED_OTHER) {
        sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){.sched_priority = 0});
    }
    if (cpus_are_known) {
        sched_setaffinity(0, sizeof cpus_at_start, &cpus_at_start);
    }
    errno = saved_errno;
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
    return !hz3_os_is_alone() && pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0 && sigismember(&blocked, 32) == 1;
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
    if (hz3_os_is_alone()) { // what the caller was inside of when a signal came has been aborted by that
        atomic_thread_fence(memory_order_seq_cst);
        return true;
    }
    return membarrier(kind == HZ3_OS_BARRIER_RSEQ ? MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ
                                                  : MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

// A mask may be widened later, so that the machine's other CPUs are counted too.
uint32_t hz3_os_cpu_index(const Hz3OsNodes *nodes, uint16_t index[HZ3_OS_CPUS_MAX])
{
    int saved_errno = errno;
    cpu_set_t set;
    cpus_are_known = sched_getaffinity(0, sizeof set, &set) == 0;
    errno = saved_errno;
    if (!cpus_are_known) {
        memset(&set, 0xff, sizeof set);
    }
    cpus_at_start = set;
    uint32_t next[HZ3_NODES_MAX] = {0};
    uint32_t most = 1;
    for (int is_allowed = 1; is_allowed >= 0; is_allowed--) {
        for (uint32_t cpu = 0; cpu < HZ3_OS_CPUS_MAX; cpu++) {
            if ((CPU_ISSET(cpu, &set) != 0) == is_allowed) {
                index[cpu] = (uint16_t)next[nodes->of_cpu[cpu]]++;
            }
        }
        for (uint32_t node = 0; is_allowed && node < nodes->count; node++) {
            uint32_t cpus = next[node] > nodes->cpus[node] ? next[node] : nodes->cpus[node];
            most = cpus > most ? cpus : most;
        }
    }
    for (uint32_t cpu = 0; cpu < HZ3_OS_CPUS_MAX; cpu++) {
        index[cpu] %= (uint16_t)most;
    }
    return most;
}

_Static_assert(HZ3_OS_CPUS_MAX == 8 * sizeof(cpu_set_t), "every CPU of the C library's mask has an index");
