#include "record/machine_modes.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "base/host.h"
#include "base/util.h"
#include "record/folders.h"
#include "record/manifest.h"

enum { FOLDERS_MAX = 20, FIGURES_OF_A_MODE = 3, PROBES_OF_A_ROW = 2 };

// The mode's ends and its middle stand for all figures that were seen.
static unsigned put_mode(const Mode *mode, double *figures)
{
    figures[0] = mode->lo;
    figures[1] = mode->median;
    figures[2] = mode->hi;
    return FIGURES_OF_A_MODE;
}

static double distance(const RunRow *row, RunColumn column)
{
    double ns;
    return row_number(row, column, &ns) ? ns : NAN;
}

Modes machine_modes(const Experiment *experiment, const RunRows *runs)
{
    const Modes *before = &experiment->modes_before;
    double *figures =
        xcalloc(FIGURES_OF_A_MODE * (size_t)before->count + PROBES_OF_A_ROW * (size_t)runs->count, sizeof *figures);
    unsigned n = 0;
    for (unsigned m = 0; m < before->count; m++)
        n += put_mode(&before->items[m], &figures[n]);
    for (unsigned i = 0; i < runs->count; i++) {
        figures[n++] = distance(&runs->rows[i], RUN_probe_pp_ns);
        figures[n++] = distance(&runs->rows[i], RUN_probe_pp_after_ns);
    }
    Modes modes = modes_find(figures, n);
    free(figures);
    return modes;
}

int machine_mode_of(const Modes *modes, const RunRow *row)
{
    int before = modes_index(modes, distance(row, RUN_probe_pp_ns));
    return before == modes_index(modes, distance(row, RUN_probe_pp_after_ns)) ? before : -1;
}

bool machine_mode_changed(const Modes *modes, const RunRow *row)
{
    int before = modes_index(modes, distance(row, RUN_probe_pp_ns));
    int after = modes_index(modes, distance(row, RUN_probe_pp_after_ns));
    return before >= 0 && after >= 0 && before != after;
}

static void take_modes(const char *dir, const json_t *machine, double **figures, unsigned *n)
{
    json_t *manifest = manifest_json(dir);
    if (manifest && json_equal(json_object_get(json_object_get(manifest, "host"), "machine_id"), machine)) {
        Modes modes = manifest_modes(manifest);
        *figures = xrealloc(*figures, *n + FIGURES_OF_A_MODE * modes.count + 1, sizeof **figures);
        for (unsigned m = 0; m < modes.count; m++)
            *n += put_mode(&modes.items[m], &(*figures)[*n]);
        modes_free(&modes);
    }
    json_decref(manifest);
}

Modes machine_modes_before(const char *parent)
{
    StrList folders = {0};
    double *figures = NULL;
    unsigned n = 0;
    json_t *facts = host_facts();
    if (folder_has(parent, ".") && folders_list(parent, &folders)) // names begin with the time
        for (unsigned i = folders.count > FOLDERS_MAX ? folders.count - FOLDERS_MAX : 0; i < folders.count; i++)
            take_modes(folders.items[i], json_object_get(facts, "machine_id"), &figures, &n);
    Modes modes = modes_find(figures, n);
    free(figures);
    json_decref(facts);
    list_free(&folders);
    return modes;
}
