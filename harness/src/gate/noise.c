#include "gate/noise.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/csvio.h"
#include "base/util.h"
#include "stats/stats.h"

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

static bool take_folder(const char *dir, Noise *noise)
{
    CsvTable table;
    char *path = xfmt("%s/stats.csv", dir);
    json_t *manifest = manifest_of(dir);
    bool taken = false;
    if (manifest && csv_load(path, &table)) {
        taken = take_samples(manifest, &table, noise);
        csv_free_table(&table);
    }
    json_decref(manifest);
    free(path);
    return taken;
}

typedef struct {
    char *dir, *created_utc;
} Folder;

static int by_time(const void *a, const void *b)
{
    const Folder *x = a, *y = b;
    int order = strcmp(x->created_utc, y->created_utc);
    return order ? order : strcmp(x->dir, y->dir);
}

static const json_t *machine_of(const json_t *manifest)
{
    return json_object_get(json_object_get(manifest, "host"), "machine_id");
}

/* A folder that was judged, whatever it is called; not `latest`, and no slice, for its merged whole counts. */
static bool is_judged(const char *dir)
{
    struct stat st;
    char *stats = xfmt("%s/stats.csv", dir), *whole = xfmt("%s/" PLAN_WHOLE_FILE, dir);
    bool judged = lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && access(stats, R_OK) == 0 && access(whole, F_OK) != 0;
    free(stats);
    free(whole);
    return judged;
}

/* A merged folder is this machine's if all of its shards are. */
static bool measured_by(const json_t *manifest, const json_t *machine)
{
    const json_t *shards = json_object_get(manifest, "shards"), *shard;
    size_t i;
    bool all = json_equal(machine_of(manifest), machine);
    json_array_foreach(shards, i, shard) all = all && json_equal(machine_of(shard), machine);
    return all;
}

/* Those in `parent` that this machine measured, in order of time. */
static Folder *folders_of(const char *parent, const json_t *machine, unsigned *count)
{
    struct dirent **names;
    int entries = scandir(parent, &names, NULL, NULL);
    Folder *folders = xcalloc(entries > 0 ? (size_t)entries : 0, sizeof *folders);
    *count = 0;
    for (int i = 0; i < entries; i++) {
        char *dir = xfmt("%s/%s", parent, names[i]->d_name);
        json_t *manifest = names[i]->d_name[0] != '.' && is_judged(dir) ? manifest_of(dir) : NULL;
        const char *created = json_string_value(json_object_get(manifest, "created_utc"));
        if (created && measured_by(manifest, machine)) folders[(*count)++] = (Folder){xstrdup(dir), xstrdup(created)};
        json_decref(manifest);
        free(dir);
        free(names[i]);
    }
    if (entries >= 0) free(names);
    qsort(folders, *count, sizeof *folders, by_time);
    return folders;
}

void noise_load(const char *dir, Noise *noise)
{
    *noise = (Noise){0};
    Folder own = {.dir = realpath(dir, NULL)};
    json_t *manifest = own.dir ? manifest_of(own.dir) : NULL;
    const json_t *machine = machine_of(manifest), *created = json_object_get(manifest, "created_utc");
    if (machine && !json_is_null(machine) && json_is_string(created)) {
        own.created_utc = xstrdup(json_string_value(created));
        char *parent = xfmt("%.*s", (int)(strrchr(own.dir, '/') - own.dir), own.dir);
        unsigned count, taken = 0;
        Folder *folders = folders_of(parent, machine, &count);
        for (unsigned i = count; i-- > 0;) {
            if (taken < NOISE_RUNS_MAX && by_time(&folders[i], &own) < 0) taken += take_folder(folders[i].dir, noise);
            free(folders[i].dir);
            free(folders[i].created_utc);
        }
        free(folders);
        free(parent);
    }
    json_decref(manifest);
    free(own.dir);
    free(own.created_utc);
}
