#include "process/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/util.h"

static const char root[] = "/sys/fs/cgroup";
static const char hzbs_own[] = "hzb"; // its part of the group, once it has moved
enum { CLOSE_TRIES = 100, CLOSE_WAIT_US = 10000 };

char *cgroup_in(const char *text, const char *below)
{
    const char *line = text;
    while (line && strncmp(line, "0::/", 4) != 0) {
        line = strchr(line, '\n');
        if (line) line++;
    }
    return line ? xfmt("%s%.*s", below, (int)strcspn(line + 3, "\n"), line + 3) : NULL;
}

static bool write_to(const char *group, const char *file, const char *text)
{
    char *path = xfmt("%s/%s", group, file);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    const int error = errno;
    if (fd >= 0) close(fd);
    free(path);
    errno = error;
    return ok;
}

static char *read_from(const char *group, const char *file)
{
    char *path = xfmt("%s/%s", group, file), *text = file_text(path);
    free(path);
    return text;
}

static bool has_word(const char *group, const char *file, const char *word)
{
    char *text = read_from(group, file);
    if (!text) return false;
    text[strcspn(text, "\n")] = 0;
    StrList words = list_split(text, ' ');
    bool found = false;
    for (unsigned i = 0; i < words.count; i++)
        found = found || strcmp(words.items[i], word) == 0;
    list_free(&words);
    free(text);
    return found;
}

static bool is_alone_in(const char *group)
{
    char *there = read_from(group, "cgroup.procs"), *we = xfmt("%d\n", (int)getpid());
    const bool alone = there && strcmp(there, we) == 0;
    free(there);
    free(we);
    return alone;
}

static bool move_aside(const char *group)
{
    char *aside = xfmt("%s/%s", group, hzbs_own);
    const bool ok = (mkdir(aside, 0755) == 0 || errno == EEXIST) && write_to(aside, "cgroup.procs", "0");
    free(aside);
    return ok;
}

// The group that ours may be made in; NULL: there is none. Where hzb is does not change once this was asked for.
static const char *parent(void)
{
    static char *found;
    static bool is_known;
    if (is_known) return found;
    is_known = true;
    char *text = file_text("/proc/self/cgroup"), *group = text ? cgroup_in(text, root) : NULL;
    free(text);
    const bool ok =
        group && has_word(group, "cgroup.controllers", "memory") &&
        (has_word(group, "cgroup.subtree_control", "memory") || write_to(group, "cgroup.subtree_control", "+memory") ||
         (errno == EBUSY && is_alone_in(group) && move_aside(group) &&
          write_to(group, "cgroup.subtree_control", "+memory")));
    if (ok)
        found = group;
    else
        free(group);
    return found;
}

Cgroup cgroup_open(const char *name)
{
    Cgroup group = {0};
    if (!parent()) return group;
    group.path = xfmt("%s/hzb.%d.%s", parent(), (int)getpid(), name);
    rmdir(group.path); // of a process that had our number and was killed
    if (mkdir(group.path, 0755) != 0) {
        free(group.path);
        group.path = NULL;
    }
    return group;
}

void cgroup_enter(const Cgroup *group)
{
    if (group->path) write_to(group->path, "cgroup.procs", "0");
}

int64_t cgroup_peak_kib(const Cgroup *group)
{
    char *text = group->path ? read_from(group->path, "memory.peak") : NULL;
    const int64_t peak_kib = text ? strtoll(text, NULL, 10) / 1024 : -1;
    free(text);
    return peak_kib;
}

// A process that was killed leaves a little later.
void cgroup_close(Cgroup *group)
{
    if (!group->path) return;
    write_to(group->path, "cgroup.kill", "1");
    for (unsigned i = 0; rmdir(group->path) != 0 && errno == EBUSY && i < CLOSE_TRIES; i++)
        usleep(CLOSE_WAIT_US);
    free(group->path);
    group->path = NULL;
}
