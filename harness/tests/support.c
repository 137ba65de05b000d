#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/util.h"
#include "record/resultdir.h"

static char dir[] = "/tmp/hzb-unit-XXXXXX";
static int saved_stderr = -1;

static void remove_dir(void)
{
    folder_remove(dir);
}

const char *test_dir(void)
{
    static int made;
    if (!made) {
        made = 1;
        if (!mkdtemp(dir)) abort();
        atexit(remove_dir);
    }
    return dir;
}

char *test_path(const char *name)
{
    return xfmt("%s/%s", test_dir(), name);
}

void test_write(const char *name, const char *text, size_t length)
{
    FILE *out = fopen(test_path(name), "w");
    if (!out || fwrite(text, 1, length, out) != length || fclose(out) != 0) abort();
}

void test_write_text(const char *name, const char *text)
{
    test_write(name, text, strlen(text));
}

void capture_begin(void)
{
    int fd = open(test_path("stderr"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    fflush(stderr);
    saved_stderr = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

char *capture_end(void)
{
    fflush(stderr);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    return file_text(test_path("stderr"));
}
