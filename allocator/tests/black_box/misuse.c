#include "misuse.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define CASES_MAX 320
#define NAME_BYTES 96

typedef struct Misuse {
    const Maker *maker;
    const Action *action;
    size_t size;
    Settle settle;
    const char *const *words;
} Misuse;

// ---- what is done to bad pointers ----

void act_free(void *pointer, size_t size)
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

const Action action_free = {"free", act_free};
const Action action_realloc = {"realloc", act_realloc};
const Action actions[N_ACTIONS] = {
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

// ---- the table ----

static Misuse misuses[CASES_MAX];
static char names[CASES_MAX][NAME_BYTES];
static TestCase cases[CASES_MAX];
static size_t n_cases;

void add(const Maker *maker, const Action *action, size_t size, Settle settle, const char *const *words)
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

int misuse_main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, n_cases);
}
