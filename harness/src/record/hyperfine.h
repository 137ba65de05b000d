// Files that hyperfine --export-json wrote.
#ifndef HZB_HYPERFINE_H
#define HZB_HYPERFINE_H

#include <jansson.h>
#include <stdbool.h>

// All times of one program under one allocator, from however many files.
typedef struct HyperfineProgram {
    char *program, *allocator;
    double *times_s;
    unsigned count;
} HyperfineProgram;

typedef struct HyperfineImport {
    HyperfineProgram *items;
    unsigned count;
    json_t *results; // those of all files, as they were
} HyperfineImport;

// Adds what a file holds; says what is wrong and returns false.
bool hyperfine_read(const char *path, HyperfineImport *import);
// dir/hyperfine.csv and a line each on stdout: medians of all programs. Sorts their times.
bool hyperfine_write_csv(const char *dir, HyperfineImport *import);
// dir/hyperfine.json: all results as they were.
bool hyperfine_write_json(const char *dir, const HyperfineImport *import);
void hyperfine_free(HyperfineImport *import);

#endif
