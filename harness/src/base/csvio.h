// CSV after RFC 4180: libcsv reads and quotes; this adds tables by column name and repair of a torn last row.
#ifndef HZB_CSVIO_H
#define HZB_CSVIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef struct CsvTable {
    char **header;
    unsigned columns;
    char ***rows; // rows[i][column]; an empty field is ""
    unsigned row_count;
} CsvTable;

// Reads a whole file whose rows all have as many fields as its header. Says what is wrong and returns false.
bool csv_load(const char *path, CsvTable *table);
void csv_free_table(CsvTable *table);
// Index of a column, or -1.
int csv_column(const CsvTable *table, const char *name);

// One field; quoted (by libcsv) only when it must be. NULL is an empty field.
void csv_put(FILE *out, const char *field);
void csv_put_row(FILE *out, const char *const fields[], unsigned count);

// Says whether a row of the file being repaired belongs to something that was finished.
typedef bool (*CsvKeep)(const char *const fields[], void *context);

// Cuts an appended file after its last whole row, i.e. drops a row that has no newline because its writer was killed;
// and cuts from the first row that `keep` (may be NULL) refuses. The header is not offered. A whole row with another
// number of fields was not torn but damaged: that is an error and nothing is cut.
bool csv_repair(const char *path, unsigned columns, CsvKeep keep, void *context);

// Appends with one write() and waits until it is on the disk.
bool csv_append(int fd, const char *text, size_t length);

#endif
