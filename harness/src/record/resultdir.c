#include "record/resultdir.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/files.h"
#include "base/git.h"
#include "record/manifest.h"
#include "record/record.h"

enum { NAME_TRIES = 5 };

static char *run_id_now(const Experiment *experiment, const GitState *git)
{
    char utc[32], host[256] = "";
    time_t now = time(NULL);
    strftime(utc, sizeof utc, "%Y%m%dT%H%M%SZ", gmtime(&now));
    gethostname(host, sizeof host - 1);
    host[strcspn(host, "./_")] = 0;
    return xfmt("%s_%s_%s%s_%s", utc, host, git->sha, git->dirty ? "-dirty" : "", experiment->matrix);
}

static bool write_plan(const char *dir, const char *file, const Plan *plan)
{
    char *path = xfmt("%s/%s", dir, file);
    FILE *out = file_create(path);
    if (out) plan_write(plan, out);
    bool ok = file_finish(out, path);
    free(path);
    return ok;
}

// What the folder is made of.
typedef struct Content {
    const Config *config;
    Experiment *experiment;
    const Plan *plan, *whole;
    GitState git;
} Content;

static bool fill(const char *dir, const Content *content)
{
    static const char *const folders[] = {"rss", "logs", "plots"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path = xfmt("%s/%s", dir, folders[i]);
        bool ok = folder_make(path);
        free(path);
        if (!ok) return false;
    }
    return write_plan(dir, "plan.csv", content->plan) &&
           (!content->whole || write_plan(dir, PLAN_WHOLE_FILE, content->whole)) && record_create(dir) &&
           manifest_write(dir, content->experiment, content->config, &content->git);
}

// Gives the finished folder a name that none has; two within a second are possible.
static char *name_it(const char *output, const char *fresh, const Content *content)
{
    for (int try = 0; try < NAME_TRIES; try++) {
        content->experiment->run_id = run_id_now(content->experiment, &content->git);
        char *dir = xfmt("%s/%s", output, content->experiment->run_id);
        if (!fill(fresh, content)) return NULL;
        if (renameat2(AT_FDCWD, fresh, AT_FDCWD, dir, RENAME_NOREPLACE) == 0) return dir;
        if (errno != EEXIST) {
            hzb_error("%s: %s", dir, strerror(errno));
            return NULL;
        }
        sleep(1);
    }
    hzb_error("%s: no free name for a result folder", output);
    return NULL;
}

char *resultdir_make(const char *output, const Config *config, Experiment *experiment, const Plan *plan,
                     const Plan *whole)
{
    assert(plan->count > 0 && (!whole || whole->count >= plan->count));
    const Content content = {config, experiment, plan, whole, git_state()};
    if (!folder_make(output)) return NULL;
    char *fresh = xfmt("%s/.new-XXXXXX", output);
    if (!mkdtemp(fresh)) {
        hzb_error("%s: %s", fresh, strerror(errno));
        return NULL;
    }
    chmod(fresh, 0755);
    char *dir = name_it(output, fresh, &content);
    if (!dir) folder_remove(fresh);
    free(fresh);
    return dir;
}

bool resultdir_set_latest(const char *output, const char *run_id)
{
    assert(*run_id && !strchr(run_id, '/'));
    char *fresh = xfmt("%s/.latest-%s", output, run_id), *latest = xfmt("%s/latest", output);
    bool ok = symlink(run_id, fresh) == 0 && rename(fresh, latest) == 0;
    if (!ok) {
        hzb_error("%s: %s", latest, strerror(errno));
        unlink(fresh);
    }
    free(fresh);
    free(latest);
    return ok;
}
