// Bad inputs of every kind, each in a process of its own that goes on afterwards with its heap under audit.
//
// What may come of one: the program is ended with a message that names the pointer and the fault (abort), nothing
// (harmless), a live block that the program itself wrote into (neighbour), a heap that gives out the same bytes twice
// or loses a block's content (silent), another signal (crash), or no end (hang). The tests of misuse.h ask when and
// with which words hz3 aborts; this one, what happens to a program that goes on.
//
// `bad_input_test --count` prints one line with the outcomes, of whatever malloc is loaded, and with --list one for
// each bad input too.
#include <malloc.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "bad_input.h"
#include "support_audit.h"

#define INPUTS_MAX 512
#define INPUTS_MIN 336
// Cached blocks that free() does not know to be free: about 17 where threads share a CPU's cache, 27 where each has its
// own or they run on two CPUs; allocator/doc/hardened.md says why.
#define SILENT_MAX 36
// Lane hardened: of all bad inputs. The rest are writes that no check can see, or that meet a page without access.
#define HARDENED_ABORT_PERCENT_MIN 75
#define NAME_BYTES 80
#define DELAY_MAX 1500

typedef enum Outcome { ABORT, HARMLESS, NEIGHBOUR, SILENT, CRASH, HANG, OUTCOME_COUNT } Outcome;
static const char *const outcome_names[OUTCOME_COUNT] = {"abort", "harmless", "neighbour", "silent", "crash", "hang"};

#define ONE(outcome) (1u << (outcome))
// A cached block: found when it reaches its run, unless it is handed out before.
#define LATE (ONE(ABORT) | ONE(HARMLESS) | ONE(SILENT))
// Behind or before the block may be a live one, free memory, or a page without access.
#define OWN_WRITE (ONE(HARMLESS) | ONE(NEIGHBOUR))

typedef struct BadInput BadInput;
struct BadInput {
    const char *kind;
    const char *detail; // in place of size and n in the name
    void (*act)(const BadInput *input);
    void (*use)(void *pointer, size_t size); // what the bad pointer is given to
    void *(*make)(void);                     // foreign pointers
    size_t size;
    ptrdiff_t n;      // frees between, offset, or bytes
    unsigned allowed; // outcomes that hz3 may have, as bits
};

// ---- what is done with a bad pointer ----

static void use_free(void *pointer, size_t size)
{
    (void)size;
    free(pointer);
}

// The result is the program's: it is live.
static void realloc_to(void *pointer, size_t size)
{
    void *block = realloc(pointer, size);
    if (block) audit_live(block, size);
}
static void use_realloc_grow(void *pointer, size_t size)
{
    realloc_to(pointer, size * 2 + 64);
}
static void use_realloc_same(void *pointer, size_t size)
{
    realloc_to(pointer, size);
}
static void use_realloc_shrink(void *pointer, size_t size)
{
    realloc_to(pointer, size / 4 + 1);
}
static void use_realloc_0(void *pointer, size_t size)
{
    (void)size;
    free(opaque(realloc(pointer, 0))); // glibc's way; a block, where the allocator returns one, is given back
}
static void use_usable_size(void *pointer, size_t size)
{
    if (malloc_usable_size(pointer) == size + 1) child_note("usable size %zu", size + 1);
}

// ---- freed blocks ----

static void *freed_target(size_t size)
{
    void *block = audit_begin(size);
    free(block);
    return opaque(block);
}

static void act_on_freed(const BadInput *input)
{
    input->use(freed_target(input->size), input->size);
}

static void act_delayed(const BadInput *input)
{
    static void *others[DELAY_MAX];
    void *block = audit_begin(input->size);
    for (ptrdiff_t i = 0; i < input->n; i++)
        others[i] = malloc(input->size);
    free(block);
    for (ptrdiff_t i = 0; i < input->n; i++)
        free(others[i]);
    free(opaque(block));
}

static sem_t go_on;

static void *free_when_told(void *block)
{
    while (sem_wait(&go_on) != 0) {
    }
    free(block);
    return NULL;
}

// The thread is there before the first free: what pthread_create allocates must not take the place of the block.
static void free_by_main_and_thread(const BadInput *input, bool main_first)
{
    void *block = audit_begin(input->size);
    sem_init(&go_on, 0, 0);
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, free_when_told, block) == 0, "pthread_create");
    if (main_first) free(opaque(block));
    sem_post(&go_on);
    pthread_join(thread, NULL);
    if (!main_first) free(opaque(block));
}

static void act_then_by_thread(const BadInput *input)
{
    free_by_main_and_thread(input, true);
}

static void act_after_thread(const BadInput *input)
{
    free_by_main_and_thread(input, false);
}

static void act_after_flush(const BadInput *input)
{
    void *block = freed_target(input->size);
    malloc_trim(0);
    free(opaque(block));
}

static void act_after_reuse(const BadInput *input)
{
    void *block = freed_target(input->size);
    void *next = malloc(input->size);
    memset(next, 1, input->size);
    free(next);
    free(opaque(block));
}

static void act_write_freed(const BadInput *input)
{
    void *block = audit_begin(input->size);
    size_t bytes = input->n ? (size_t)input->n : malloc_usable_size(block);
    free(block);
    memset(opaque(block), 0x41, bytes);
}

// ---- pointers into blocks, and writes beyond them ----

// The block stays the program's: it never freed that address.
static void act_interior(const BadInput *input)
{
    char *block = audit_begin(input->size);
    audit_live(block, input->size);
    char *inside = block + input->n;
    child_note("pointer=%p", (void *)inside);
    input->use(opaque(inside), input->size);
}

static void act_overflow(const BadInput *input)
{
    char *block = audit_begin(input->size);
    char *end = block + malloc_usable_size(block);
    memset(opaque(end), 0x41, (size_t)input->n);
    audit_own_write(end, (size_t)input->n);
    free(opaque(block));
}

static void act_underflow(const BadInput *input)
{
    char *block = audit_begin(input->size);
    char *before = block - input->n;
    memset(opaque(before), 0x41, (size_t)input->n);
    audit_own_write(before, (size_t)input->n);
    free(opaque(block));
}

// ---- foreign pointers ----

static void act_foreign(const BadInput *input)
{
    audit_begin(input->size);
    void *pointer = opaque(input->make());
    child_note("pointer=%p", pointer);
    input->use(pointer, input->size);
}

// ---- the table ----

static BadInput inputs[INPUTS_MAX];
static char names[INPUTS_MAX][NAME_BYTES];
static size_t n_inputs;

static const size_t sizes[] = {16, 100, 1000, 3000, 5000, 20000, 100000, 3 * MIB};

// No cache of blocks of this size is in front of the check: every fault is found at the call.
static bool is_uncached(size_t size)
{
    return size > 32 * KIB;
}

static void add(BadInput input, const char *kind)
{
    EXPECT(n_inputs < INPUTS_MAX, "room for the bad input");
    if (input.detail) {
        snprintf(names[n_inputs], NAME_BYTES, "%s_%s", kind, input.detail);
    } else {
        snprintf(names[n_inputs], NAME_BYTES, "%s_%zu_%td", kind, input.size, input.n);
    }
    input.kind = kind;
    inputs[n_inputs++] = input;
}

static void add_double_frees(size_t size)
{
    static const ptrdiff_t delays[] = {0, 1, 3, 10, 30, 100, 300, DELAY_MAX};
    unsigned allowed = is_uncached(size) ? ONE(ABORT) : LATE;
    for (size_t i = 0; i < (is_uncached(size) ? 4 : COUNT_OF(delays)); i++)
        add((BadInput){.act = act_delayed, .size = size, .n = delays[i], .allowed = allowed}, "double_free_delayed");
    add((BadInput){.act = act_then_by_thread, .size = size, .allowed = allowed}, "double_free_then_by_thread");
    add((BadInput){.act = act_after_thread, .size = size, .allowed = allowed}, "double_free_after_thread");
    add((BadInput){.act = act_after_flush, .size = size, .allowed = allowed}, "double_free_after_flush");
    add((BadInput){.act = act_after_reuse, .size = size, .allowed = allowed}, "double_free_after_reuse");
}

static void add_freed(size_t size)
{
    unsigned allowed = is_uncached(size) ? ONE(ABORT) : LATE;
    add((BadInput){.act = act_on_freed, .use = use_realloc_grow, .size = size, .allowed = allowed},
        "realloc_grow_freed");
    add((BadInput){.act = act_on_freed, .use = use_realloc_same, .size = size, .allowed = allowed},
        "realloc_same_freed");
    add((BadInput){.act = act_on_freed, .use = use_realloc_shrink, .size = size, .allowed = allowed},
        "realloc_shrink_freed");
    add((BadInput){.act = act_on_freed, .use = use_realloc_0, .size = size, .allowed = allowed}, "realloc_0_freed");
    add((BadInput){.act = act_on_freed, .use = use_usable_size, .size = size, .allowed = allowed & ~ONE(SILENT)},
        "usable_size_freed");
    for (ptrdiff_t bytes = 0; bytes <= 8; bytes = bytes ? bytes * 8 : 1)
        add((BadInput){.act = act_write_freed, .size = size, .n = bytes, .allowed = ONE(HARMLESS)}, "write_freed");
}

// Its class is carved out of runs like those up to a page, so that a block may begin at each KiB of any page.
static bool is_half_step(size_t size)
{
    return (size > 4096 && size <= 7168) || (size > 8192 && size <= 10240) || (size > 12288 && size <= 14336);
}

static void add_interior(size_t size)
{
    const ptrdiff_t offsets[] = {1, 8, 16, (ptrdiff_t)(size / 2 & ~(size_t)15), 4096, (ptrdiff_t)size - 1};
    for (size_t i = 0; i < COUNT_OF(offsets); i++) {
        bool seen = offsets[i] >= (ptrdiff_t)size || offsets[i] == 0 || (i > 2 && offsets[i] == offsets[i - 1]);
        if (seen) continue;
        // free() of a cached size only asks whether a block may begin in this page; the others know every place where
        // one may: of a medium one some multiples of 64 in its first page.
        bool may_begin = offsets[i] < 4096 || (is_half_step(size) && offsets[i] % 1024 == 0);
        unsigned freed = !is_uncached(size) && may_begin ? LATE : ONE(ABORT);
        unsigned asked = freed != LATE || size <= 4096 || offsets[i] % 64 != 0 ? ONE(ABORT) : LATE;
        add((BadInput){.act = act_interior, .use = use_free, .size = size, .n = offsets[i], .allowed = freed},
            "free_interior");
        add((BadInput){.act = act_interior, .use = use_realloc_grow, .size = size, .n = offsets[i], .allowed = asked},
            "realloc_interior");
        add((BadInput){.act = act_interior, .use = use_usable_size, .size = size, .n = offsets[i], .allowed = asked},
            "usable_size_interior");
    }
}

static void add_own_writes(size_t size)
{
    unsigned allowed = OWN_WRITE | (is_uncached(size) ? ONE(CRASH) : 0);
    for (ptrdiff_t bytes = 1; bytes <= 16; bytes = bytes == 1 ? 8 : bytes * 2) {
        add((BadInput){.act = act_overflow, .size = size, .n = bytes, .allowed = allowed}, "overflow");
        add((BadInput){.act = act_underflow, .size = size, .n = bytes, .allowed = allowed}, "underflow");
    }
}

static void add_foreign(void)
{
    for (size_t m = 0; m < N_FOREIGN; m++) {
        BadInput input = {.act = act_foreign, .make = foreign_pointers[m].make, .size = 100, .allowed = ONE(ABORT)};
        input.detail = foreign_pointers[m].name;
        input.use = use_free;
        add(input, "free_foreign");
        input.use = use_realloc_grow;
        add(input, "realloc_foreign");
        input.use = use_usable_size;
        add(input, "usable_size_foreign");
    }
}

// Every wrong pointer is found at the call. A write before a block is seen where a cache colour or a free block is hit,
// one into a freed block when that is handed out again or leaves the quarantine; above 32 KiB both meet a guard page.
static void expect_hardened(void)
{
    for (size_t i = 0; i < n_inputs; i++) {
        BadInput *input = &inputs[i];
        unsigned guard = is_uncached(input->size) ? ONE(CRASH) : 0;
        input->allowed = ONE(ABORT);
        if (input->act == act_write_freed) input->allowed = guard ? guard : ONE(ABORT);
        if (input->act == act_underflow) input->allowed = guard ? guard : ONE(ABORT) | OWN_WRITE;
    }
}

static void input_run(const void *arg)
{
    const BadInput *input = arg;
    expect_count = 1; // the outcome
    input->act(input);
    audit_end(input->size, input->act == act_delayed ? (size_t)input->n : 0);
}

// ---- outcomes ----

static unsigned tally[OUTCOME_COUNT], n_judged;
static bool is_silent[INPUTS_MAX], is_hardened;

static Outcome outcome_of(const ChildResult *result)
{
    if (result->timed_out) return HANG;
    if (strstr(result->note, "audit=broken")) return SILENT;
    if (WIFSIGNALED(result->status)) return WTERMSIG(result->status) == SIGABRT && result->err[0] ? ABORT : CRASH;
    if (WEXITSTATUS(result->status) != 0) return CRASH;
    return strstr(result->note, "neighbour") ? NEIGHBOUR : HARMLESS;
}

// hz3's line names the call, the pointer that it was given, and the fault.
static bool names_the_fault(const BadInput *input, const ChildResult *result)
{
    // What a write before a block broke may be the end of its neighbour: that one is named, when it is freed.
    if (is_hardened && input->act == act_underflow) {
        return strstr(result->err, "overflow: byte ") || strstr(result->err, "underflow: bytes ") ||
               strstr(result->err, "write after free: byte ");
    }
    const char *pointer = NULL;
    for (const char *at = strstr(result->note, "pointer="); at; at = strstr(at + 1, "pointer="))
        pointer = at + strlen("pointer=");
    if (!pointer || strncmp(result->err, "hz3: ", 5) != 0) return false;
    char named[40];
    snprintf(named, sizeof named, "(%.*s): ", (int)strcspn(pointer, "\n"), pointer);
    const char *fault = strstr(result->err, named);
    return fault && strlen(fault) > strlen(named) + 10;
}

static void input_judge(const ChildResult *result, const void *arg, char *why, size_t why_bytes)
{
    const BadInput *input = arg;
    Outcome outcome = outcome_of(result);
    tally[outcome]++;
    n_judged++;
    if ((input->allowed & ONE(outcome)) == 0) {
        snprintf(why, why_bytes, "%s", outcome_names[outcome]);
    } else if (outcome == ABORT && !names_the_fault(input, result)) {
        snprintf(why, why_bytes, "the message does not name the pointer and the fault");
    }
    is_silent[input - inputs] = outcome == SILENT;
}

static void total_run(const void *arg)
{
    (void)arg;
}

static void print_tally(const char *prefix)
{
    printf("%s%u bad inputs:", prefix, n_judged);
    for (size_t o = 0; o < OUTCOME_COUNT; o++)
        printf(" %u %s%s", tally[o], outcome_names[o], o + 1 < OUTCOME_COUNT ? "," : "\n");
}

// "# silent: double_free_delayed 48, ..."
static void print_silent_kinds(void)
{
    for (size_t i = 0; i < n_inputs; i++) {
        unsigned n = 0;
        for (size_t j = i; is_silent[i] && j < n_inputs; j++) {
            if (strcmp(inputs[j].kind, inputs[i].kind) != 0) continue;
            n += is_silent[j];
            is_silent[j] = is_silent[j] && j == i;
        }
        if (n) printf("# silent: %u %s\n", n, inputs[i].kind);
    }
}

static void total_judge(const ChildResult *result, const void *arg, char *why, size_t why_bytes)
{
    (void)result;
    (void)arg;
    unsigned silent_max = is_hardened ? 0 : SILENT_MAX;
    print_tally("# ");
    print_silent_kinds();
    if (n_judged < INPUTS_MIN) {
        snprintf(why, why_bytes, "%u bad inputs, expected at least %d", n_judged, INPUTS_MIN);
    } else if (tally[HANG] != 0) {
        snprintf(why, why_bytes, "%u hang", tally[HANG]);
    } else if (tally[SILENT] > silent_max) {
        snprintf(why, why_bytes, "%u are silent, expected at most %u", tally[SILENT], silent_max);
    } else if (is_hardened && tally[ABORT] * 100 < n_judged * HARDENED_ABORT_PERCENT_MIN) {
        snprintf(why, why_bytes, "%u of %u abort, expected %d %%", tally[ABORT], n_judged, HARDENED_ABORT_PERCENT_MIN);
    }
}

static int count_only(const TestCase *cases, bool list)
{
    static ChildResult result;
    for (size_t i = 0; i < n_inputs; i++) {
        child_run((const char *const[]){"/proc/self/exe", "--case", cases[i].name, NULL}, &cases[i].child, &result);
        Outcome outcome = outcome_of(&result);
        tally[outcome]++;
        n_judged++;
        if (list) printf("%-10s %s\n", outcome_names[outcome], cases[i].name);
    }
    print_tally("");
    return 0;
}

int main(int argc, char **argv)
{
    static TestCase cases[INPUTS_MAX + 1];
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        add_double_frees(sizes[i]);
        add_freed(sizes[i]);
        add_interior(sizes[i]);
        add_own_writes(sizes[i]);
    }
    add_foreign();
    is_hardened = preload_path() && strstr(preload_path(), "_hardened.so");
    if (is_hardened) expect_hardened();
    for (size_t i = 0; i < n_inputs; i++)
        cases[i] = (TestCase){.name = names[i], .run = input_run, .arg = &inputs[i], .judge = input_judge};
    cases[n_inputs] = (TestCase){.name = "the_totals_are_as_promised", .run = total_run, .judge = total_judge};
    if (argc >= 2 && strcmp(argv[1], "--count") == 0) return count_only(cases, argc > 2);
    return tests_main(argc, argv, cases, n_inputs + 1);
}
