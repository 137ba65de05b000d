// Files and folders: read whole, told apart, copied, made and removed.
#ifndef HZB_FILES_H
#define HZB_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

// Identity and contents stamp of a file: if it is unchanged, so are the bytes that were hashed.
typedef struct FileId {
    dev_t dev;
    ino_t ino;
    int64_t mtime_ns;
    int64_t size_bytes;
} FileId;

// Whole file as a string, or NULL with errno.
char *file_text(const char *path);
// The same; tells the length, for a file may hold NUL bytes.
char *file_bytes(const char *path, size_t *length);
// All that a descriptor still gives, as above.
char *fd_bytes(int fd, size_t *length);
// First line of a small file without its newline, or NULL.
char *file_line(const char *path);
bool file_id(const char *path, FileId *id);
bool file_id_same(const FileId *a, const FileId *b);
// The path of this very program, and its directory part.
const char *program_path(void);
const char *program_dir(void);

// A new file for writing; NULL with a message.
FILE *file_create(const char *path);
// Closes what file_create() gave, NULL too. Says so and returns false unless all of it was written.
bool file_finish(FILE *out, const char *path);
// A copy of a file that is not there yet, on the disk when it returns. Says what is wrong and returns false.
bool file_copy(const char *from, const char *to);
// Takes the lock that a file stands for, and says which `holder` it waits for. The lock is held until the returned
// descriptor is closed or the program ends. -1 with a message.
int file_lock(const char *path, const char *holder);

// Makes a folder unless it is there; the second one with all folders above it. Says what is wrong and returns false.
bool folder_make(const char *path);
bool folder_make_all(const char *path);
bool folder_has(const char *folder, const char *file);
bool file_begins_with(const char *path, const char *text);
// Bytes that a folder with all that is in it takes on the disk.
int64_t folder_size(const char *path);
// Removes a folder with all that is in it.
void folder_remove(const char *path);

#endif
