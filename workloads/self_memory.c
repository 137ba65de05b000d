#include "self_memory.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const dump_sources[] = {NULL, "/proc/self/smaps_rollup", "/proc/self/smaps"};

static int statm_fd = -1;
static int dump_fd = -1;
static const char *dump_source;

static int file_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0644);
    if (fd < 0) die(EXIT_INTERNAL, "cannot open %s: %s", path, strerror(errno));
    return fd;
}

void self_memory_open(unsigned dump_mode)
{
    statm_fd = file_open("/proc/self/statm", O_RDONLY);
    dump_source = dump_sources[dump_mode];
    if (dump_source == NULL) return;
    const char *path = getenv("S59_2_DUMP_PATH");
    dump_fd = path != NULL ? file_open(path, O_WRONLY | O_CREAT | O_APPEND) : STDERR_FILENO;
}

uint64_t self_rss_bytes(void)
{
    char text[128];
    unsigned long long size, resident;
    ssize_t bytes = pread(statm_fd, text, sizeof text - 1, 0);
    if (bytes <= 0) die(EXIT_INTERNAL, "cannot read /proc/self/statm: %s", strerror(errno));
    text[bytes] = '\0';
    if (sscanf(text, "%llu %llu", &size, &resident) != 2)
        die(EXIT_INTERNAL, "/proc/self/statm: '%s': expected two numbers", text);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void dump_write(const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(dump_fd, text, bytes);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) die(EXIT_INTERNAL, "cannot write the memory dump: %s", strerror(errno));
        text += written;
        bytes -= (size_t)written;
    }
}

void self_memory_dump(const char *phase, unsigned cycle)
{
    if (dump_source == NULL) return;
    char text[4096];
    int header = snprintf(text, sizeof text, "# phase=%s cycle=%u\n", phase, cycle);
    dump_write(text, (size_t)header);
    int fd = file_open(dump_source, O_RDONLY);
    ssize_t bytes;
    while ((bytes = read(fd, text, sizeof text)) > 0)
        dump_write(text, (size_t)bytes);
    close(fd);
}
