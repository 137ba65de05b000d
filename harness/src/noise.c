#include "noise.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "csvio.h"
#include "stats.h"
#include "util.h"

double noise_p95(const Noise *noise, const PlanRow *cell, const char *metric)
{
    double *changes = xcalloc(noise->count, sizeof *changes), p95 = NAN;
    unsigned n = 0, folders = 0, folder = 0;
    for (unsigned i = 0; i < noise->count; i++) {
        const NoiseSample *sample = &noise->samples[i];
        if (strcmp(sample->cell_id, cell->cell_id) != 0 || strcmp(sample->params, cell->params) != 0 ||
            strcmp(sample->metric, metric) != 0)
            continue;
        changes[n++] = sample->change;
        folders += sample->folder != folder;
        folder = sample->folder;
    }
    qsort(changes, n, sizeof *changes, stats_ascending);
    if (folders >= NOISE_RUNS_MIN) p95 = stats_quantile(changes, n, 0.95);
    free(changes);
    return p95;
}

static json_t *manifest_of(const char *dir)
{
    char *path = xfmt("%s/manifest.json", dir);
    json_t *root = json_load_file(path, 0, NULL);
    free(path);
    return root;
}

static bool is_aa(const json_t *manifest, const char *allocator)
{
    size_t i;
    json_t *arm;
    json_array_foreach(json_object_get(manifest, "allocators"), i, arm)
    {
        const char *name = json_string_value(json_object_get(arm, "name"));
        const char *role = json_string_value(json_object_get(arm, "role"));
        if (name && role && strcmp(name, allocator) == 0) return strcmp(role, "aa") == 0;
    }
    return false;
}

/* Rows of A/A arms of one folder; returns whether there was one. */
static bool take_samples(const json_t *manifest, const CsvTable *table, Noise *noise)
{
    int cell = csv_column(table, "cell_id"), params = csv_column(table, "params"), metric = csv_column(table, "metric");
    int cand = csv_column(table, "cand"), ratio = csv_column(table, "ratio"), pairs = csv_column(table, "n");
    bool has_columns = cell >= 0 && params >= 0 && metric >= 0 && cand >= 0 && ratio >= 0 && pairs >= 0;
    unsigned before = noise->count, folder = before > 0 ? noise->samples[before - 1].folder + 1 : 1;
    for (unsigned r = 0; has_columns && r < table->row_count; r++) {
        char **field = table->rows[r];
        double value, n;
        if (!is_aa(manifest, field[cand]) || !parse_double(field[pairs], &n) || n < INTERVAL_N_MIN ||
            !parse_double(field[ratio], &value) || !(value > 0))
            continue;
        noise->samples = xrealloc(noise->samples, noise->count + 1, sizeof *noise->samples);
        noise->samples[noise->count++] = (NoiseSample){xstrdup(field[cell]), xstrdup(field[params]),
                                                       xstrdup(field[metric]), expm1(fabs(log(value))), folder};
    }
    return noise->count > before;
}

static bool take_folder(const char *dir, const json_t *machine, Noise *noise)
{
    CsvTable table;
    char *path = xfmt("%s/stats.csv", dir);
    json_t *manifest = access(path, R_OK) == 0 ? manifest_of(dir) : NULL;
    json_t *host = json_object_get(manifest, "host");
    bool taken = false;
    if (manifest && json_equal(json_object_get(host, "machine_id"), machine) && csv_load(path, &table)) {
        taken = take_samples(manifest, &table, noise);
        csv_free_table(&table);
    }
    json_decref(manifest);
    free(path);
    return taken;
}

static int is_result(const struct dirent *entry)
{
    return entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
}

void noise_load(const char *dir, Noise *noise)
{
    *noise = (Noise){0};
    char *whole = realpath(dir, NULL);
    json_t *manifest = whole ? manifest_of(whole) : NULL;
    json_t *machine = json_object_get(json_object_get(manifest, "host"), "machine_id");
    char *slash = whole ? strrchr(whole, '/') : NULL;
    if (machine && !json_is_null(machine) && slash) {
        *slash = 0;
        struct dirent **names;
        unsigned taken = 0;
        int count = scandir(whole, &names, is_result, alphasort); /* names begin with the time */
        for (int i = count; i-- > 0;) {
            char *other = xfmt("%s/%s", whole, names[i]->d_name);
            if (taken < NOISE_RUNS_MAX && strcmp(names[i]->d_name, slash + 1) < 0)
                taken += take_folder(other, machine, noise);
            free(other);
            free(names[i]);
        }
        if (count >= 0) free(names);
    }
    json_decref(manifest);
    free(whole);
}
