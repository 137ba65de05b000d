// A sandbox that comes after the program's start, when hz3 has long chosen its ways: one that kills at a call that the
// C library's malloc would not make, and one that answers calls by a handler of the program's.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "support.h"

#define PATIENCE_MS 20000
#define CALLS_MAX 16

// Of this thread, and of those that it starts.
static void install(const struct sock_filter *code, size_t n)
{
    struct sock_fprog program = {.len = (unsigned short)n, .filter = (struct sock_filter *)(uintptr_t)code};
    NEEDS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no seccomp here");
    NEEDS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "no seccomp here");
}

// `hit`: what happens at the calls of the list; the others get `miss`.
static void sort_calls(const long *calls, size_t n, unsigned hit, unsigned miss)
{
    struct sock_filter code[CALLS_MAX + 3] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    size_t length = 1;
    EXPECT(n <= CALLS_MAX, "the filter's size");
    for (size_t i = 0; i < n; i++)
        code[length++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], (unsigned char)(n - i), 0);
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, miss);
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, hit);
    install(code, length);
}

// ---- one that kills ----

// glibc's malloc, the end of the process, and what stdio has left to write.
static const long of_the_c_library[] = {SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap,     SYS_madvise,
                                        SYS_brk,  SYS_futex,  SYS_exit,     SYS_exit_group, SYS_write};

static void kill_at_other_calls(void)
{
    sort_calls(of_the_c_library, COUNT_OF(of_the_c_library), SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
}

// Through all layers and back: small, medium, spans, mappings, realloc.
static void work(size_t rounds)
{
    static void *block[4000];
    uint64_t random = 11;
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < COUNT_OF(block); i++) {
            size_t size = random_size(&random, i % 100 == 0 ? 3 * MIB : 16 * KIB);
            block[i] = malloc(size);
            memset(block[i], 1, size);
        }
        for (size_t i = 0; i < COUNT_OF(block); i += 50)
            block[i] = realloc(block[i], random_size(&random, 4 * MIB));
        for (size_t i = 0; i < COUNT_OF(block); i++)
            free(block[i]);
    }
}

// arg: whether the heap was large before.
static void a_sandboxed_program_works_and_ends(const void *arg)
{
    if (arg) work(3);
    kill_at_other_calls();
    work(10);
    exit(0);
}

static void its_epochs_make_no_other_call(const void *arg)
{
    (void)arg;
    kill_at_other_calls();
    for (int i = 0; i < 1000 && counter("purged_pages") == 0; i++)
        work(1);
    EXPECT(counter("epochs") > 0 && counter("purged_pages") > 0, "no epoch");
    exit(0);
}

static void *work_in_a_thread(void *arg)
{
    work(3);
    return arg;
}

// The purger sleeps or works on; the sandbox is this thread's.
static void the_end_makes_no_call(const void *arg)
{
    (void)arg;
    static const long to_end[] = {SYS_exit_group};
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, work_in_a_thread, NULL) == 0, "a thread");
    pthread_join(thread, NULL);
    for (size_t size = 16; size <= 16 * KIB; size *= 2)
        free(malloc(size));
    sort_calls(to_end, COUNT_OF(to_end), SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
    exit(0);
}

// ---- one that asks the program ----

static volatile sig_atomic_t asked;

static void answer_as_if_done(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    asked++;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = 0;
}

static void trap(const long *calls, size_t n)
{
    struct sigaction action = {.sa_sigaction = answer_as_if_done, .sa_flags = SA_SIGINFO};
    EXPECT(sigaction(SIGSYS, &action, NULL) == 0, "sigaction");
    sort_calls(calls, n, SECCOMP_RET_TRAP, SECCOMP_RET_ALLOW);
}

// The C library's end of a thread would be asked about with all signals blocked.
static void *work_and_stay(void *arg)
{
    work(3);
    sleep_ms(1000000);
    return arg;
}

// Another thread's frees, so that the purger, which inherits the sandbox, has to give them back.
static void the_purgers_calls_are_asked_about(const void *arg)
{
    (void)arg;
    static const long purging[] = {SYS_madvise, SYS_process_madvise};
    pthread_t thread;
    trap(purging, COUNT_OF(purging));
    asked = 0;
    EXPECT(pthread_create(&thread, NULL, work_and_stay, NULL) == 0, "a thread");
    for (Patience patience = patience_of_ms(PATIENCE_MS); counter("purged_pages") == 0 && patience_lasts(&patience);)
        sleep_ms(5);
    EXPECT(counter("purged_pages") > 0 && asked > 0, "%d calls were asked about", (int)asked);
}

static void *stay(void *arg)
{
    sleep_ms(1000000);
    return arg;
}

// Beside a second thread, for a process that has one needs no barrier; and without a purger, which makes barriers, too.
static void a_forks_calls_are_asked_about(const void *arg)
{
    (void)arg;
    static const long barriers[] = {SYS_membarrier};
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, stay, NULL) == 0, "a thread");
    free(malloc(100));
    trap(barriers, COUNT_OF(barriers));
    asked = 0;
    pid_t pid = fork();
    EXPECT(pid >= 0, "fork");
    if (pid == 0) _exit(0);
    child_wait(pid, "child");
    EXPECT(asked > 0, "fork makes no barrier");
}

#define CASE(function, ...)                                                                                            \
    {                                                                                                                  \
        .name = #function, .run = function, __VA_ARGS__                                                                \
    }

int main(int argc, char **argv)
{
    static const char *const thread_front[] = {"HZ3_FRONT=thread", NULL};
    static const char *const no_purger[] = {"HZ3_PURGER=0", NULL};
    static const char *const often[] = {"HZ3_EPOCH_TICK_MS=1", "HZ3_S65_PURGE_AGE_EPOCHS=0", NULL};
    const TestCase cases[] = {
        CASE(a_sandboxed_program_works_and_ends),
        {.name = "a_sandboxed_large_program_works_and_ends", .run = a_sandboxed_program_works_and_ends, .arg = argv},
        {.name = "a_sandboxed_program_on_the_thread_front",
         .run = a_sandboxed_program_works_and_ends,
         .child = {.env = thread_front}},
        {.name = "a_sandboxed_program_without_a_purger",
         .run = a_sandboxed_program_works_and_ends,
         .child = {.env = no_purger}},
        CASE(its_epochs_make_no_other_call, .child = {.env = often}),
        CASE(the_end_makes_no_call),
        CASE(the_purgers_calls_are_asked_about),
        CASE(a_forks_calls_are_asked_about, .child = {.env = no_purger}),
    };
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
