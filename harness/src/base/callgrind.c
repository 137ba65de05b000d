#include "base/callgrind.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/subprocess.h"

char *callgrind_version(void)
{
    static const char mark[] = "valgrind-";
    const char *argv[] = {"valgrind", "--version", NULL};
    char *said;
    bool ok = command_output(argv, STDERR_DROPPED, &said) == 0 && strncmp(said, mark, strlen(mark)) == 0;
    if (ok) return said;
    free(said);
    return NULL;
}

// One line a function, names and positions in full: the file takes no state to read.
void callgrind_arguments(const char *output, StrList *argv)
{
    static const char *const fixed[] = {
        "valgrind", "-q", "--tool=callgrind", "--dump-line=no", "--compress-strings=no", "--compress-pos=no"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        list_add(argv, fixed[i]);
    char *file = xfmt("--callgrind-out-file=%s", output);
    list_add(argv, file);
    free(file);
}

// What the file says up to a line of costs. Names point into its lines.
typedef struct Reader {
    const char *object; // of the function whose lines follow
    const char *callee_object, *callee;
    bool of_call; // the next costs are a call's, with all that was called from there
} Reader;

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_c_library(const char *object)
{
    static const char *const names[] = {"libc.so", "libc-", "libpthread", "ld-linux", "ld-"};
    const char *slash = strrchr(object, '/'), *name = slash ? slash + 1 : object;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (begins_with(name, names[i])) return true;
    return false;
}

// Where the C library is the allocator; and what runs all of the program is no cost of its own.
static bool is_never_subtracted(const char *function)
{
    static const char *const names[] = {
        "malloc",   "free",           "calloc", "realloc", "reallocarray",       "aligned_alloc",
        "memalign", "posix_memalign", "valloc", "pvalloc", "malloc_usable_size", "__libc_start_main"};
    size_t length = strcspn(function, "@'"); // a version, a recursion
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == length && strncmp(function, names[i], length) == 0) return true;
    return false;
}

// Whether a line names something; the names of a call hold until its costs have come.
static bool take_name(const char *line, Reader *reader)
{
    const struct {
        const char *key;
        const char **name;
    } names[] = {{"ob=", &reader->object}, {"cob=", &reader->callee_object}, {"cfn=", &reader->callee}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!begins_with(line, names[i].key)) continue;
        *names[i].name = line + strlen(names[i].key);
        return true;
    }
    return false;
}

// A line "<line> <count>".
static bool take_count(const char *line, int64_t *count)
{
    char *end;
    if (*line < '0' || *line > '9') return false;
    strtoull(line, &end, 10);
    if (*end != ' ') return false;
    *count = (int64_t)strtoull(end + 1, NULL, 10);
    return true;
}

// What these costs add to those outside of the program: its own nothing, and what it calls in the C library the less.
static int64_t share_of(const Reader *reader, const char *program, int64_t count)
{
    const bool is_program = strcmp(reader->object, program) == 0;
    if (!reader->of_call) return is_program ? 0 : count;
    const char *callee_object = reader->callee_object ? reader->callee_object : reader->object;
    const bool is_subtracted = is_program && is_c_library(callee_object) && !is_never_subtracted(reader->callee);
    return is_subtracted ? -count : 0;
}

int64_t callgrind_instructions(const char *output, const char *program)
{
    char *text = file_text(output);
    StrList lines = list_split(text ? text : "", '\n');
    Reader reader = {"", NULL, "", false};
    int64_t sum = 0, count;
    for (unsigned i = 0; i < lines.count; i++) {
        const char *line = lines.items[i];
        if (begins_with(line, "calls=")) reader.of_call = true;
        if (take_name(line, &reader) || !take_count(line, &count)) continue;
        sum += share_of(&reader, program, count);
        if (reader.of_call) reader.callee_object = NULL;
        reader.of_call = false;
    }
    list_free(&lines);
    free(text);
    return sum > 0 ? sum : -1;
}
