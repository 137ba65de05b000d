// The HZB1 protocol as the harness sees it: phase marks, one final line, the wait for its byte, the live page.
#include "live.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX_ARGS = 16, MAX_LINES = 64, LINE_BYTES = 512 };

typedef struct Run {
    pid_t pid;
    int socket;
    LivePage *live;
    char lines[MAX_LINES][LINE_BYTES];
    unsigned n_lines;
} Run;

static LivePage *live_page_make(int *fd, uint32_t n_slots)
{
    size_t bytes = sizeof(LivePage) + n_slots * sizeof(LiveSlot);
    *fd = memfd_create("live", 0);
    assert_true(*fd >= 0);
    assert_int_equal(ftruncate(*fd, (off_t)bytes), 0);
    LivePage *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    memcpy(page->magic, "HZBLIVE1", sizeof page->magic);
    page->version = 1;
    page->n_slots = n_slots;
    return page;
}

static void child_exec(const char *arguments, int socket, int live_fd)
{
    char program[4096], words[256], number[16];
    char *argv[MAX_ARGS] = {0};
    snprintf(words, sizeof words, "%s", arguments);
    unsigned n = 0;
    for (char *word = strtok(words, " "); word != NULL && n < MAX_ARGS - 1; word = strtok(NULL, " "))
        argv[n++] = word;
    snprintf(program, sizeof program, "%s/%s", getenv("BUILD"), argv[0]);
    snprintf(number, sizeof number, "%d", socket);
    setenv("HZB_FD", number, 1);
    snprintf(number, sizeof number, "%d", live_fd);
    setenv("HZB_LIVE_FD", number, 1);
    int silent = open("/dev/null", O_WRONLY);
    dup2(silent, STDOUT_FILENO);
    dup2(silent, STDERR_FILENO);
    execv(program, argv);
    _exit(127);
}

static void run_start(Run *run, const char *arguments, uint32_t n_slots, const char *magic)
{
    int ends[2], live_fd;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    run->live = live_page_make(&live_fd, n_slots);
    memcpy(run->live->magic, magic, sizeof run->live->magic);
    run->pid = fork();
    if (run->pid == 0) child_exec(arguments, ends[1], live_fd);
    close(ends[1]);
    close(live_fd);
    run->socket = ends[0];
    run->n_lines = 0;
}

// Reads lines up to the final one, or to the end of the stream.
static bool run_read(Run *run)
{
    FILE *stream = fdopen(dup(run->socket), "r");
    bool final = false;
    while (!final && run->n_lines < MAX_LINES && fgets(run->lines[run->n_lines], LINE_BYTES, stream) != NULL)
        final = strncmp(run->lines[run->n_lines++], "HZB1 ops=", 9) == 0;
    fclose(stream);
    return final;
}

// The end of the stream counts as the harness's byte.
static int run_exit_code(Run *run)
{
    int status;
    close(run->socket);
    assert_int_equal(waitpid(run->pid, &status, 0), run->pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int exit_code_of(const char *arguments, uint32_t n_slots, const char *magic)
{
    Run run;
    run_start(&run, arguments, n_slots, magic);
    run_read(&run);
    return run_exit_code(&run);
}

static void assert_phases(const Run *run, const char *const *expected)
{
    uint64_t last_ns = 0;
    unsigned i = 0;
    for (; expected[i] != NULL; i++) {
        char name[32];
        unsigned cycle;
        uint64_t at_ns;
        assert_true(i < run->n_lines);
        assert_int_equal(sscanf(run->lines[i], "HZB1 phase=%31s cycle=%u t_ns=%" SCNu64 "\n", name, &cycle, &at_ns), 3);
        char phase[48];
        snprintf(phase, sizeof phase, "%s/%u", name, cycle);
        assert_string_equal(phase, expected[i]);
        assert_true(at_ns >= last_ns);
        last_ns = at_ns;
    }
    assert_int_equal(run->n_lines, i + 1);
}

static uint64_t field(const Run *run, const char *key, int base)
{
    char pattern[64];
    snprintf(pattern, sizeof pattern, " %s=", key);
    const char *at = strstr(run->lines[run->n_lines - 1], pattern);
    assert_non_null(at);
    return strtoull(at + strlen(pattern), NULL, base);
}

// The workload has sent its final line: it must be waiting, with nothing alive.
static void assert_waits_with_nothing_alive(const Run *run)
{
    usleep(50000);
    assert_int_equal(waitpid(run->pid, NULL, WNOHANG), 0);
    int64_t sum = 0;
    assert_in_range(run->live->n_slots, 1, LIVE_SLOTS - 1); // lowered to what it uses
    for (uint32_t i = 0; i < LIVE_SLOTS; i++)
        sum += run->live->slots[i].bytes;
    assert_int_equal(sum, 0);
}

static void test_random_mixed_sends_phases_and_final_line(void **state)
{
    (void)state;
    Run run;
    run_start(&run, "bench_random_mixed_mt_remote_malloc 3 30000 100 16 512 40", LIVE_SLOTS, "HZBLIVE1");
    assert_true(run_read(&run));
    assert_phases(&run, (const char *const[]){"setup/0", "work/0", "drain/0", "post/0", NULL});
    assert_waits_with_nothing_alive(&run);
    assert_int_equal(field(&run, "ops", 10), 90000);
    assert_int_equal(field(&run, "alloc_failed", 10), 0);
    assert_int_equal(field(&run, "live_at_fail", 10), 0);
    assert_in_range(field(&run, "live_peak", 10), 3 * 100 * 200, (3 * 100 + 3 * 65536) * 512);
    assert_true(field(&run, "work_ns", 10) > 0 && field(&run, "checksum", 16) != 0);
    assert_in_range(field(&run, "actual_remote_pct", 10) + field(&run, "fallback_pct", 10), 38, 42);
    assert_int_equal(write(run.socket, "x", 1), 1);
    assert_int_equal(run_exit_code(&run), 0);
}

static void test_burst_idle_sends_a_mark_a_phase_and_cycle(void **state)
{
    (void)state;
    for (int keep_hold = 0; keep_hold <= 1; keep_hold++) {
        Run run;
        char arguments[128];
        snprintf(arguments, sizeof arguments, "bench_burst_idle_v2 1001 0.05 2 0 3 100 100 %d", keep_hold);
        run_start(&run, arguments, LIVE_SLOTS, "HZBLIVE1");
        assert_true(run_read(&run));
        assert_phases(
            &run, (const char *const[]){"burst/1", "free/1", "idle/1", "burst/2", "free/2", "idle/2", "post/0", NULL});
        assert_waits_with_nothing_alive(&run);
        assert_int_equal(field(&run, "ops", 10), 2 * 2 * 1001);
        assert_int_equal(field(&run, "live_peak", 10), 1001 * 100);
        assert_null(strstr(run.lines[run.n_lines - 1], "fallback_pct"));
        assert_int_equal(run_exit_code(&run), 0);
    }
}

static void test_refuses_what_does_not_fit(void **state)
{
    (void)state;
    const char *run = "bench_random_mixed_mt_remote_malloc 3 10 10 16 64 0";
    assert_int_equal(exit_code_of(run, 2, "HZBLIVE1"), EXIT_USAGE);
    assert_int_equal(exit_code_of(run, 3, "HZBLIVE2"), EXIT_USAGE);
    assert_int_equal(exit_code_of("bench_burst_idle_v2 10 0 1 0 3", 2, "HZBLIVE1"), EXIT_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_mixed_sends_phases_and_final_line),
        cmocka_unit_test(test_burst_idle_sends_a_mark_a_phase_and_cycle),
        cmocka_unit_test(test_refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests_name("protocol", tests, NULL, NULL);
}
