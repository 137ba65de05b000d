// Where a preloaded library may not be wanted, or finds less than it is used to: setuid programs, static ones, a root
// without /proc and /sys, a sandbox that kills. The program there is life_guest.c, which says whose malloc it got.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define PATH_BYTES 4096
#define NOBODY 65534

static char folder[PATH_BYTES];

// Where nothing is mounted nosuid or noexec: beside the test program.
static void make_folder(void)
{
    snprintf(folder, sizeof folder, "%s/places.XXXXXX", program_dir());
    NEEDS(mkdtemp(folder), "no folder can be made beside the test program");
    EXPECT(chmod(folder, 0755) == 0, "chmod %s", folder);
}

static void remove_folder(void)
{
    static ChildResult result;
    child_run((const char *const[]){"/bin/rm", "-rf", folder, NULL}, NULL, &result);
}

typedef struct Body {
    void (*run)(void);
} Body;

// In a process of its own, so that nothing stays, a setuid program least of all, however the case ends.
static void in_a_folder(const void *arg)
{
    int status = 0;
    make_folder();
    pid_t pid = fork();
    if (pid == 0) {
        ((const Body *)arg)->run();
        _exit(0);
    }
    bool ended = pid > 0 && waitpid(pid, &status, 0) == pid;
    remove_folder();
    if (ended && WIFEXITED(status) && status != 0) _exit(WEXITSTATUS(status)); // it has said why
    EXPECT(ended && status == 0, "wait status 0x%x", (unsigned)status);
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
    struct stat status;
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
    EXPECT(in >= 0 && out >= 0 && fstat(in, &status) == 0, "copy of %s to %s", from, to);
    for (off_t left = status.st_size; left > 0;) {
        ssize_t n = sendfile(out, in, NULL, (size_t)left);
        EXPECT(n > 0, "copy of %s to %s", from, to);
        left -= n;
    }
    EXPECT(fchmod(out, mode) == 0, "chmod %s", to);
    close(in);
    close(out);
}

static const char *guest_path(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", program_dir(), name);
    return path;
}

static const char *in_folder(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

// `preload` is LD_PRELOAD's value, `malloc_of` hz3 or another.
static void expect_guest(const char *const argv[], const char *preload, const char *malloc_of)
{
    char entry[PATH_BYTES], wanted[64];
    static ChildResult result;
    snprintf(entry, sizeof entry, "LD_PRELOAD=%s", preload);
    snprintf(wanted, sizeof wanted, "malloc of %s, sound", malloc_of);
    const ChildOptions options = {.env = (const char *const[]){entry, NULL}};
    child_run(argv, &options, &result);
    EXPECT(!result.timed_out && result.status == 0 && strstr(result.out, wanted),
           "%s under LD_PRELOAD=%s: expected '%s'; wait status 0x%x, stdout '%s', stderr '%s'", argv[0], preload,
           wanted, (unsigned)result.status, result.out, result.err);
}

static void in_a_plain_program(const void *arg)
{
    (void)arg;
    NEEDS(preload_path() != NULL, "nothing is preloaded");
    expect_guest((const char *const[]){guest_path("life_guest"), NULL}, preload_path(), "hz3");
}

static void static_programs_do_not_notice(const void *arg)
{
    (void)arg;
    NEEDS(preload_path() != NULL, "nothing is preloaded");
    expect_guest((const char *const[]){guest_path("life_guest_static"), NULL}, preload_path(), "another");
}

// ---- secure execution: the loader ignores LD_PRELOAD, but for libraries that the administrator has made setuid ----

static const char *make_setuid_guest(void)
{
    NEEDS(preload_path() != NULL, "nothing is preloaded");
    NEEDS(geteuid() == 0, "not root: no setuid program of another user can be made");
    NEEDS(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0, "no process may have new privileges here");
    static char guest[PATH_BYTES];
    snprintf(guest, sizeof guest, "%s", in_folder("guest"));
    copy_file(guest_path("life_guest"), guest, 0600);
    struct statvfs place;
    NEEDS(statvfs(guest, &place) == 0 && (place.f_flag & ST_NOSUID) == 0, "the build folder is mounted nosuid");
    EXPECT(chown(guest, NOBODY, NOBODY) == 0 && chmod(guest, 04755) == 0, "chown and chmod of %s", guest);
    return guest;
}

static void setuid_programs_do_without(void)
{
    expect_guest((const char *const[]){make_setuid_guest(), NULL}, preload_path(), "another");
}

// In a mount namespace of its own the library takes the place of one that is in the loader's own folders.
static void setuid_programs_have_a_trusted_library(void)
{
    static const char place[] = "/usr/lib/x86_64-linux-gnu/libmemusage.so";
    const char *guest = make_setuid_guest();
    char library[PATH_BYTES];
    NEEDS(access(place, R_OK) == 0, "no libmemusage.so whose place could be taken");
    NEEDS(unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "no mount namespaces");
    snprintf(library, sizeof library, "%s", in_folder("library.so"));
    copy_file(preload_path(), library, 0755);
    NEEDS(mount(library, place, NULL, MS_BIND, NULL) == 0, "no bind mounts");
    expect_guest((const char *const[]){guest, NULL}, "libmemusage.so", "another");
    EXPECT(chmod(library, 04755) == 0, "chmod %s", library);
    expect_guest((const char *const[]){guest, NULL}, "libmemusage.so", "hz3");
}

// ---- a root without /proc, /sys and /dev ----

static void without_proc_and_sys(void)
{
    static const char *const libraries[] = {"/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"};
    NEEDS(preload_path() != NULL, "nothing is preloaded");
    NEEDS(geteuid() == 0, "not root: no chroot");
    for (size_t i = 0; i < COUNT_OF(libraries); i++) {
        NEEDS(access(libraries[i], R_OK) == 0, "the C library is somewhere else");
        copy_file(libraries[i], in_folder(strrchr(libraries[i], '/') + 1), 0755);
    }
    copy_file(guest_path("life_guest"), in_folder("guest"), 0755);
    copy_file(preload_path(), in_folder("hz3.so"), 0755);
    expect_guest((const char *const[]){"/usr/sbin/chroot", folder, "/ld-linux-x86-64.so.2", "--library-path", "/",
                                       "--preload", "/hz3.so", "/guest", NULL},
                 "", "hz3");
}

// ---- a sandbox that kills whoever makes a call that is not on its list ----

// What hz3 may call (allocator/doc/refused-calls.md), and what a C program with threads and a child needs anyway.
static const long allowed[] = {
    SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_process_madvise, SYS_membarrier, SYS_futex,
    SYS_clone, SYS_clone3, SYS_sched_getaffinity, SYS_getcpu, SYS_sysinfo, SYS_prlimit64, SYS_gettid, SYS_getpid,
    SYS_prctl, SYS_clock_gettime, SYS_clock_nanosleep, SYS_sched_setaffinity, SYS_sched_getscheduler,
    SYS_sched_setscheduler, SYS_getpriority, SYS_write,
    // the C library
    SYS_execve, SYS_brk, SYS_arch_prctl, SYS_access, SYS_openat, SYS_read, SYS_pread64, SYS_newfstatat, SYS_fstat,
    SYS_close, SYS_set_tid_address, SYS_set_robust_list, SYS_rseq, SYS_getrandom, SYS_rt_sigprocmask, SYS_rt_sigaction,
    SYS_rt_sigreturn, SYS_wait4, SYS_getuid, SYS_geteuid, SYS_exit, SYS_exit_group};

static void kill_at_other_calls(void)
{
    struct sock_filter filter[COUNT_OF(allowed) + 3] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    size_t n = 1;
    for (size_t i = 0; i < COUNT_OF(allowed); i++, n++) {
        unsigned char to_allow = (unsigned char)(COUNT_OF(allowed) - i);
        filter[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed[i], to_allow, 0);
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};
    NEEDS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no seccomp here");
    NEEDS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "no seccomp here");
}

static void guest_in_the_sandbox(const void *arg)
{
    (void)arg;
    static char guest[PATH_BYTES];
    snprintf(guest, sizeof guest, "%s", guest_path("life_guest"));
    kill_at_other_calls();
    execl(guest, guest, (char *)NULL);
    EXPECT(false, "exec of %s", guest);
}

static void a_sandbox_that_kills(const void *arg)
{
    (void)arg;
    NEEDS(preload_path() != NULL, "nothing is preloaded");
    child_run_case("guest_in_the_sandbox", NULL);
}

static const TestCase cases[] = {
    {.name = "in_a_plain_program", .run = in_a_plain_program},
    {.name = "static_programs_do_not_notice", .run = static_programs_do_not_notice},
    {.name = "setuid_programs_do_without", .run = in_a_folder, .arg = &(const Body){setuid_programs_do_without}},
    {.name = "setuid_programs_have_a_trusted_library",
     .run = in_a_folder,
     .arg = &(const Body){setuid_programs_have_a_trusted_library}},
    {.name = "without_proc_and_sys", .run = in_a_folder, .arg = &(const Body){without_proc_and_sys}},
    {.name = "a_sandbox_that_kills", .run = a_sandbox_that_kills},
    {.name = "guest_in_the_sandbox", .run = guest_in_the_sandbox, .helper = true},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
