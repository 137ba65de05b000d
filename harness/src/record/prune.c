#include "record/prune.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "record/folders.h"
#include "record/manifest.h"

typedef struct Folder {
    char *dir, *matrix;
    time_t created;
} Folder;

static bool is_same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

// False for a folder that no rule is about.
static bool read_folder(const char *dir, Folder *folder)
{
    struct tm created = {0};
    json_t *manifest = manifest_json(dir);
    const char *run_id = json_string_value(json_object_get(manifest, "run_id"));
    const char *matrix = json_string_value(json_object_get(manifest, "matrix"));
    const char *utc = json_string_value(json_object_get(manifest, "created_utc"));
    bool ok = run_id && matrix && utc && strcmp(run_id, strrchr(dir, '/') + 1) == 0 &&
              strptime(utc, "%Y-%m-%dT%H:%M:%SZ", &created) != NULL;
    if (ok) *folder = (Folder){xstrdup(dir), xstrdup(matrix), timegm(&created)};
    json_decref(manifest);
    return ok;
}

static int by_age(const void *a, const void *b)
{
    const Folder *x = a, *y = b;
    if (x->created != y->created) return x->created < y->created ? -1 : 1;
    return strcmp(x->dir, y->dir);
}

// How many of the same matrix are newer; the folders are in order.
static unsigned newer_than(const Folder *folders, unsigned count, unsigned at)
{
    unsigned newer = 0;
    for (unsigned i = at + 1; i < count; i++)
        newer += strcmp(folders[i].matrix, folders[at].matrix) == 0;
    return newer;
}

bool prune_find(const char *results, const PruneRule *rule, StrList *old)
{
    StrList dirs;
    *old = (StrList){0};
    if (!folders_list(results, &dirs)) return false;
    Folder *folders = xcalloc(dirs.count, sizeof *folders);
    unsigned count = 0;
    for (unsigned i = 0; i < dirs.count; i++)
        count += read_folder(dirs.items[i], &folders[count]);
    qsort(folders, count, sizeof *folders, by_age);
    char *latest = xfmt("%s/latest", results);
    for (unsigned i = 0; i < count; i++) {
        bool stays = newer_than(folders, count, i) < rule->keep || (rule->since && folders[i].created >= rule->since) ||
                     is_same_folder(folders[i].dir, latest);
        if (!stays) list_add(old, folders[i].dir);
    }
    free(latest);
    free(folders);
    list_free(&dirs);
    return true;
}
