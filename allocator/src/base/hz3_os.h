// All that talks to the kernel: hz3_os*.c. Keeps errno, returns NULL / false, never prints, never aborts. Thread-safe.
// A test may replace it to inject faults.
//
// A sandbox may come at any moment of a program's life, and may answer a call that is not on its list by the process's
// death. So a process of one thread makes no call after its start that the C library's malloc would not make: mmap,
// munmap, mprotect, mremap, madvise, futex. What else is named here is made before, or while there are more threads.
#ifndef HZ3_OS_H
#define HZ3_OS_H

#include <signal.h>

#include "base/hz3_types.h"

// Address space without memory, aligned to `align` (a power of two ≥ a page); no access until hz3_os_commit. So the
// kernel neither counts it (strict overcommit, RLIMIT_DATA) nor fills it (mlockall), and gcore leaves it out.
void *hz3_os_reserve(size_t bytes, size_t align);
// Zeroed memory for addresses of ours, in place of whatever they have.
bool hz3_os_commit(void *addr, size_t bytes);
// Gives the memory back and keeps the address space, without access.
bool hz3_os_seal(void *addr, size_t bytes);

// Zeroed memory, or zeros that can be read alone and cost no memory, at just these addresses. Nobody's: they must be
// free, or the answer is OCCUPIED. is_ours: in place of whatever they have.
typedef enum Hz3OsAccess { HZ3_OS_READ, HZ3_OS_WRITE } Hz3OsAccess;
typedef enum Hz3OsPlace { HZ3_OS_DONE, HZ3_OS_OCCUPIED, HZ3_OS_REFUSED } Hz3OsPlace;
Hz3OsPlace hz3_os_map_at(void *addr, size_t bytes, Hz3OsAccess access, bool is_ours);

// Zeroed memory for data of our own, page-aligned, out of the addresses that hz3_os_map_in has named, while these last:
// apart from what programs get. Once.
void *hz3_os_map(size_t bytes);
void *hz3_os_map_own(size_t bytes, size_t align);
void hz3_os_map_in(void *addr, size_t bytes, bool is_ours);

// Zeroed memory for a program, wherever the kernel puts it.
void *hz3_os_map_aligned(size_t bytes, size_t align);
bool hz3_os_unmap(void *addr, size_t bytes);
// Grows or shrinks a mapping, moving it if it must; NULL leaves the old one as it was.
void *hz3_os_remap(void *addr, size_t old_bytes, size_t new_bytes);
// What a file begins with, as a string, in at most text_bytes. False: it cannot be read, or is empty.
bool hz3_os_read_file(const char *path, char *text, size_t text_bytes);
// Creates `path` (it must not exist) of this size and maps it shared.
// *exists: that is why it failed.
void *hz3_os_map_new_file(const char *path, size_t bytes, bool *exists);
// Replaces the mapping at addr by a private copy of its content; false: nothing changed.
bool hz3_os_make_private(void *addr, size_t bytes);

// Gives the pages back; they read as zero afterwards. False: they keep their content.
bool hz3_os_purge(void *addr, size_t bytes);
// The same for several ranges by one call, in their order. Returns how many of the first ones were given back; fewer
// than n when the kernel refuses the next one, and 0 also when it has no such call for us.
typedef struct Hz3OsRange {
    void *addr;
    size_t bytes;
} Hz3OsRange;
uint32_t hz3_os_purge_ranges(const Hz3OsRange *ranges, uint32_t n);
// Keeps transparent huge pages out, so that a purged page really is freed; or asks for them.
void hz3_os_huge_pages(void *addr, size_t bytes, bool are_wanted);

// May return early. Where the kernel refuses futexes the wait is a sleep: of a millisecond, or of `ms` milliseconds.
void hz3_os_futex_wait(_Atomic uint32_t *word, uint32_t expected);
// Returns also after `ms` milliseconds.
void hz3_os_futex_wait_ms(_Atomic uint32_t *word, uint32_t expected, uint64_t ms);
// False: the kernel refuses, and who sleeps sleeps on.
bool hz3_os_futex_wake(_Atomic uint32_t *word, int sleepers);

// Milliseconds of a clock that moves in steps of some of them, and costs little to read.
uint64_t hz3_os_coarse_ms(void);
// Microseconds of a clock without such steps.
uint64_t hz3_os_now_us(void);

// What is asked of the kernel once, at the process's start: whether it takes several ranges in one call.
void hz3_os_start(void);
// The kernel's pages are not larger than ours. Where they are, a purge would take more than what it names.
bool hz3_os_pages_fit(void);

// The process has one thread, or no other one has used the allocator so far.
bool hz3_os_is_alone(void);
// By each thread before it owns anything that others may seize.
void hz3_os_note_thread(void);

// All but those that the thread itself raises by an instruction or a system call.
void hz3_os_block_signals(sigset_t *before);
void hz3_os_restore_signals(const sigset_t *before);

// Starts a thread with these signals blocked, that may be joined or not; false: this process may have no more threads.
bool hz3_os_thread_start(void *(*body)(void *));
// A thread that this one starts might never get as much of a CPU as the main thread: SCHED_IDLE, or a greater nice.
bool hz3_os_thread_is_low(void);
// The calling thread gets SCHED_OTHER, and all CPUs that the process had at its start, whoever has started it.
void hz3_os_thread_be_ordinary(void);
void hz3_os_thread_name(const char *name); // of the calling thread
bool hz3_os_is_main_thread(void);          // true also where that is a secret
// The C library is taking the calling thread apart: no destructor of its thread-specific data will run any more. glibc
// from 2.35 on; false with others.
bool hz3_os_thread_is_ending(void);

// Lets others run, for about this long.
void hz3_os_pause(uint32_t us);

uint32_t hz3_os_cpu(void);

// What the kernel drew for this process; a constant where it did not.
uint64_t hz3_os_random_seed(void);

// Restartable sequences as the C library has registered them: false when it has not for this thread. The offset of the
// registered area from the thread pointer is the same in all threads.
bool hz3_os_rseq_registered(void);
uintptr_t hz3_os_rseq_offset(void);
// No CPU can have a number of `cpus` or above.
bool hz3_os_cpus_fit(uint32_t cpus);

// membarrier: when it returns, every running thread of this process has executed a full barrier; with RSEQ, has also
// left its restartable sequence, aborted unless it had committed. Register once, while the process is single-threaded
// (later it takes milliseconds). False: the kernel refuses.
typedef enum Hz3OsBarrier { HZ3_OS_BARRIER_PLAIN, HZ3_OS_BARRIER_RSEQ } Hz3OsBarrier;
bool hz3_os_membarrier_register(Hz3OsBarrier kind);
bool hz3_os_membarrier(Hz3OsBarrier kind);

#define HZ3_OS_CPUS_MAX 1024u
// The memory nodes (NUMA) that have CPUs, numbered from 0 upwards.
typedef struct Hz3OsNodes {
    uint32_t count;               // 1 also where the kernel does not tell
    uint16_t cpus[HZ3_NODES_MAX]; // online ones, by node
    uint8_t of_cpu[HZ3_OS_CPUS_MAX];
} Hz3OsNodes;
// Reads files. as_if: as if there were so many nodes, CPU number modulo that; 0: as it says.
void hz3_os_nodes(Hz3OsNodes *nodes, uint32_t as_if);
// Numbers each node's CPUs from 0 upwards, first those that this process may run on now: index[cpu], for cpu <
// HZ3_OS_CPUS_MAX. Returns the count of the node that has most, of which each number is the remainder.
uint32_t hz3_os_cpu_index(const Hz3OsNodes *nodes, uint16_t index[HZ3_OS_CPUS_MAX]);
size_t hz3_os_ram_bytes(void);
// What the process's control group may have, at most what the machine has; SIZE_MAX: unknown. Reads files.
size_t hz3_os_memory_limit(void);
// RLIMIT_AS, or SIZE_MAX.
size_t hz3_os_address_space_limit(void);
void hz3_os_write_stderr(const char *text, size_t bytes);

#endif
