// A sample's control group. Where the kernel or our place in its groups allows none, only that is tested, unless
// CGROUP_NEEDED says that there must be one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "process/cgroup.h"

enum { FILE_MIB = 32, MIB = 1 << 20, CHILD_S_MAX = 20 };

static void expect_group(const char *text, const char *expected)
{
    char *group = cgroup_in(text, "/r");
    if (expected)
        assert_string_equal(group, expected);
    else
        assert_null(group);
    free(group);
}

static void our_group_is_the_one_of_version_2(void **state)
{
    (void)state;
    expect_group("0::/\n", "/r/");
    expect_group("0::/user.slice/a.scope\n", "/r/user.slice/a.scope");
    expect_group("12:memory:/a\n1:name=systemd:/b\n0::/c\n", "/r/c");
    expect_group("10::/a\n", NULL);
    expect_group("", NULL);
}

static void no_group_knows_nothing(void **state)
{
    (void)state;
    Cgroup none = {0};
    cgroup_enter(&none);
    assert_int_equal(cgroup_peak_kib(&none), -1);
    cgroup_close(&none);
}

// Of a kernel that has all that the tests ask for. Otherwise the test is skipped.
static Cgroup group_or_skip(void)
{
    Cgroup group = cgroup_open("test");
    char *kill = xfmt("%s/cgroup.kill", group.path ? group.path : "");
    const bool is_whole = cgroup_peak_kib(&group) >= 0 && access(kill, F_OK) == 0;
    free(kill);
    if (is_whole) return group;
    cgroup_close(&group);
    if (getenv("CGROUP_NEEDED")) fail_msg("there is no control group with memory.peak and cgroup.kill");
    skip();
    return group;
}

// Pages of a file in memory are part of no process's RSS.
static void write_a_file(void)
{
    static char block[MIB];
    char path[] = "/dev/shm/cgroup_test.XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || unlink(path) != 0) _exit(1);
    memset(block, 1, sizeof block);
    for (unsigned i = 0; i < FILE_MIB; i++)
        if (write(fd, block, sizeof block) != (ssize_t)sizeof block) _exit(1);
    _exit(0);
}

static int status_of(pid_t pid)
{
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

// In KiB, of a file of 32 MiB that a process in the group writes.
static int64_t peak_of_a_file(const Cgroup *group)
{
    pid_t pid = fork();
    if (pid == 0) {
        cgroup_enter(group);
        write_a_file();
    }
    return status_of(pid) == 0 ? cgroup_peak_kib(group) : -1;
}

static void a_group_counts_the_pages_of_files(void **state)
{
    (void)state;
    Cgroup group = group_or_skip();
    const int64_t before_kib = cgroup_peak_kib(&group), peak_kib = peak_of_a_file(&group);
    cgroup_close(&group);
    assert_true(before_kib < MIB / 1024);
    assert_in_range(peak_kib, FILE_MIB * 1024, (FILE_MIB + 16) * 1024);
}

static void closing_ends_what_is_in_it(void **state)
{
    (void)state;
    Cgroup group = group_or_skip();
    int ready[2];
    char said;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(CHILD_S_MAX);
        cgroup_enter(&group);
        if (write(ready[1], "r", 1) == 1) pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &said, 1), 1);
    char *path = strdup(group.path);
    cgroup_close(&group);
    assert_int_equal(access(path, F_OK), -1);
    const int status = status_of(pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    free(path);
}

// A process that has moved into a group of its own finds its samples' groups there.
static void hzb_moves_aside_where_it_is_alone(void **state)
{
    (void)state;
    Cgroup outer = group_or_skip();
    pid_t pid = fork();
    if (pid == 0) {
        alarm(CHILD_S_MAX);
        cgroup_enter(&outer);
        execl("/proc/self/exe", "cgroup_test", "alone", (char *)NULL);
        _exit(1);
    }
    const int status = status_of(pid);
    char *aside = xfmt("%s/hzb", outer.path);
    rmdir(aside);
    free(aside);
    cgroup_close(&outer);
    assert_int_equal(status, 0);
}

static int run_alone(void)
{
    Cgroup group = cgroup_open("test");
    const int64_t peak_kib = group.path ? peak_of_a_file(&group) : -1;
    cgroup_close(&group);
    return peak_kib >= FILE_MIB * 1024 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "alone") == 0) return run_alone();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_group_is_the_one_of_version_2), cmocka_unit_test(no_group_knows_nothing),
        cmocka_unit_test(a_group_counts_the_pages_of_files), cmocka_unit_test(closing_ends_what_is_in_it),
        cmocka_unit_test(hzb_moves_aside_where_it_is_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
