#include "record/folders.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/files.h"
#include "plan/plan.h"

static bool is_result_folder(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && folder_has(path, "plan.csv") &&
           folder_has(path, "manifest.json") && !folder_has(path, PLAN_WHOLE_FILE);
}

static int is_not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

bool folders_list(const char *parent, StrList *folders)
{
    struct dirent **entries;
    *folders = (StrList){0};
    int count = scandir(parent, &entries, is_not_hidden, alphasort);
    if (count < 0) {
        hzb_error("%s: %s", parent, strerror(errno));
        return false;
    }
    for (int i = 0; i < count; i++) {
        char *path = xfmt("%s/%s", parent, entries[i]->d_name);
        if (is_result_folder(path)) list_add(folders, path);
        free(path);
        free(entries[i]);
    }
    free(entries);
    return true;
}
