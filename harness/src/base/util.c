#include "base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>

extern char **environ;

static void say(const char *prefix, const char *format, va_list args)
{
    flockfile(stderr);
    fputs(prefix, stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    funlockfile(stderr);
}

void hzb_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("hzb: ", format, args);
    va_end(args);
}

void hzb_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say("", format, args);
    va_end(args);
}

static void *or_exit(void *memory)
{
    if (memory) return memory;
    hzb_error("out of memory");
    exit(HZB_INTERNAL);
}

void *xcalloc(size_t count, size_t size)
{
    return or_exit(calloc(count ? count : 1, size));
}

void *xrealloc(void *old, size_t count, size_t size)
{
    return or_exit(reallocarray(old, count ? count : 1, size));
}

char *xstrdup(const char *text)
{
    return or_exit(strdup(text));
}

char *xfmt(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    return or_exit(length < 0 ? NULL : text);
}

void list_add(StrList *list, const char *item)
{
    list->items = xrealloc(list->items, list->count + 1, sizeof *list->items);
    list->items[list->count++] = xstrdup(item);
}

void list_free(StrList *list)
{
    for (unsigned i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (StrList){0};
}

bool list_has(const StrList *list, const char *item)
{
    for (unsigned i = 0; i < list->count; i++)
        if (strcmp(list->items[i], item) == 0) return true;
    return false;
}

StrList list_split(const char *text, char separator)
{
    StrList list = {0};
    const char any[2] = {separator, 0};
    char *copy = xstrdup(text), *rest = NULL;
    for (char *item = strtok_r(copy, any, &rest); item; item = strtok_r(NULL, any, &rest))
        list_add(&list, item);
    free(copy);
    return list;
}

const char *pair_value(const char *entry, const char *key)
{
    size_t length = strlen(key);
    return strncmp(entry, key, length) == 0 && entry[length] == '=' ? entry + length + 1 : NULL;
}

const char *pairs_find(const StrList *pairs, const char *key)
{
    for (unsigned i = pairs->count; i > 0; i--) {
        const char *value = pair_value(pairs->items[i - 1], key);
        if (value) return value;
    }
    return NULL;
}

void pairs_set(StrList *pairs, const char *entry)
{
    size_t key_length = strcspn(entry, "=");
    for (unsigned i = 0; i < pairs->count; i++) {
        if (strncmp(pairs->items[i], entry, key_length) != 0 || pairs->items[i][key_length] != '=') continue;
        free(pairs->items[i]);
        pairs->items[i] = xstrdup(entry);
        return;
    }
    list_add(pairs, entry);
}

bool parse_u64(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == 0 && *text >= '0' && *text <= '9';
}

bool parse_i64(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == 0;
}

bool parse_double(const char *text, double *value)
{
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    return errno == 0 && end != text && *end == 0 && *value == *value;
}

static char *read_all(int fd, size_t *length)
{
    size_t used = 0, room = 4096;
    char *text = xcalloc(room, 1);
    for (;;) {
        if (used + 1 == room) text = xrealloc(text, room *= 2, 1);
        ssize_t got = read(fd, text + used, room - used - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            free(text);
            return NULL;
        }
        if (got == 0) break;
        used += (size_t)got;
    }
    text[used] = 0;
    *length = used;
    return text;
}

char *file_bytes(const char *path, size_t *length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return NULL;
    char *text = read_all(fd, length);
    int saved = errno;
    close(fd);
    errno = saved;
    return text;
}

char *file_text(const char *path)
{
    size_t length;
    return file_bytes(path, &length);
}

char *file_line(const char *path)
{
    char *text = file_text(path);
    if (text) text[strcspn(text, "\n")] = 0;
    return text;
}

bool file_id(const char *path, FileId *id)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return false;
    *id = (FileId){st.st_dev, st.st_ino, st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec, st.st_size};
    return true;
}

bool file_id_same(const FileId *a, const FileId *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->mtime_ns == b->mtime_ns && a->size_bytes == b->size_bytes;
}

const char *program_dir(void)
{
    static char path[PATH_MAX];
    if (path[0]) return path;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    char *slash = length > 0 ? strrchr(path, '/') : NULL;
    if (!slash) return "."; /* no /proc: the current directory is the best guess left */
    *slash = 0;
    return path;
}

int command_output(const char *const argv[], StderrUse stderr_use, char **output)
{
    int pipe_fds[2];
    size_t length;
    *output = NULL;
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) return -1;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
    if (stderr_use == STDERR_JOINED) posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDERR_FILENO);
    if (stderr_use == STDERR_DROPPED)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid;
    int error = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[1]);
    if (!error) *output = read_all(pipe_fds[0], &length);
    close(pipe_fds[0]);
    if (error) return -1;
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return -1;
    if (!*output || !WIFEXITED(status)) return -1;
    length = strlen(*output);
    if (length && (*output)[length - 1] == '\n') (*output)[length - 1] = 0;
    return WEXITSTATUS(status);
}

char *sha256_of_file(const char *path)
{
    char *output;
    const char *argv[] = {"sha256sum", "--", path, NULL};
    if (command_output(argv, STDERR_DROPPED, &output) != 0) return NULL;
    /* A name with a backslash or a newline makes sha256sum put a backslash first. */
    char *digits = output[0] == '\\' ? output + 1 : output;
    if (strspn(digits, "0123456789abcdef") != 64) return NULL;
    digits[64] = 0;
    return digits;
}

uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t mix64(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}
