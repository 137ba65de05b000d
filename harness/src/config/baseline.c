#include "config/baseline.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/files.h"
#include "base/git.h"
#include "base/host.h"
#include "base/subprocess.h"

static const char library_file[] = "library.so";
static const char about_file[] = "baseline.json";

// Readable, and not the same for two machines of one name.
static char *machine_dir(const Options *options)
{
    json_t *facts = host_facts();
    const char *host = json_string_value(json_object_get(facts, "hostname"));
    const char *id = json_string_value(json_object_get(facts, "machine_id"));
    char *dir = xfmt("%s/baselines/%s-%.8s", options_output(options), host ? host : "unknown", id ? id : "unknown");
    json_decref(facts);
    return dir;
}

static bool write_about(const char *dir, const Arm *arm)
{
    char created[32];
    time_t now = time(NULL);
    GitState git = git_state();
    json_t *env = json_array();
    for (unsigned i = 0; i < arm->env.count; i++)
        json_array_append_new(env, json_string(arm->env.items[i]));
    strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    json_t *root = json_pack("{s:s, s:s, s:s, s:s?, s:o, s:s, s:{s:s, s:b}, s:o}", "allocator", arm->name, "sha256",
                             arm->sha256, "from", arm->preload, "stats_file_env", arm->stats_file_env, "env", env,
                             "created_utc", created, "git", "sha", git.sha, "dirty", git.dirty, "host", host_facts());
    char *path = xfmt("%s/%s", dir, about_file);
    bool ok = root && json_dump_file(root, path, JSON_INDENT(2) | JSON_DIGITS) == 0;
    if (!ok) hzb_error("%s: cannot be written", path);
    json_decref(root);
    free(path);
    return ok;
}

bool baseline_name_is_good(const char *name)
{
    bool good = name && *name && config_name_is_plain(name);
    if (!good) hzb_error("baseline '%s': expected a name of letters, digits, '_', '.', '-'", name ? name : "");
    return good;
}

static char *dir_of(const Options *options, const char *name)
{
    char *machine = machine_dir(options), *dir = xfmt("%s/%s", machine, name);
    free(machine);
    return dir;
}

// Made under another name and moved over, so that there is no half baseline.
static bool keep(const char *machine, const char *dir, const Arm *arm)
{
    char *fresh = xfmt("%s/.new-XXXXXX", machine), *old = xfmt("%s/.old-%d", machine, (int)getpid());
    if (!mkdtemp(fresh)) {
        hzb_error("%s: %s", fresh, strerror(errno));
        return false;
    }
    chmod(fresh, 0755);
    bool ok = file_copy(arm->preload, xfmt("%s/%s", fresh, library_file)) && write_about(fresh, arm);
    if (ok && rename(dir, old) != 0 && errno != ENOENT) ok = false;
    ok = ok && rename(fresh, dir) == 0;
    if (!ok) hzb_error("%s: %s", dir, strerror(errno));
    folder_remove(ok ? old : fresh);
    return ok;
}

bool baseline_set(const Options *options, const char *name, const Arm *arm)
{
    char *machine = machine_dir(options), *dir = xfmt("%s/%s", machine, name);
    bool ok = folder_make_all(machine) && keep(machine, dir, arm);
    if (ok) printf("%s %.12s %s\n", name, arm->sha256, dir);
    free(machine);
    free(dir);
    return ok;
}

static bool load_about(const char *dir, Arm *arm)
{
    char *path = xfmt("%s/%s", dir, about_file);
    json_t *item, *root = json_load_file(path, 0, NULL);
    const char *allocator = json_string_value(json_object_get(root, "allocator"));
    const char *sha256 = json_string_value(json_object_get(root, "sha256"));
    const char *stats_file_env = json_string_value(json_object_get(root, "stats_file_env"));
    bool ok = allocator && sha256;
    size_t i;
    if (ok) {
        *arm = (Arm){.name = xstrdup(allocator),
                     .sha256 = xstrdup(sha256),
                     .stats_file_env = stats_file_env ? xstrdup(stats_file_env) : NULL,
                     .preload = realpath(xfmt("%s/%s", dir, library_file), NULL)};
        json_array_foreach(json_object_get(root, "env"), i, item)
        {
            if (json_is_string(item)) list_add(&arm->env, json_string_value(item));
        }
    }
    json_decref(root);
    free(path);
    return ok && arm->preload;
}

bool baseline_arm(const Options *options, const char *name, Arm *arm)
{
    char *dir = dir_of(options, name);
    bool ok = baseline_name_is_good(name);
    if (ok && access(dir, X_OK) != 0) {
        hzb_error(
            "baseline '%s' is not pinned on this machine; pin one: hzb baseline set %s ALLOCATOR%s%s (there is no %s)",
            name, name, options->output ? " -o " : "", options->output ? options->output : "", dir);
        ok = false;
    } else if (ok && !load_about(dir, arm)) {
        hzb_error("%s: is no whole baseline; set it again", dir);
        ok = false;
    }
    if (ok) {
        char *now = sha256_of_file(arm->preload);
        ok = now && strcmp(now, arm->sha256) == 0;
        if (!ok) hzb_error("%s: the library is not the one that was pinned (sha256 %.12s)", dir, arm->sha256);
        arm->name = xfmt(BASELINE_PREFIX "%s", name);
        free(now);
    }
    free(dir);
    return ok;
}

static int is_baseline(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

void baseline_list(const Options *options)
{
    struct dirent **names;
    char *machine = machine_dir(options);
    int count = scandir(machine, &names, is_baseline, alphasort);
    for (int i = 0; i < count; i++) {
        Arm arm = {0};
        bool ok = load_about(xfmt("%s/%s", machine, names[i]->d_name), &arm);
        printf("%-16s %-16s %.12s\n", names[i]->d_name, ok ? arm.name : "damaged", ok ? arm.sha256 : "-");
    }
}

bool baseline_is_set(const Options *options, const char *name)
{
    return access(dir_of(options, name), F_OK) == 0;
}

bool baseline_remove(const Options *options, const char *name)
{
    folder_remove(dir_of(options, name));
    return !baseline_is_set(options, name);
}
