// libFuzzer target: bytes become a file that hzb reads. The first byte says which: the rest is
//
//     m a w     a matrix, allocators.yaml, workloads.yaml; the other two are the repository's
//     c r       a CSV file to be loaded, to be repaired and loaded
//     R P       runs.csv, plan.csv of a result folder
//     h         what hyperfine exported
//
// What a reader refuses it must refuse with a message that begins with the file and, where it is YAML or JSON, the
// place; what it accepts it accepts without a word. fuzz.mk renames hzb_error, and gives FUZZ_CONFIG_DIR.
#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/csvio.h"
#include "base/files.h"
#include "base/util.h"
#include "config/config.h"
#include "config/config_load.h"
#include "plan/plan.h"
#include "record/hyperfine.h"
#include "record/record.h"

#undef hzb_error
void hzb_error(const char *format, ...);

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/dev/shm/hzb-fuzz-XXXXXX";
static char said[65536]; // since the input began, a line a message

// In hzb's place.
void fuzz_hzb_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fuzz_hzb_error(const char *format, ...)
{
    va_list args;
    size_t used = strlen(said);
    va_start(args, format);
    vsnprintf(said + used, sizeof said - used, format, args);
    va_end(args);
}

static void remove_dir(void)
{
    static const char *const names[] = {"allocators.yaml", "workloads.yaml", "matrix/quick.yaml", "file.csv",
                                        "runs.csv",        "plan.csv",       "hyperfine.json",    "matrix"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = xfmt("%s/%s", dir, names[i]);
        remove(path);
        free(path);
    }
    rmdir(dir);
}

static void write_file(const char *name, const void *bytes, size_t length)
{
    char *path = xfmt("%s/%s", dir, name);
    FILE *out = fopen(path, "we");
    if (!out || fwrite(bytes, 1, length, out) != length || fclose(out) != 0) {
        perror(path);
        _exit(70);
    }
    free(path);
}

// The repository's own file under this name.
static void restore(const char *name)
{
    char *path = xfmt(FUZZ_CONFIG_DIR "/%s", name), *text = file_text(path);
    if (!text) {
        perror(path);
        _exit(70);
    }
    write_file(name, text, strlen(text));
    free(text);
    free(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    char *matrix = NULL;
    if (!mkdtemp(dir) || atexit(remove_dir) != 0) {
        perror(dir);
        _exit(70);
    }
    matrix = xfmt("%s/matrix", dir);
    mkdir(matrix, 0755);
    free(matrix);
    restore("allocators.yaml");
    restore("workloads.yaml");
    restore("matrix/quick.yaml");
    return 0;
}

static void fail(const char *why)
{
    fprintf(stderr, "fuzz_readers: %s; the reader said: '%s'\n", why, said);
    abort();
}

static bool has_place(const char *at)
{
    unsigned line, column;
    char colon;
    return sscanf(at, ":%u:%u%c", &line, &column, &colon) == 3 && line > 0 && column > 0 && colon == ':';
}

// A refusal names the file that was written, and nothing is said about what was accepted.
static void check_said(bool ok, const char *path)
{
    size_t length = strlen(path);
    if (ok && *said) fail("accepted with a message");
    if (!ok && (strncmp(said, path, length) != 0 || said[length] != ':')) fail("refused without naming the file");
}

static void check_place(bool ok, const char *path)
{
    check_said(ok, path);
    const char *at = said + strlen(path);
    if (!ok && !has_place(at) && !strstr(at, ": is empty")) fail("refused without a place");
}

static void read_config(const char *name, const uint8_t *data, size_t size)
{
    Config config;
    char *path = xfmt("%s/%s", dir, name), *matrix = xfmt("%s/matrix/quick.yaml", dir);
    write_file(name, data, size);
    bool ok = config_load(&config, NULL, matrix);
    // What one file names and another lacks is the fault of either.
    if (ok || strncmp(said, path, strlen(path)) == 0)
        check_place(ok, path);
    else
        check_place(ok, strstr(said, "/matrix/quick.yaml:") ? matrix : path);
    config_free(&config);
    restore(name);
    free(matrix);
    free(path);
}

static void read_csv(const uint8_t *data, size_t size, bool repaired)
{
    CsvTable table;
    char *path = xfmt("%s/file.csv", dir);
    write_file("file.csv", data, size);
    bool cut = repaired && csv_repair(path, RUN_COLUMN_COUNT, NULL, NULL);
    if (repaired) check_said(cut, path);
    if (!repaired || cut) {
        bool ok = csv_load(path, &table);
        check_said(ok, path);
        if (cut && !ok) fail("repaired, but not to be loaded");
        for (unsigned r = 0; r < table.row_count; r++)
            for (unsigned c = 0; c < table.columns; c++)
                if (!table.rows[r][c]) fail("a row without a field");
        csv_free_table(&table);
    }
    free(path);
}

static void read_runs(const uint8_t *data, size_t size)
{
    RunRows runs;
    char *path = xfmt("%s/runs.csv", dir);
    write_file("runs.csv", data, size);
    check_said(runs_load(dir, &runs), path);
    for (unsigned i = 0; i < runs.count; i++)
        row_clear(&runs.rows[i]);
    free(runs.rows);
    free(path);
}

static void read_plan(const uint8_t *data, size_t size)
{
    Plan plan;
    char *path = xfmt("%s/plan.csv", dir);
    write_file("plan.csv", data, size);
    check_said(plan_load(dir, &plan), path);
    free(duration_text(plan_expect_s(&plan)));
    plan_free(&plan);
    free(path);
}

static void read_hyperfine(const uint8_t *data, size_t size)
{
    HyperfineImport import = {0};
    char *path = xfmt("%s/hyperfine.json", dir);
    write_file("hyperfine.json", data, size);
    check_said(hyperfine_read(path, &import), path);
    for (unsigned i = 0; i < import.count; i++)
        for (const char *c = import.items[i].program; *c; c++)
            if (iscntrl((unsigned char)*c) || *c == ',') fail("a name that breaks a CSV file");
    hyperfine_free(&import);
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    said[0] = 0;
    switch (data[0]) {
    case 'm':
        read_config("matrix/quick.yaml", data + 1, size - 1);
        break;
    case 'a':
        read_config("allocators.yaml", data + 1, size - 1);
        break;
    case 'w':
        read_config("workloads.yaml", data + 1, size - 1);
        break;
    case 'c':
    case 'r':
        read_csv(data + 1, size - 1, data[0] == 'r');
        break;
    case 'R':
        read_runs(data + 1, size - 1);
        break;
    case 'P':
        read_plan(data + 1, size - 1);
        break;
    case 'h':
        read_hyperfine(data + 1, size - 1);
        break;
    default:
        return -1;
    }
    return 0;
}
