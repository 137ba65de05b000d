// One bug a process: the program must end by SIGABRT after one line on stderr that names the pointer and the fault.
//
// A case is a bad pointer, what is done to it, and how the caches are settled afterwards: a free of an address inside a
// cached block, or a second free long after the first, may stay in the front until the flush; everything else must be
// caught on the spot.
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "bad_input.h"
#include "support.h"

#define CASES_MAX 480
#define NAME_BYTES 96

typedef enum Settle { AT_ONCE, AT_TRIM, AT_EXIT, AT_EXIT_ELSEWHERE, SETTLE_COUNT } Settle;

typedef struct Maker {
    const char *name;
    void *(*make)(size_t size);
    const char *const *env;
} Maker;

typedef struct Action {
    const char *name;
    void (*act)(void *pointer, size_t size);
} Action;

typedef struct Misuse {
    const Maker *maker;
    const Action *action;
    size_t size;
    Settle settle;
    const char *const *words;
} Misuse;

// One of these must stand in the message.
static const char *const freed_words[] = {"double free", "use after free", "not allocated", NULL};
static const char *const interior_words[] = {"interior", "misaligned", "not allocated", NULL};
static const char *const foreign_words[] = {"foreign", "not allocated", "misaligned", NULL};
static const char *const unused_words[] = {"double free", "interior", "not allocated", NULL};
// Where the page went to another class, nothing but lane hardened's states remembers the block.
static const char *const reused_words[] = {"double free", "use after free", "interior", "not allocated", NULL};

// ---- makers of bad pointers ----

static void *make_freed(size_t size)
{
    void *block = malloc(size);
    free(block);
    return block;
}

// In one cache with nothing in between: the second free is seen by itself. A place of its own, the CPU, so that a
// thread that is moved does not come by another cache.
static void *make_freed_just_now(size_t size)
{
    NEEDS(run_on_cpu(0), "threads cannot be kept on one CPU");
    sched_yield(); // a new time slice: whoever is preempted amid a free may not be told at once
    return make_freed(size);
}

// So few others have gone since that the cache still knows where the block lies.
static void *make_freed_a_while_ago(size_t size)
{
    enum { OTHERS = 4 };
    NEEDS(run_on_cpu(0), "threads cannot be kept on one CPU");
    sched_yield();
    void *other[OTHERS];
    for (size_t i = 0; i < OTHERS; i++)
        other[i] = malloc(size);
    void *block = make_freed(size);
    for (size_t i = 0; i < OTHERS; i++)
        free(other[i]);
    return opaque(block);
}

static void *make_freed_aligned(size_t size)
{
    void *block = memalign(256, size);
    free(block);
    return block;
}

static void *make_freed_by_realloc(size_t size)
{
    void *block = malloc(size);
    return realloc(block, 0) ? NULL : opaque(block);
}

static void *make_freed_and_flushed(size_t size)
{
    void *block = make_freed(size);
    malloc_trim(0);
    return opaque(block);
}

// Neighbours go and come back between the two frees; the block itself is not handed out again.
static void *make_freed_among_neighbours(size_t size)
{
    enum { NEIGHBOURS = 8 };
    void *before[NEIGHBOURS], *after[NEIGHBOURS];
    for (size_t i = 0; i < NEIGHBOURS; i++)
        before[i] = malloc(size);
    void *block = malloc(size);
    for (size_t i = 0; i < NEIGHBOURS; i++)
        after[i] = malloc(size);
    free(block);
    for (size_t i = 0; i < NEIGHBOURS; i++) {
        free(before[i]);
        free(after[i]);
    }
    for (size_t i = 0; i < NEIGHBOURS; i++)
        NEEDS(malloc(size) != opaque(block), "the block itself was handed out");
    return opaque(block);
}

// Other sizes are used hard while the bad pointer's first free is still cached: no epoch may flush it (calm_env).
static void *make_freed_then_busy(size_t size)
{
    void *block = make_freed(size);
    for (size_t i = 0; i < 20000; i++) {
        size_t other = 16 + (i * 48) % 3000;
        if (other + 512 > size && other < size + 512) continue;
        unsigned char *busy = malloc(other);
        pattern_fill(busy, other, i);
        EXPECT(pattern_mismatch(busy, other, i) == other, "heap unsound after a double free");
        free(busy);
    }
    return opaque(block);
}

// Frees blocks that lie side by side and returns one in their middle that doesn't begin at its page.
static char *free_side_by_side(size_t size)
{
    enum { BLOCKS = 64 };
    void *held[BLOCKS], *middle = NULL;
    for (size_t i = 0; i < BLOCKS; i++) {
        held[i] = malloc(size);
        if (i >= BLOCKS / 2 && middle == NULL && !is_aligned(held[i], PAGE)) middle = held[i];
    }
    EXPECT(middle != NULL, "all blocks of %zu bytes begin at a page", size);
    for (size_t i = 0; i < BLOCKS; i++)
        free(held[i]);
    return opaque(middle);
}

// Since the free a live block of another size reaches into the page, and begins elsewhere.
static void *make_freed_and_page_reused(size_t size)
{
    enum { BLOCKS = 10000 };
    size_t other = size > 2048 ? 1500 : 3000;
    EXPECT(malloc(other) != NULL, "a block that keeps the segment");
    char *freed = free_side_by_side(size);
    char *page = freed - ((uintptr_t)freed & (PAGE - 1));
    malloc_trim(0);
    char *at_its_place = NULL;
    for (size_t i = 0; i < BLOCKS; i++) {
        char *block = malloc(other);
        if (block == freed) {
            at_its_place = block;
        } else if (block + other > page && block < page + PAGE) {
            free(at_its_place);
            return freed;
        }
    }
    EXPECT(false, "no block of %zu bytes reaches into the page of %p", other, (void *)freed);
    return NULL;
}

static void *free_in_thread(void *block)
{
    free(block);
    return NULL;
}

static void *make_freed_by_other_thread(size_t size)
{
    void *block = malloc(size);
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, free_in_thread, block) == 0, "pthread_create");
    pthread_join(thread, NULL);
    return opaque(block);
}

static void *free_on_second_cpu(void *block)
{
    run_on_cpu(1);
    free(block);
    return NULL;
}

// What CPUs cache between the threads and the heap: each of two holds the block once.
static void *make_freed_on_other_cpu(size_t size)
{
    NEEDS(run_on_cpu(1) && run_on_cpu(0), "one CPU, or threads cannot be kept on one");
    void *block = malloc(size);
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, free_on_second_cpu, block) == 0, "pthread_create");
    pthread_join(thread, NULL);
    return opaque(block);
}

static void *pointer_plus(size_t size, size_t offset)
{
    return (char *)malloc(size) + offset;
}
static void *make_plus_1(size_t size)
{
    return pointer_plus(size, 1);
}
static void *make_plus_8(size_t size)
{
    return pointer_plus(size, 8);
}
static void *make_plus_16(size_t size)
{
    return pointer_plus(size, 16);
}
static void *make_half(size_t size)
{
    return pointer_plus(size, size / 2 & ~(size_t)15);
}
static void *make_second_page(size_t size)
{
    return pointer_plus(size, 4096);
}
static void *make_last_byte(size_t size)
{
    return pointer_plus(size, malloc_usable_size(opaque(malloc(size))) - 1);
}

// The place behind the last of a few fresh blocks: nobody was given it.
static void *make_never_given(size_t size)
{
    char *highest = malloc(size);
    for (int i = 0; i < 3; i++) {
        char *block = malloc(size);
        if (block > highest) highest = block;
    }
    return highest + malloc_usable_size(highest);
}

// Of no size: the number of the pointer takes its place.
static void *make_foreign(size_t number)
{
    return foreign_pointers[number].make();
}

static const char *const calm_env[] = {"HZ3_EPOCH_TICK_MS=0", NULL};

static const Maker freed_makers[] = {
    {"freed_block", make_freed, NULL},
    {"block_freed_by_realloc", make_freed_by_realloc, NULL},
    {"freed_and_flushed_block", make_freed_and_flushed, NULL},
    {"block_freed_among_neighbours", make_freed_among_neighbours, NULL},
    {"block_freed_by_other_thread", make_freed_by_other_thread, NULL},
    {"block_freed_on_other_cpu", make_freed_on_other_cpu, NULL},
    {"freed_aligned_block", make_freed_aligned, NULL},
    {"block_freed_in_a_busy_heap", make_freed_then_busy, calm_env},
};
static const Maker reused_maker = {"block_freed_in_a_reused_page", make_freed_and_page_reused, NULL};
static const Maker interior_makers[] = {
    {"block_plus_1", make_plus_1, NULL},          {"block_plus_8", make_plus_8, NULL},
    {"block_plus_16", make_plus_16, NULL},        {"middle_of_block", make_half, NULL},
    {"last_byte_of_block", make_last_byte, NULL}, {"second_page_of_block", make_second_page, NULL},
};
static const Maker at_once_makers[] = {
    {"block_freed_just_now", make_freed_just_now, NULL},
    {"block_freed_a_while_ago", make_freed_a_while_ago, NULL},
};
static const Maker unused_maker = {"place_never_given", make_never_given, NULL};

// ---- what is done to them ----

static void act_free(void *pointer, size_t size)
{
    (void)size;
    free(pointer);
}
static void act_realloc(void *pointer, size_t size)
{
    EXPECT(opaque(realloc(pointer, 2 * size + 4096)) != pointer, "realloc in place of a bad pointer");
}
static void act_realloc_zero(void *pointer, size_t size)
{
    (void)size;
    EXPECT(realloc(pointer, 0) == NULL, "realloc(p, 0)");
}
static void act_reallocarray(void *pointer, size_t size)
{
    EXPECT(opaque(reallocarray(pointer, 3, size + 4096)) != pointer, "reallocarray in place of a bad pointer");
}
static void act_usable_size(void *pointer, size_t size)
{
    EXPECT(malloc_usable_size(pointer) != size + 1, "never equal");
}

static const Action action_free = {"free", act_free};
static const Action action_realloc = {"realloc", act_realloc};
static const Action actions[] = {
    {"free", act_free},
    {"realloc", act_realloc},
    {"realloc_to_0", act_realloc_zero},
    {"reallocarray", act_reallocarray},
    {"malloc_usable_size", act_usable_size},
};

// ---- one case ----

static void *misuse_commit(void *arg)
{
    const Misuse *misuse = arg;
    void *pointer = opaque(misuse->maker->make(misuse->size));
    child_note("pointer=%p", pointer);
    misuse->action->act(pointer, misuse->size);
    return NULL;
}

static void misuse_run(const void *arg)
{
    const Misuse *misuse = arg;
    if (misuse->settle == AT_EXIT) {
        pthread_t thread;
        NEEDS(run_on_cpu(0), "threads cannot be kept on one CPU"); // at the end the last thread's CPU alone is flushed
        EXPECT(pthread_create(&thread, NULL, misuse_commit, (void *)(uintptr_t)misuse) == 0, "pthread_create");
        pthread_join(thread, NULL); // a thread's own cache is flushed at its end, a CPU's at the end of the process
        exit(0);
    } else if (misuse->settle == AT_EXIT_ELSEWHERE) { // where there is one thread, all CPUs are
        NEEDS(run_on_cpu(1), "one CPU");
        misuse_commit((void *)(uintptr_t)misuse);
        NEEDS(run_on_cpu(0), "threads cannot be kept on one CPU");
        exit(0);
    } else {
        misuse_commit((void *)(uintptr_t)misuse);
    }
    if (misuse->settle == AT_TRIM) malloc_trim(0);
    child_note("survived");
}

static bool names_pointer(const char *line, const char *note)
{
    const char *pointer = strstr(note, "pointer=");
    if (!pointer) return false;
    pointer += strlen("pointer=");
    size_t length = strcspn(pointer, "\n");
    for (const char *at = line; *at; at++) {
        if (strncmp(at, pointer, length) == 0 && !strchr("0123456789abcdef", at[length])) return true;
    }
    return false;
}

static void misuse_judge(const ChildResult *result, const void *arg, char *why, size_t why_bytes)
{
    const char *const *words = ((const Misuse *)arg)->words;
    bool has_word = false;
    for (; *words; words++)
        has_word |= strstr(result->err, *words) != NULL;
    size_t length = strlen(result->err);
    bool one_line = length > 0 && strcspn(result->err, "\n") == length - 1;
    if (strstr(result->note, "survived")) {
        snprintf(why, why_bytes, "not detected");
    } else if (!WIFSIGNALED(result->status) || WTERMSIG(result->status) != SIGABRT) {
        snprintf(why, why_bytes, "wait status 0x%x instead of SIGABRT", (unsigned)result->status);
    } else if (!one_line || strncmp(result->err, "hz3: ", 5) != 0) {
        snprintf(why, why_bytes, "stderr is not one line that starts with 'hz3: '");
    } else if (!names_pointer(result->err, result->note)) {
        snprintf(why, why_bytes, "the message does not name the pointer");
    } else if (!has_word) {
        snprintf(why, why_bytes, "the message does not name the fault");
    } else if (result->out[0] != '\0') {
        snprintf(why, why_bytes, "something on stdout");
    }
}

// ---- two caches hold the same block ----

static void *shared_block;
static sem_t freed_there, exit_now;

static void *free_and_wait(void *arg)
{
    free(shared_block);
    sem_post(&freed_there);
    sem_wait(&exit_now);
    return arg;
}

static void *make_freed_by_sleeping_thread(size_t size)
{
    shared_block = malloc(size);
    sem_init(&freed_there, 0, 0);
    sem_init(&exit_now, 0, 0);
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, free_and_wait, NULL) == 0, "pthread_create");
    sem_wait(&freed_there);
    child_note("pointer=%p", shared_block);
    free(opaque(shared_block));
    malloc_trim(0);
    sem_post(&exit_now);
    pthread_join(thread, NULL);
    malloc_trim(0);
    child_note("survived");
    return NULL;
}

// The message is no point at which a cancelled thread ends.
static void *make_freed_by_cancelled_thread(size_t size)
{
    NEEDS(run_on_cpu(0), "threads cannot be kept on one CPU");
    void *block = malloc(size);
    child_note("pointer=%p", block);
    pthread_cancel(pthread_self());
    sched_yield(); // a new time slice
    free(block);
    free(opaque(block));
    child_note("survived");
    return NULL;
}

static const Maker cancelled_maker = {"block_freed_by_cancelled_thread", make_freed_by_cancelled_thread, NULL};
static const Maker sleeping_maker = {"block_freed_by_sleeping_thread", make_freed_by_sleeping_thread, NULL};

// ---- the table ----

static Misuse misuses[CASES_MAX];
static char names[CASES_MAX][NAME_BYTES];
static TestCase cases[CASES_MAX];
static size_t n_cases;

static void add(const Maker *maker, const Action *action, size_t size, Settle settle, const char *const *words)
{
    static const char *const settled[SETTLE_COUNT] = {"", "_by_the_trim", "_by_the_exit", "_by_the_exit_elsewhere"};
    EXPECT(n_cases < CASES_MAX, "room for the case");
    misuses[n_cases] = (Misuse){maker, action, size, settle, words};
    snprintf(names[n_cases], NAME_BYTES, "%s_%s_%zu%s", action->name, maker->name, size, settled[settle]);
    cases[n_cases] = (TestCase){.name = names[n_cases],
                                .run = misuse_run,
                                .arg = &misuses[n_cases],
                                .judge = misuse_judge,
                                .child = {.env = maker->env, .timeout_s = 20}};
    n_cases++;
}

static void add_reused(void)
{
    static const size_t sizes[] = {1000, 4097, 20000};
    bool is_hardened = preload_path() && strstr(preload_path(), "_hardened.so");
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        if (is_hardened) {
            for (size_t a = 0; a < COUNT_OF(actions); a++)
                add(&reused_maker, &actions[a], sizes[i], AT_ONCE, freed_words);
        } else {
            add(&reused_maker, &action_free, sizes[i], AT_TRIM, reused_words);
        }
    }
}

static void add_freed(void)
{
    static const size_t cached[] = {16, 100, 1000, 2048, 4097, 8192, 20000, 32768};
    static const size_t uncached[] = {40000, 200000, MIB, 2 * MIB, 8 * MIB};
    for (size_t m = 0; m < COUNT_OF(freed_makers); m++) {
        for (size_t i = 0; i < COUNT_OF(cached); i++) {
            add(&freed_makers[m], &action_free, cached[i], AT_TRIM, freed_words);
            if (m == 0) add(&freed_makers[m], &action_free, cached[i], AT_EXIT, freed_words);
            if (m == 0) add(&freed_makers[m], &action_realloc, cached[i], AT_TRIM, freed_words);
        }
        for (size_t i = 0; i < COUNT_OF(uncached); i++) {
            // Between the two frees these may give the address to somebody else, who then loses it rightly.
            bool reused = freed_makers[m].make == make_freed_among_neighbours ||
                          (freed_makers[m].make == make_freed_then_busy && uncached[i] <= MIB);
            if (!reused) add(&freed_makers[m], &action_free, uncached[i], AT_ONCE, freed_words);
        }
    }
    for (size_t i = 0; i < COUNT_OF(cached); i++) {
        for (size_t m = 0; m < COUNT_OF(at_once_makers); m++) {
            for (size_t a = 0; a < COUNT_OF(actions); a++)
                add(&at_once_makers[m], &actions[a], cached[i], AT_ONCE, freed_words);
        }
        add(&cancelled_maker, &action_free, cached[i], AT_ONCE, freed_words);
        add(&sleeping_maker, &action_free, cached[i], AT_ONCE, freed_words);
        add(&unused_maker, &action_free, cached[i], AT_TRIM, unused_words);
    }
    for (size_t i = 0; i < COUNT_OF(uncached); i++) {
        add(&cancelled_maker, &action_free, uncached[i], AT_ONCE, freed_words);
        for (size_t a = 1; a < COUNT_OF(actions); a++) {
            add(&freed_makers[0], &actions[a], uncached[i], AT_ONCE, freed_words);
        }
    }
}

static void add_interior(void)
{
    static const size_t sizes[] = {100, 1000, 3000, 5000, 20000, 40000, 300000, 2 * MIB};
    for (size_t m = 0; m < COUNT_OF(interior_makers); m++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            if (sizes[i] <= 4096 && interior_makers[m].make == make_second_page) continue;
            for (size_t a = 0; a < COUNT_OF(actions); a++) {
                bool is_odd = interior_makers[m].make == make_plus_1 || interior_makers[m].make == make_plus_8;
                bool may_be_late = sizes[i] <= 32768 && actions[a].act == act_free && !is_odd;
                bool few = sizes[i] == 1000 || sizes[i] == 20000 || sizes[i] == 300000 || sizes[i] == 2 * MIB;
                if (a > 0 && !few) continue;
                add(&interior_makers[m], &actions[a], sizes[i], may_be_late ? AT_TRIM : AT_ONCE, interior_words);
                if (may_be_late && sizes[i] == 100)
                    add(&interior_makers[m], &actions[a], sizes[i], AT_EXIT_ELSEWHERE, interior_words);
            }
        }
    }
}

static void add_foreign(void)
{
    static Maker makers[N_FOREIGN];
    for (size_t m = 0; m < N_FOREIGN; m++) {
        makers[m] = (Maker){foreign_pointers[m].name, make_foreign, NULL};
        for (size_t a = 0; a < COUNT_OF(actions); a++) {
            add(&makers[m], &actions[a], m, AT_ONCE, foreign_words);
        }
    }
}

int main(int argc, char **argv)
{
    add_freed();
    add_reused();
    add_interior();
    add_foreign();
    return tests_main(argc, argv, cases, n_cases);
}
