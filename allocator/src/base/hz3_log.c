#include "base/hz3_log.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hz3_os.h"

#define LINE_MAX_BYTES 512

static void log_line(const char *prefix, const char *format, va_list args)
{
    char line[LINE_MAX_BYTES];
    int n = snprintf(line, sizeof line, "%s", prefix);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
    size_t bytes = (size_t)n + (m < 0 ? 0 : (size_t)m);
    if (bytes > sizeof line - 2) {
        bytes = sizeof line - 2;
    }
    line[bytes] = '\n';
    hz3_os_write_stderr(line, bytes + 1);
}

// A SIGABRT handler may allocate and so run into the lock under which its thread found the first fault: no second
// handler then. A fault of another thread does not cut the first one's handler short.
static _Noreturn void die_now(void)
{
    static HZ3_TLS bool is_dying;
    if (is_dying) {
        signal(SIGABRT, SIG_DFL);
    }
    is_dying = true;
    abort();
}

void hz3_log(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line("", format, args);
    va_end(args);
}

_Noreturn void hz3_die(const char *function, const void *pointer, const char *format, ...)
{
    char prefix[96];
    snprintf(prefix, sizeof prefix, "hz3: %s(%p): ", function, pointer);
    va_list args;
    va_start(args, format);
    log_line(prefix, format, args);
    va_end(args);
    die_now();
}

_Noreturn void hz3_assert_fail(const char *expression, const char *file, int line)
{
    hz3_log("hz3: internal error: %s is false at %s:%d", expression, file, line);
    die_now();
}
