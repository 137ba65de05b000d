// `hzb prune`: removes old result folders, or says which.
#include <stdio.h>
#include <time.h>

#include "base/files.h"
#include "commands/commands.h"
#include "record/prune.h"

enum { DAY_S = 24 * 60 * 60, MIB = 1 << 20 };

static bool remove_folder(const char *dir)
{
    folder_remove(dir);
    if (!folder_has(dir, ".")) return true;
    hzb_error("%s: cannot be removed", dir);
    return false;
}

HzbExit command_prune(const Options *options)
{
    StrList old;
    int64_t bytes = 0;
    bool ok = true;
    if (options->keep == 0 && options->days == 0) {
        hzb_error("prune: expected --keep N, --days D or both");
        return HZB_USAGE;
    }
    const PruneRule rule = {options->keep, options->days ? time(NULL) - (time_t)options->days * DAY_S : 0};
    if (!prune_find(options_output(options), &rule, &old)) return HZB_IO;
    for (unsigned i = 0; i < old.count; i++) {
        int64_t size = folder_size(old.items[i]);
        printf("%s  %.1f MiB\n", old.items[i], (double)size / MIB);
        if (options->yes) ok = remove_folder(old.items[i]) && ok;
        bytes += size;
    }
    printf("%u folders, %.1f MiB%s\n", old.count, (double)bytes / MIB,
           options->yes ? " removed"
           : old.count  ? " would be removed; --yes does it"
                        : "");
    return ok ? HZB_OK : HZB_IO;
}
