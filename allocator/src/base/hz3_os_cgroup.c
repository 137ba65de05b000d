// How much memory the process's control group may have (cgroups(7)). In a container the group's own folder is the root
// of the file system that is mounted, so the path that the kernel tells may lead nowhere and its parents still count.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hz3_os.h"

#define PATH_BYTES 512
#define TEXT_BYTES 2048

// The smallest limit of the group and those that it is in. SIZE_MAX: there is none.
static size_t limit_of_group(const char *mount, const char *group, const char *file)
{
    size_t limit = SIZE_MAX;
    char folder[PATH_BYTES];
    char path[PATH_BYTES];
    char text[32];
    int n = snprintf(folder, sizeof folder, "%s%s", mount, group);
    if (n < 0 || (size_t)n >= sizeof folder) {
        return SIZE_MAX;
    }
    size_t mount_length = strlen(mount);
    for (;;) {
        n = snprintf(path, sizeof path, "%s/%s", folder, file);
        if (n > 0 && (size_t)n < sizeof path && hz3_os_read_file(path, text, sizeof text) && text[0] >= '0' &&
            text[0] <= '9') { // or "max"
            unsigned long bytes = strtoul(text, NULL, 10);
            limit = bytes < limit ? bytes : limit;
        }
        char *last = strrchr(folder + mount_length, '/');
        if (last == NULL) {
            return limit;
        }
        *last = '\0';
    }
}

// A line of /proc/self/cgroup: number:controllers:/group. The number 0 is version 2, which has no list of controllers.
static size_t limit_of_line(char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL || group[1] != '/') {
        return SIZE_MAX;
    }
    *group++ = '\0';
    if (controllers[1] == '\0') {
        return limit_of_group("/sys/fs/cgroup", group, "memory.max");
    }
    if (strstr(controllers, "memory") != NULL) {
        return limit_of_group("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
    }
    return SIZE_MAX;
}

size_t hz3_os_memory_limit(void)
{
    size_t limit = SIZE_MAX;
    char text[TEXT_BYTES];
    if (hz3_os_read_file("/proc/self/cgroup", text, sizeof text)) {
        char *rest;
        for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
            size_t bytes = limit_of_line(line);
            limit = bytes < limit ? bytes : limit;
        }
    }
    size_t ram = hz3_os_ram_bytes();
    return ram != 0 && ram < limit ? ram : limit;
}
