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

// "<line> <count>" are a function's own instructions, unless the line before was "calls=": then they are those of what
// it called, which stand there too.
static bool own_count(const char *line, uint64_t *count)
{
    char *end;
    if (*line < '0' || *line > '9') return false;
    strtoull(line, &end, 10);
    if (*end != ' ') return false;
    *count = strtoull(end + 1, NULL, 10);
    return true;
}

int64_t callgrind_instructions(const char *output, const char *program)
{
    char *text = file_text(output);
    StrList lines = list_split(text ? text : "", '\n');
    uint64_t sum = 0, count;
    bool of_program = false, of_callee = false;
    for (unsigned i = 0; i < lines.count; i++) {
        const char *line = lines.items[i];
        if (strncmp(line, "ob=", strlen("ob=")) == 0) of_program = strcmp(line + strlen("ob="), program) == 0;
        if (own_count(line, &count) && !of_program && !of_callee) sum += count;
        of_callee = strncmp(line, "calls=", strlen("calls=")) == 0;
    }
    list_free(&lines);
    free(text);
    return sum > 0 ? (int64_t)sum : -1;
}
