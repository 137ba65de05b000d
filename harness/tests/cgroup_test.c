// A sample's control group. Where the kernel or our place in its groups allows none, only that is tested.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/cgroup.h"

enum { FILE_MIB = 32, MIB = 1 << 20 };

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

static void a_group_counts_the_pages_of_files(void **state)
{
    (void)state;
    Cgroup group = cgroup_open("test");
    if (!group.path) skip();
    assert_true(cgroup_peak_kib(&group) < MIB / 1024);
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        cgroup_enter(&group);
        write_a_file();
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    const int64_t peak_kib = cgroup_peak_kib(&group);
    assert_in_range(peak_kib, FILE_MIB * 1024, (FILE_MIB + 16) * 1024);
    cgroup_close(&group);
}

static void closing_ends_what_is_in_it(void **state)
{
    (void)state;
    Cgroup group = cgroup_open("test");
    if (!group.path) skip();
    int ready[2], status = -1;
    char said;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        cgroup_enter(&group);
        if (write(ready[1], "r", 1) == 1) pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &said, 1), 1);
    char *path = strdup(group.path);
    cgroup_close(&group);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_group_is_the_one_of_version_2),
        cmocka_unit_test(no_group_knows_nothing),
        cmocka_unit_test(a_group_counts_the_pages_of_files),
        cmocka_unit_test(closing_ends_what_is_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
