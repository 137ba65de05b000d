#include "process/target.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/host.h"

int target_open_statm(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int64_t target_rss_kib(int statm_fd)
{
    char text[128];
    int64_t size_pages, rss_pages;
    ssize_t got = pread(statm_fd, text, sizeof text - 1, 0);
    if (got <= 0) return 0;
    text[got] = 0;
    if (sscanf(text, "%" SCNd64 " %" SCNd64, &size_pages, &rss_pages) != 2) return 0;
    return rss_pages * (sysconf(_SC_PAGESIZE) / 1024);
}

TargetMemory target_memory(pid_t pid)
{
    assert(pid > 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    return (TargetMemory){proc_value(path, "VmHWM"), proc_value(path, "VmSwap")};
}

void target_reset_peak(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/clear_refs", (int)pid);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return; // then the peak is that of the whole run so far, which is what is recorded anyway
    ssize_t written = write(fd, "5", 1);
    (void)written;
    close(fd);
}

// What follows the program's name in /proc/PID/stat; the name, in parentheses, may have blanks and parentheses. NULL
// once the process has ended.
static char *stat_fields(pid_t pid)
{
    char *path = xfmt("/proc/%d/stat", (int)pid), *text = file_text(path);
    const char *end_of_name = text ? strrchr(text, ')') : NULL;
    char *fields = end_of_name ? xstrdup(end_of_name + 1) : NULL;
    free(path);
    free(text);
    return fields;
}

int64_t target_majflt(pid_t pid)
{
    int64_t majflt = -1;
    char *fields = stat_fields(pid);
    if (fields && sscanf(fields, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %" SCNd64, &majflt) != 1) majflt = -1;
    free(fields);
    return majflt;
}

int64_t target_cpu_ms(pid_t pid)
{
    int64_t user = 0, system = 0;
    char *fields = stat_fields(pid);
    const char *const format = " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNd64 " %" SCNd64;
    const bool known = fields && sscanf(fields, format, &user, &system) == 2;
    free(fields);
    return known ? (user + system) * 1000 / sysconf(_SC_CLK_TCK) : -1;
}

uint64_t target_stack_start(pid_t pid)
{
    enum { FIELDS_BEFORE = 25 }; // of those that stat_fields() has; see proc(5), startstack
    uint64_t start = 0;
    char *fields = stat_fields(pid), *at = fields;
    for (unsigned i = 0; at && i < FIELDS_BEFORE; i++) {
        at += strspn(at, " ");
        at = strchr(at, ' ');
    }
    if (at && sscanf(at, " %" SCNu64, &start) != 1) start = 0;
    free(fields);
    return start;
}

// Compared by what the path leads to now, for overlay and btrfs show another device in maps than stat() does.
static bool maps_have(const char *maps, const char *library)
{
    struct stat wanted, mapped;
    char path[4096];
    if (stat(library, &wanted) != 0) return false;
    for (const char *line = maps; *line; line = strchrnul(line, '\n'), line += *line == '\n') {
        size_t length = strcspn(line, "\n");
        const char *slash = memchr(line, '/', length);
        size_t path_length = slash ? (size_t)(line + length - slash) : 0;
        if (!slash || path_length >= sizeof path) continue;
        memcpy(path, slash, path_length);
        path[path_length] = 0;
        if (stat(path, &mapped) == 0 && mapped.st_dev == wanted.st_dev && mapped.st_ino == wanted.st_ino) return true;
    }
    return false;
}

static char *fault_in(const char *maps, const char *wanted, const StrList *known, bool alone)
{
    if (wanted && !maps_have(maps, wanted)) return xfmt("proof: %s is not mapped", wanted);
    for (unsigned i = 0; (alone || !wanted) && i < known->count; i++) {
        const char *other = known->items[i];
        if ((!wanted || strcmp(other, wanted) != 0) && maps_have(maps, other))
            return xfmt("proof: %s is mapped, expected %s", other, wanted ? wanted : "the C library's malloc alone");
    }
    return NULL;
}

static char *fault_of(pid_t pid, const char *wanted, const StrList *known, bool alone)
{
    assert(pid > 0);
    char *path = xfmt("/proc/%d/maps", (int)pid), *maps = file_text(path);
    char *fault = maps && *maps ? fault_in(maps, wanted, known, alone) : xfmt("proof: %s cannot be read", path);
    free(maps);
    free(path);
    return fault;
}

char *target_allocator_fault(pid_t pid, const char *wanted, const StrList *known)
{
    return fault_of(pid, wanted, known, true);
}

char *target_program_fault(pid_t pid, const char *wanted, const StrList *known)
{
    return fault_of(pid, wanted, known, false);
}
