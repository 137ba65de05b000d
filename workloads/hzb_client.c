#include "hzb_client.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int hzb_fd = -1;

int hzb_inherited_fd(const char *variable)
{
    const char *text = getenv(variable);
    if (text == NULL) return -1;
    char *end;
    errno = 0;
    long fd = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || fd < 0 || fd > INT32_MAX || fcntl((int)fd, F_GETFD) < 0)
        die(EXIT_USAGE, "%s: '%s': expected the number of an open file descriptor", variable, text);
    return (int)fd;
}

void hzb_open(void)
{
    hzb_fd = hzb_inherited_fd("HZB_FD");
}

static void hzb_send(const char *line, size_t bytes)
{
    while (bytes > 0) {
        ssize_t sent = send(hzb_fd, line, bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) die(EXIT_INTERNAL, "HZB_FD: %d: cannot write to the harness: %s", hzb_fd, strerror(errno));
        line += sent;
        bytes -= (size_t)sent;
    }
}

void hzb_phase(const char *name, unsigned cycle)
{
    if (hzb_fd < 0) return;
    char line[128];
    int bytes = snprintf(line, sizeof line, "HZB1 phase=%s cycle=%u t_ns=%" PRIu64 "\n", name, cycle, clock_ns());
    hzb_send(line, (size_t)bytes);
}

void hzb_finish(const HzbResult *result)
{
    if (hzb_fd < 0) return;
    char remote[96] = "";
    if (result->has_remote)
        snprintf(remote, sizeof remote, " fallback_pct=%.4f actual_remote_pct=%.4f", result->fallback_pct,
                 result->actual_remote_pct);
    char line[512];
    int bytes = snprintf(line, sizeof line,
                         "HZB1 ops=%" PRIu64 " work_ns=%" PRIu64 " checksum=%016" PRIx64 " alloc_failed=%" PRIu64
                         " live_peak=%" PRIu64 " live_at_fail=%" PRIu64 "%s\n",
                         result->ops, result->work_ns, result->checksum, result->alloc_failed, result->live_peak,
                         result->live_at_fail, remote);
    hzb_send(line, (size_t)bytes);
    char released;
    while (read(hzb_fd, &released, 1) < 0 && errno == EINTR)
        continue;
}
