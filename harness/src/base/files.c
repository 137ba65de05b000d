#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

enum { REMOVE_FDS = 16 };

char *fd_bytes(int fd, size_t *length)
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
    char *text = fd_bytes(fd, length);
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

const char *program_path(void)
{
    static char path[PATH_MAX];
    // Without /proc the current directory is the best guess left.
    if (!path[0] && readlink("/proc/self/exe", path, sizeof path - 1) <= 0) strcpy(path, "./hzb");
    return path;
}

const char *program_dir(void)
{
    static char dir[PATH_MAX];
    const char *path = program_path();
    if (!dir[0]) memcpy(dir, path, (size_t)(strrchr(path, '/') - path));
    return dir;
}

FILE *file_create(const char *path)
{
    FILE *out = fopen(path, "we");
    if (!out) hzb_error("%s: %s", path, strerror(errno));
    return out;
}

bool file_finish(FILE *out, const char *path)
{
    if (!out) return false;
    bool ok = !ferror(out);
    ok = fclose(out) == 0 && ok;
    if (!ok) hzb_error("%s: %s", path, strerror(errno));
    return ok;
}

bool file_copy(const char *from, const char *to)
{
    struct stat st;
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    bool ok = in >= 0 && out >= 0 && fstat(in, &st) == 0;
    for (off_t done = 0; ok && done < st.st_size;)
        ok = sendfile(out, in, &done, (size_t)(st.st_size - done)) > 0;
    ok = ok && fsync(out) == 0;
    if (!ok) hzb_error("%s: cannot be copied to %s: %s", from, to, strerror(errno));
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    return ok;
}

int file_lock(const char *path, const char *holder)
{
    // Not O_CREAT at once: a sticky directory may forbid that on a file of another user.
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd >= 0) fchmod(fd, 0666);
    }
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
    if (fd >= 0) hzb_note("waiting for %s (it holds %s)", holder, path);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        if (errno == EINTR) continue;
        hzb_error("lock %s: %s", path, strerror(errno));
        close(fd);
        return -1;
    }
    if (fd < 0) hzb_error("lock %s: %s", path, strerror(errno));
    return fd;
}

bool folder_make(const char *path)
{
    if (mkdir(path, 0755) == 0 || errno == EEXIST) return true;
    hzb_error("%s: %s", path, strerror(errno));
    return false;
}

bool folder_make_all(const char *path)
{
    char *copy = xstrdup(path);
    bool ok = true;
    for (char *slash = strchr(copy + 1, '/'); ok && slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        ok = folder_make(copy);
        *slash = '/';
    }
    free(copy);
    return ok && folder_make(path);
}

bool file_begins_with(const char *path, const char *text)
{
    size_t length = strlen(text);
    char *head = xcalloc(length + 1, 1);
    FILE *in = fopen(path, "re");
    bool same = in && fread(head, 1, length, in) == length && memcmp(head, text, length) == 0;
    if (in) fclose(in);
    free(head);
    return same;
}

bool folder_has(const char *folder, const char *file)
{
    char *path = xfmt("%s/%s", folder, file);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st;
    (void)kind;
    (void)walk;
    return remove(path);
}

void folder_remove(const char *path)
{
    nftw(path, remove_entry, REMOVE_FDS, FTW_DEPTH | FTW_PHYS);
}

static int64_t size_seen; // nftw() passes nothing through

static int add_size(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)path;
    (void)kind;
    (void)walk;
    size_seen += st->st_blocks * INT64_C(512); // whatever the file system's own blocks are
    return 0;
}

int64_t folder_size(const char *path)
{
    size_seen = 0;
    nftw(path, add_size, REMOVE_FDS, FTW_PHYS);
    return size_seen;
}
