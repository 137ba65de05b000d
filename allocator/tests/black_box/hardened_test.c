// What each word of HZ3_HARDEN adds, in a process that has this word alone, and that it is this word that adds it.
// Only for lane hardened: the faults that its states find without any word are in misuse_test and bad_input_test.
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define MEDIUM_MAX (32 * KIB)
#define SEALED_MIN 200 // hz3 seals 256 freed blocks; it may use some itself
#define DRAWN 64

typedef struct Fault {
    void (*commit)(size_t size);
    size_t size;
    int signal;       // that must end the process; 0: none, it goes unseen
    const char *says; // in the message of an abort
} Fault;

static void fault_run(const void *arg)
{
    const Fault *fault = arg;
    fault->commit(fault->size);
    child_note("survived");
}

static void fault_judge(const ChildResult *result, const void *arg, char *why, size_t why_bytes)
{
    const Fault *fault = arg;
    int got = WIFSIGNALED(result->status) ? WTERMSIG(result->status) : 0;
    bool has_survived = strstr(result->note, "survived") != NULL;
    bool is_seen_late = has_survived && got != 0;
    if (got != fault->signal) {
        snprintf(why, why_bytes, "ended by signal %d instead of %d", got, fault->signal);
    } else if (got == 0 && (result->status != 0 || !has_survived)) {
        snprintf(why, why_bytes, "exit status %d%s", WEXITSTATUS(result->status), has_survived ? "" : ", not survived");
    } else if (fault->says != NULL && strstr(result->err, fault->says) == NULL) {
        snprintf(why, why_bytes, "the message is not '%s'", fault->says);
    } else if (is_seen_late) {
        snprintf(why, why_bytes, "seen at the end of the program only");
    }
}

// --- states: no word ---

static pthread_barrier_t both_are_here;
static _Atomic int waiting_to_free;

static void *free_with_the_other(void *block)
{
    pthread_barrier_wait(&both_are_here);
    waiting_to_free--;
    while (waiting_to_free != 0)
        sched_yield();
    free(block);
    return NULL;
}

static void free_twice_at_once(size_t size)
{
    void *block = malloc(size);
    pthread_t other;
    waiting_to_free = 2;
    pthread_barrier_init(&both_are_here, NULL, 2);
    EXPECT(pthread_create(&other, NULL, free_with_the_other, block) == 0, "pthread_create");
    free_with_the_other(block);
    pthread_join(other, NULL);
    _exit(0);
}

// Whichever comes second is told, and not only when it comes late.
static void one_of_two_frees_is_told(const void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        pid_t child = fork();
        if (child == 0) {
            close(STDERR_FILENO); // their messages are the other tests' business
            free_twice_at_once(i % 2 == 0 ? 100 : 20000);
        }
        int status = 0;
        EXPECT(waitpid(child, &status, 0) == child, "waitpid");
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "try %d: both frees passed, status 0x%x", i,
               (unsigned)status);
    }
}

// --- canary ----------------------------------------------------------------------------------------------------------

static void write_behind(size_t size)
{
    char *block = malloc(size);
    ((char *)opaque(block))[size] = 'x';
    free(block);
}

static void write_behind_and_realloc(size_t size)
{
    char *block = malloc(size);
    ((char *)opaque(block))[size] = 0;
    free(realloc(block, size + 1));
}

static void usable_size_is_what_was_asked(const void *arg)
{
    (void)arg;
    for (size_t size = 1; size < 3 * MIB; size = size * 5 / 4 + 1) {
        void *block = malloc(size);
        EXPECT(malloc_usable_size(block) == size, "malloc(%zu) has %zu bytes", size, malloc_usable_size(block));
        memset(block, 255, size);
        free(block);
    }
}

// --- zero ------------------------------------------------------------------------------------------------------------

static void freed_blocks_read_as_zero(const void *arg)
{
    (void)arg;
    for (size_t size = 16; size <= 2 * MEDIUM_MAX; size *= 2) {
        char *block = malloc(size);
        char *neighbour = malloc(size); // keeps the pages
        memset(block, 0xA5, size);
        free(block);
        EXPECT(nonzero_offset(opaque(block), size) == size, "byte %zu of %zu", nonzero_offset(opaque(block), size),
               size);
        free(neighbour);
    }
}

static void write_after_free(size_t size)
{
    char *block = malloc(size);
    free(block);
    ((char *)opaque(block))[size / 2] = 1;
    void *held[1000];
    for (size_t i = 0; i < COUNT_OF(held); i++) {
        held[i] = malloc(size);
    }
    for (size_t i = 0; i < COUNT_OF(held); i++) {
        free(held[i]);
    }
}

static void write_after_free_and_trim(size_t size)
{
    char *block = malloc(size);
    free(block);
    ((char *)opaque(block))[size - 1] = 1;
    malloc_trim(0);
}

// --- random ----------------------------------------------------------------------------------------------------------

// Of the first blocks of a class that a process gets, how many lie below the one before?
static size_t count_descents(char *places, size_t bytes)
{
    char *before = NULL;
    size_t descents = 0;
    size_t at = 0;
    for (size_t i = 0; i < DRAWN; i++) {
        char *block = malloc(1000);
        descents += block < before;
        at += (size_t)snprintf(places + at, bytes - at, "%tx ", before != NULL ? block - before : 0);
        before = block;
    }
    return descents;
}

static void say_order(const void *arg)
{
    (void)arg;
    char places[DRAWN * 20];
    size_t descents = count_descents(places, sizeof places);
    printf("%zu %s", descents, places);
}

static size_t ask_order(const char *word, ChildResult *result)
{
    const char *env[] = {word, NULL};
    child_run((const char *const[]){"/proc/self/exe", "--case", "say_order", NULL}, &(ChildOptions){.env = env},
              result);
    EXPECT(result->status == 0 && result->out[0] != '\0', "%s: it says no order", word);
    return strtoul(result->out, NULL, 10);
}

static void order_is_drawn_by_lot(const void *arg)
{
    (void)arg;
    static ChildResult first, second;
    size_t plain = ask_order("HZ3_HARDEN=none", &first);
    EXPECT(plain < DRAWN / 8 || plain > DRAWN * 7 / 8, "%zu of %d descend without a lot", plain, DRAWN);
    size_t drawn = ask_order("HZ3_HARDEN=random", &first);
    EXPECT(drawn > DRAWN / 4 && drawn < DRAWN * 3 / 4, "%zu of %d descend", drawn, DRAWN);
    ask_order("HZ3_HARDEN=random", &second);
    EXPECT(strcmp(first.out, second.out) != 0, "two processes draw the same order");
}

// --- guard -----------------------------------------------------------------------------------------------------------

static void touch(char *at)
{
    *(volatile char *)at = 1;
}

static void touch_before(size_t size)
{
    touch((char *)opaque(malloc(size)) - 1);
}

static void touch_behind_what_grew(size_t size)
{
    char *volatile block = realloc(malloc(size / 2), size);
    block[(size + PAGE - 1) / PAGE * PAGE] = 'x';
}

static void touch_behind(size_t size)
{
    char *block = malloc(size);
    touch((char *)opaque(block) + malloc_usable_size(block));
}

static void touch_before_aligned(size_t size)
{
    touch((char *)opaque(aligned_alloc(64 * KIB, size)) - 1);
}

// Those that stay would get its addresses if it had none any more.
static void touch_freed(size_t size)
{
    char *block = malloc(size);
    memset(block, 1, malloc_usable_size(block));
    free(block);
    for (size_t i = 0; i < SEALED_MIN; i++) {
        EXPECT(malloc(size) != NULL, "one that stays");
        free(opaque(malloc(40000)));
    }
    touch(opaque(block));
}

// --- quarantine ------------------------------------------------------------------------------------------------------

// How many blocks are freed after the first one before its address is given out again; at most `limit`.
static size_t frees_until_reuse(size_t size, size_t limit)
{
    void *first = malloc(size);
    free(first);
    for (size_t i = 0; i < limit; i++) {
        void *block = malloc(size);
        if (block == first) {
            return i;
        }
        free(block);
    }
    return limit;
}

// One shard, of 1 MiB and 1024 blocks. Without a lot the block that came last leaves or stays by no rule, so that the
// first one may leave as soon as the quarantine is full, not before.
static void freed_blocks_wait(const void *arg)
{
    (void)arg;
    static const struct {
        size_t size, waiting_min;
    } cases[] = {{64, 1000}, {1000, 900}, {16000, 60}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t n = frees_until_reuse(cases[i].size, 1000000);
        EXPECT(n >= cases[i].waiting_min, "a block of %zu bytes is back after %zu frees", cases[i].size, n);
        EXPECT(n < 1000000, "a block of %zu bytes never comes back", cases[i].size);
        malloc_trim(0);
    }
}

static void freed_blocks_do_not_wait(const void *arg)
{
    (void)arg;
    EXPECT(frees_until_reuse(64, 1000) < 1000 && frees_until_reuse(16000, 1000) < 60, "a block does not come back");
}

static void what_waits_is_bounded(const void *arg)
{
    (void)arg;
    size_t before = rss_bytes();
    for (size_t i = 0; i < 20000; i++) {
        char *block = malloc(16000);
        memset(block, 1, 16000);
        free(block);
    }
    EXPECT(rss_bytes() < before + 8 * MIB, "%zu KiB grew by %zu KiB", before / KIB, (rss_bytes() - before) / KIB);
}

// What is larger than the quarantine passes by it, and drives nobody out.
static void a_block_too_large_to_wait_drives_nobody_out(const void *arg)
{
    (void)arg;
    void *waiting = malloc(64);
    free(waiting);
    for (size_t i = 0; i < 100; i++)
        free(malloc(20000));
    for (size_t i = 0; i < 1000; i++)
        EXPECT(malloc(64) != waiting, "malloc %zu", i);
}

// Each has guard pages while there are few, which are two mappings of the process's; the program needs some, too.
static void many_guarded_blocks_leave_mappings(const void *arg)
{
    (void)arg;
    enum { BLOCKS = 40000 };
    char **blocks = map_pages(BLOCKS * sizeof *blocks);
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(40000);
        EXPECT(blocks[i] != NULL, "block %zu", i);
    }
    for (size_t i = 0; i < 20000; i++) {
        void *one = mmap(NULL, 1, i % 2 == 0 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        EXPECT(one != MAP_FAILED, "mapping %zu of the program's own", i);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    touch_behind(40000); // they are counted back
}

static void judge_many_guarded_blocks(const ChildResult *result, const void *arg, char *why, size_t why_bytes)
{
    (void)arg;
    if (!WIFSIGNALED(result->status) || WTERMSIG(result->status) != SIGSEGV) {
        snprintf(why, why_bytes, "ended by status 0x%x instead of at a guard page: %s", (unsigned)result->status,
                 result->err);
    }
}

// --- a size that comes with a free ---

void free_sized(void *block, size_t size) __attribute__((weak));
void free_aligned_sized(void *block, size_t align, size_t size) __attribute__((weak));

static void free_with_a_smaller_size(size_t size)
{
    free_sized(malloc(size), size - 1);
}

static void free_with_a_larger_size(size_t size)
{
    free_aligned_sized(aligned_alloc(64, size), 64, size + 1);
}

// Also of a block that realloc left where it was, and of none.
static void the_right_size_is_taken(const void *arg)
{
    (void)arg;
    static const size_t sizes[] = {0, 1, 16, 100, 5000, 30000, 40000, 2 * MIB};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        free_sized(malloc(sizes[i]), sizes[i]);
        free_sized(calloc(1, sizes[i]), sizes[i]);
        free_aligned_sized(aligned_alloc(4096, sizes[i]), 4096, sizes[i]);
        free_sized(realloc(malloc(sizes[i] + 1), sizes[i] + 3), sizes[i] + 3);
    }
    free_sized(NULL, 5);
    free_aligned_sized(NULL, 64, 5);
}

// --- a block that grows ---

// By a page at a time: where each step took a new mapping, and a copy, the steps together were quadratic.
static void a_growing_block_is_copied_a_few_times(const void *arg)
{
    (void)arg;
    uint64_t opened = counter("mappings_opened");
    char *block = malloc(40000);
    size_t bytes = 40000;
    for (; bytes < 6 * MIB; bytes += PAGE) {
        block = realloc(block, bytes);
        EXPECT(block != NULL, "%zu bytes", bytes);
        EXPECT(bytes == 40000 || block[bytes - PAGE - 1] == 'x', "byte %zu is lost", bytes - PAGE - 1);
        block[bytes - 1] = 'x';
    }
    opened = counter("mappings_opened") - opened;
    EXPECT(opened <= 16, "%lu mappings", opened);
    free(block);
}

// --- the table -------------------------------------------------------------------------------------------------------

#define CASES_MAX 100
#define NAME_BYTES 96

static Fault faults[CASES_MAX];
static char names[CASES_MAX][NAME_BYTES];
static TestCase cases[CASES_MAX];
static size_t n_cases;

static const char *const with_none[] = {"HZ3_HARDEN=none", NULL};
static const char *const with_canary[] = {"HZ3_HARDEN=canary", NULL};
static const char *const with_zero[] = {"HZ3_HARDEN=zero", NULL};
static const char *const with_guard[] = {"HZ3_HARDEN=guard", NULL};
static const char *const with_quarantine[] = {"HZ3_HARDEN=quarantine", "HZ3_HARDEN_QUARANTINE=1M", "HZ3_SHARDS=1",
                                              NULL};
static const char *const with_small_quarantine[] = {"HZ3_HARDEN=quarantine", "HZ3_HARDEN_QUARANTINE=16K",
                                                    "HZ3_SHARDS=1", NULL};
static const char *const with_both[] = {"HZ3_HARDEN=zero,quarantine", NULL};

static void add(const char *name, void (*run)(const void *), const char *const *env)
{
    EXPECT(n_cases < CASES_MAX, "room for the case");
    cases[n_cases++] = (TestCase){.name = name, .run = run, .child = {.env = env, .timeout_s = 60}};
}

static void add_fault(const char *name, const char *const *env, Fault fault)
{
    EXPECT(n_cases < CASES_MAX, "room for the case");
    faults[n_cases] = fault;
    snprintf(names[n_cases], NAME_BYTES, "%s_%zu%s", name, fault.size,
             fault.signal == 0 ? "_unseen_without_the_word" : "");
    cases[n_cases] = (TestCase){.name = names[n_cases],
                                .run = fault_run,
                                .arg = &faults[n_cases],
                                .judge = fault_judge,
                                .child = {.env = env, .timeout_s = 20}};
    n_cases++;
}

static void add_overflows(void)
{
    static const size_t sizes[] = {1, 24, 100, 1000, 5000, 30000, 40000, 100000, 3 * MIB - 5};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        add_fault("write_behind", with_canary, (Fault){write_behind, sizes[i], SIGABRT, "overflow: byte "});
        add_fault("write_behind", with_none, (Fault){write_behind, sizes[i], 0, NULL});
        add_fault("write_behind_and_realloc", with_canary,
                  (Fault){write_behind_and_realloc, sizes[i], SIGABRT, "overflow: "});
    }
}

static void add_writes_after_free(void)
{
    static const size_t sizes[] = {16, 64, 1000, 5000, 30000, 40000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        add_fault("write_after_free", with_zero,
                  (Fault){write_after_free, sizes[i], SIGABRT, "write after free: byte "});
        add_fault("write_after_free", with_none, (Fault){write_after_free, sizes[i], 0, NULL});
        if (sizes[i] <= MEDIUM_MAX) {
            add_fault("write_after_free_and_trim", with_both,
                      (Fault){write_after_free_and_trim, sizes[i], SIGABRT, "write after free: byte "});
        }
    }
}

static void add_touches(void)
{
    static const size_t sizes[] = {32769, 40000, 100000, 3 * MIB};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        add_fault("touch_before", with_guard, (Fault){touch_before, sizes[i], SIGSEGV, NULL});
        add_fault("touch_behind", with_guard, (Fault){touch_behind, sizes[i], SIGSEGV, NULL});
        add_fault("touch_before_aligned", with_guard, (Fault){touch_before_aligned, sizes[i], SIGSEGV, NULL});
        add_fault("touch_freed", with_guard, (Fault){touch_freed, sizes[i], SIGSEGV, NULL});
    }
}

static void add_sized_frees(void)
{
    static const size_t sizes[] = {17, 100, 5000, 30000, 40000, 2 * MIB};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        add_fault("free_with_a_smaller_size", with_none,
                  (Fault){free_with_a_smaller_size, sizes[i], SIGABRT, "wrong size: this block of "});
        add_fault("free_with_a_larger_size", with_none,
                  (Fault){free_with_a_larger_size, sizes[i], SIGABRT, "wrong size: this block of "});
    }
    add("the_right_size_is_taken", the_right_size_is_taken, NULL);
}

int main(int argc, char **argv)
{
    add("one_of_two_frees_is_told", one_of_two_frees_is_told, with_none);
    add("usable_size_is_what_was_asked", usable_size_is_what_was_asked, with_canary);
    add_overflows();
    add("freed_blocks_read_as_zero", freed_blocks_read_as_zero, with_zero);
    add_writes_after_free();
    add("order_is_drawn_by_lot", order_is_drawn_by_lot, NULL);
    cases[n_cases++] = (TestCase){.name = "say_order", .run = say_order, .helper = true};
    add_touches();
    add_sized_frees();
    add("a_growing_block_is_copied_a_few_times", a_growing_block_is_copied_a_few_times, NULL);
    add("a_growing_block_is_copied_a_few_times_without_words", a_growing_block_is_copied_a_few_times, with_none);
    add_fault("touch_behind_what_grew", with_guard, (Fault){touch_behind_what_grew, 100000, SIGSEGV, NULL});
    add("a_block_too_large_to_wait_drives_nobody_out", a_block_too_large_to_wait_drives_nobody_out,
        with_small_quarantine);
    add("many_guarded_blocks_leave_mappings", many_guarded_blocks_leave_mappings, with_guard);
    cases[n_cases - 1].judge = judge_many_guarded_blocks;
    add("freed_blocks_wait", freed_blocks_wait, with_quarantine);
    add("freed_blocks_do_not_wait_without_the_word", freed_blocks_do_not_wait, with_none);
    add("what_waits_is_bounded", what_waits_is_bounded, with_quarantine);
    return tests_main(argc, argv, cases, n_cases);
}
