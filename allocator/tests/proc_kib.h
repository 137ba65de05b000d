// What /proc says of the process's memory, for programs that are linked with nothing of the tests.
#ifndef HZ3_TESTS_PROC_KIB_H
#define HZ3_TESTS_PROC_KIB_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The last line of the file that begins with the name, in KiB; ends the program if there is none.
static inline long proc_kib(const char *file, const char *name)
{
    char line[256];
    long kib = -1;
    FILE *lines = fopen(file, "r");
    while (lines != NULL && fgets(line, sizeof line, lines) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            kib = strtol(line + strlen(name), NULL, 10);
        }
    }
    if (lines == NULL || kib < 0) {
        fprintf(stderr, "%s has no line '%s'\n", file, name);
        exit(1);
    }
    fclose(lines);
    return kib;
}

// smaps_rollup walks the pages; the counter behind VmRSS is exact only to some hundred KiB.
static inline long proc_resident_kib(void)
{
    return proc_kib("/proc/self/smaps_rollup", "Rss:");
}

#endif
