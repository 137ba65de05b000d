#include "gate/noise.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/util.h"
#include "gate/verdict.h"
#include "record/folders.h"
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
    assert(folders <= n);
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

// What the A/A arms of one folder showed; returns whether there was something.
static bool take_folder(const char *dir, Noise *noise)
{
    Findings findings;
    unsigned before = noise->count, folder = before > 0 ? noise->samples[before - 1].folder + 1 : 1;
    json_t *manifest = manifest_of(dir);
    bool read = manifest && verdict_read_stats(dir, &findings);
    for (unsigned i = 0; read && i < findings.count; i++) {
        const Finding *f = &findings.items[i];
        if (!is_aa(manifest, f->cand) || !(f->n >= INTERVAL_N_MIN) || !(f->ratio > 0)) continue;
        noise->samples = xrealloc(noise->samples, noise->count + 1, sizeof *noise->samples);
        noise->samples[noise->count++] =
            (NoiseSample){f->cell_id, f->params, f->metric, expm1(fabs(log(f->ratio))), folder};
    }
    json_decref(manifest);
    return noise->count > before;
}

typedef struct Folder {
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

// A merged folder is this machine's if all of its shards are.
static bool measured_by(const json_t *manifest, const json_t *machine)
{
    const json_t *shards = json_object_get(manifest, "shards"), *shard;
    size_t i;
    bool all = json_equal(machine_of(manifest), machine);
    json_array_foreach(shards, i, shard) all = all && json_equal(machine_of(shard), machine);
    return all;
}

// Those in `parent` that this machine measured and that were judged, in order of time.
static Folder *folders_of(const char *parent, const json_t *machine, unsigned *count)
{
    StrList paths = {0};
    *count = 0;
    if (!folders_list(parent, &paths)) return NULL;
    Folder *folders = xcalloc(paths.count, sizeof *folders);
    for (unsigned i = 0; i < paths.count; i++) {
        json_t *manifest = folder_has(paths.items[i], STATS_FILE) ? manifest_of(paths.items[i]) : NULL;
        const char *created = json_string_value(json_object_get(manifest, "created_utc"));
        if (created && measured_by(manifest, machine))
            folders[(*count)++] = (Folder){xstrdup(paths.items[i]), xstrdup(created)};
        json_decref(manifest);
    }
    list_free(&paths);
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
