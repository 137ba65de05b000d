// Shared by the black-box tests of hz3, which use nothing but the public malloc API and run under LD_PRELOAD.
//
// A test program is a table of cases. Each case runs in a process of its own (the program started again with
// `--case NAME`, which is also how to debug one), so that a crash or a hang is one failed test and not a stuck suite.
// Results are printed as TAP. An argument that is not an option runs only the cases whose names contain it.
#ifndef HZ3_TESTS_SUPPORT_H
#define HZ3_TESTS_SUPPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "../patience.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)4096)
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define ERRNO_MARK 4321 // no error has this number
#define EXIT_SKIPPED 77

typedef struct ChildOptions {
    const char *const *env; // "NAME=value" entries, NULL at the end; "NAME=" removes the name
    rlim_t as_limit;        // RLIMIT_AS from the program's first instruction on; 0: as the parent's
    rlim_t data_limit;      // RLIMIT_DATA likewise
    int timeout_s;          // as patience.h counts; 0: 60
} ChildOptions;

typedef struct ChildResult {
    bool timed_out;
    int status; // as from waitpid
    char out[4096];
    char err[8192];
    char note[4096]; // what the child said with child_note()
} ChildResult;

typedef struct TestCase {
    const char *name;
    void (*run)(const void *arg);
    const void *arg;
    ChildOptions child;
    // Writes to `why` when the child did not end as it should. NULL: it must exit with 0.
    void (*judge)(const ChildResult *result, const void *arg, char *why, size_t why_bytes);
    bool helper; // run only by `--case`, by another case
} TestCase;

int tests_main(int argc, char **argv, const TestCase *cases, size_t n_cases);

// Runs argv[0] and waits for it; whatever is left of its process group is killed.
void child_run(const char *const argv[], const ChildOptions *options, ChildResult *result);
// Runs the helper case `name` of this program, and fails the calling case unless it exits with 0.
void child_run_case(const char *name, const ChildOptions *options);
// Tells the test's parent a line beside stdout and stderr; without a parent it goes to stderr.
void child_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Fails the case with a message unless `condition` holds. Async-signal-safe enough for children of fork.
#define EXPECT(condition, ...)                                                                                         \
    (expect_count++, (condition) ? (void)0 : expect_failed(__FILE__, __LINE__, #condition, __VA_ARGS__))
// Ends the case as skipped unless `condition` holds.
#define NEEDS(condition, reason) ((condition) ? (void)0 : case_skip(reason))

extern _Thread_local unsigned long expect_count;
_Noreturn void expect_failed(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
_Noreturn void case_skip(const char *reason);

// Sizes around every boundary an allocator of power-of-two-and-quarters classes may have, ascending, up to `max`.
// Returns how many were written.
size_t boundary_sizes(size_t *sizes, size_t capacity, size_t max);

uint64_t random_next(uint64_t *state);
// Uniform in the logarithm, 1..max.
size_t random_size(uint64_t *state, size_t max);

void pattern_fill(void *block, size_t bytes, uint64_t seed);
// Offset of the first byte that differs from pattern_fill's, or `bytes`.
size_t pattern_mismatch(const void *block, size_t bytes, uint64_t seed);
size_t nonzero_offset(const void *block, size_t bytes);
bool is_aligned(const void *block, size_t alignment);
// Hides from the compiler where a pointer comes from.
void *opaque(const void *pointer);

// Every kind of call and size, deep enough to leave the caches.
void heap_exercise(uint64_t seed, size_t blocks_per_size);
// Threads that do so until they are stopped.
void busy_threads_start(pthread_t *threads, size_t n);
void busy_threads_stop(const pthread_t *threads, size_t n);
// Fails the case unless the child exits with 0, and in time.
void child_wait(pid_t pid, const char *what);

// From now on each of these system calls fails with `error` in this process and in what it executes. SYS_clone3 stands
// for both clones. False: this kernel lets nobody do that.
bool forbid_calls(const int *numbers, size_t n, int error);

// Weak: the test program itself is not linked with hz3.
extern int hz3_stats_read(const char *name, uint64_t *value) __attribute__((weak));
// A counter of hz3; without hz3 the case is skipped.
uint64_t counter(const char *name);

// This thread of the process as /proc shows it: the line of the file that begins with `name`, or "". Allocates nothing.
void read_task_line(int tid, const char *file, const char *name, char *line, size_t line_bytes);
// hz3's own thread; 0: there is none.
int purger_tid(void);
int thread_count(void); // allocates nothing

size_t rss_bytes(void);
size_t address_space_bytes(void);
// Keeps this thread on the nth CPU that the process may use. False: there is none, or it may not.
bool run_on_cpu(size_t nth);
void sleep_ms(unsigned ms);
// Memory for a test's own tables, outside of the allocator under test.
void *map_pages(size_t bytes);
void unmap_pages(void *block, size_t bytes);
// Directory of the test program, where its plugins are too.
const char *program_dir(void);
// The preloaded hz3, or NULL.
const char *preload_path(void);

#endif
