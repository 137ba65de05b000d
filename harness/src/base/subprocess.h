// Programs that hzb runs for itself: what they print, and the SHA-256 of a file by sha256sum.
#ifndef HZB_SUBPROCESS_H
#define HZB_SUBPROCESS_H

// What becomes of a command's stderr: part of its output, ours, or nothing.
typedef enum StderrUse { STDERR_JOINED, STDERR_SHOWN, STDERR_DROPPED } StderrUse;
// Runs a command found in PATH, waits, gives what it prints without the last newline. Returns its exit status, -1 if it
// could not be run.
int command_output(const char *const argv[], StderrUse stderr_use, char **output);

// Runs a command as a process group of its own. A SIGINT or SIGTERM that reaches hzb meanwhile is sent to the group,
// also if the caller has blocked it. The output is appended to a file, stderr is hzb's own. Returns the exit status, or
// 128 + the signal that ended the command or reached hzb, or -1 if the command could not be run.
int command_watched(const char *const argv[], const char *output_path);

// SHA-256 as 64 hex digits, or NULL if the file cannot be read.
char *sha256_of_file(const char *path);

#endif
